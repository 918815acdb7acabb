"""Damages graphs as such: operations, what they read, attributes, shapes, constants, rings.

What comes out is a well-formed GraphDef, or a MetaGraphDef with one, that TensorFlow need not have
written.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable

from fuzzing.damage import spoil
from fuzzing.handmade import message, varint

Field = tuple[int, int, bytes | int]  # number, wire type, value
Nodes = list[list[Field]]
Mutation = Callable[[random.Random, Nodes], None]  # changes the nodes

_NAME, _OP, _INPUT, _ATTRIBUTE = 1, 2, 3, 5  # of a NodeDef
_NODE, _GRAPH = 1, 2  # of a GraphDef, of a MetaGraphDef
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_NUMBERS = (0, 1, 2, 3, 4, 5, 7, 64, 1000, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 63) - 1)
# Names of operations that no network consists of.
_OUTSIDE = re.compile(rb"(^|/)save(_\d+)?/|nitializer|Assign|^gradients|^init|Adam|Momentum")
_CHAIN = 3000  # operations one behind the other
_DOUBLINGS = 60  # sums of a value with itself: 2^60 ways through them
_OPERATIONS = (
    b"Identity", b"Relu", b"Conv2D", b"DepthwiseConv2dNative", b"Conv2DBackpropInput", b"MatMul",
    b"BiasAdd", b"Add", b"AddN", b"Sub", b"Mul", b"RealDiv", b"Maximum", b"Square", b"Rsqrt",
    b"MaxPool", b"AvgPool", b"Mean", b"Sum", b"Pad", b"Reshape", b"Squeeze", b"ExpandDims",
    b"Transpose", b"ConcatV2", b"Split", b"SplitV", b"Pack", b"Unpack", b"Shape", b"StridedSlice",
    b"Slice", b"Tile", b"Fill", b"Range", b"Cast", b"Softmax", b"FusedBatchNorm", b"LRN",
    b"FusedBatchNormV3", b"SpaceToBatchND", b"BatchToSpaceND", b"DepthToSpace", b"ResizeBilinear",
    b"Placeholder", b"PlaceholderWithDefault", b"Const", b"VariableV2", b"VarHandleOp", b"Switch",
    b"Merge", b"Enter", b"Exit", b"NextIteration", b"If", b"While", b"PartitionedCall", b"NoOp",
    b"ArgMax", b"TopKV2", b"GatherV2", b"Select", b"Einsum", b"BatchMatMul", b"Cumsum", b"Unknown",
)  # fmt: skip


def spoil_meta(rng: random.Random, content: bytes) -> bytes:
    """A `.meta` with a damaged graph in it; of bytes, in a quarter of the cases."""
    if rng.random() < 0.25:
        return spoil(rng, content)
    fields = parse(content)
    place = next(i for i, field in enumerate(fields) if field[0] == _GRAPH)
    fields[place] = (_GRAPH, _BYTES, _spoiled(rng, fields[place][2]))
    return joined(fields)


def spoil_graph(rng: random.Random, content: bytes) -> bytes:
    """A `.pb` with a damaged graph; of bytes, in a quarter of the cases."""
    return spoil(rng, content) if rng.random() < 0.25 else _spoiled(rng, content)


def _spoiled(rng: random.Random, graph: bytes) -> bytes:
    count = rng.choice((1, 1, 1, 2, 5))
    return mutated(rng, graph, [rng.choice(MUTATIONS) for _ in range(count)])


def mutated(rng: random.Random, graph: bytes, mutations: Iterable[Mutation]) -> bytes:
    """A GraphDef with something changed; mostly what computes something, and not its savers.

    Args:
        rng: chooses where.
        graph: the GraphDef.
        mutations: one after the other; of `MUTATIONS`.
    """
    fields = parse(graph)
    nodes = [parse(value) for number, _, value in fields if number == _NODE]
    outside: Nodes = []
    if rng.random() < 0.75:
        outside = [node for node in nodes if _OUTSIDE.search(_first(node, _NAME))]
        nodes = [node for node in nodes if not _OUTSIDE.search(_first(node, _NAME))]
    for mutation in mutations if nodes else ():
        mutation(rng, nodes)
    nodes += outside
    others = [field for field in fields if field[0] != _NODE]
    return joined([*((_NODE, _BYTES, joined(node)) for node in nodes), *others])


# -- what of a graph is changed -------------------------------------------------------------------


def other_kind(rng: random.Random, nodes: Nodes) -> None:
    """An operation becomes one of another kind, its attributes its own or that other's."""
    node, other = rng.choice(nodes), rng.choice(nodes)
    _replace(node, _OP, rng.choice((_first(other, _OP), rng.choice(_OPERATIONS))))
    if rng.random() < 0.3:
        node[:] = [f for f in node if f[0] != _ATTRIBUTE]
        node += [f for f in other if f[0] == _ATTRIBUTE]


def other_input(rng: random.Random, nodes: Nodes) -> None:
    """An operation reads another one, itself, what is not there, or in another order."""
    node = rng.choice([n for n in nodes if _places(n, _INPUT)] or nodes)
    inputs = [node[place][2] for place in _places(node, _INPUT)]
    name = _first(rng.choice(nodes), _NAME)
    read = rng.choice((name, name, name + b":1", name + b":77", b"^" + name, b"gone", b"", b":"))
    how = rng.randrange(5)
    if how == 0 or not inputs:
        inputs.insert(rng.randint(0, len(inputs)), read)
    elif how == 1:
        del inputs[rng.randrange(len(inputs))]
    elif how == 2:
        rng.shuffle(inputs)
    else:
        inputs[rng.randrange(len(inputs))] = read
    node[:] = [f for f in node if f[0] != _INPUT] + [(_INPUT, _BYTES, text) for text in inputs]


def attribute(rng: random.Random, nodes: Nodes) -> None:
    """An attribute is gone, another's, or has other numbers in it."""
    node = rng.choice([n for n in nodes if _places(n, _ATTRIBUTE)] or nodes)
    places = _places(node, _ATTRIBUTE)
    if not places:
        return
    place, how = rng.choice(places), rng.randrange(4)
    if how == 0:
        del node[place]
    elif how == 1:
        other = rng.choice([n for n in nodes if _places(n, _ATTRIBUTE)])
        value = _first(parse(other[rng.choice(_places(other, _ATTRIBUTE))][2]), 2)
        node[place] = (_ATTRIBUTE, _BYTES, message((1, _key(node[place])), (2, value)))
    else:
        value = _first(parse(node[place][2]), 2)
        changed = _other_numbers(rng, value)
        node[place] = (_ATTRIBUTE, _BYTES, message((1, _key(node[place])), (2, changed)))


def constant(rng: random.Random, nodes: Nodes) -> None:
    """The value of a constant: its shape, its type, its numbers."""
    constants = [n for n in nodes if _first(n, _OP) == b"Const"]
    if constants:
        node = rng.choice(constants)
        for place in _places(node, _ATTRIBUTE):
            value = _first(parse(node[place][2]), 2)
            if _key(node[place]) == b"value":
                changed = _other_numbers(rng, value)
                node[place] = (_ATTRIBUTE, _BYTES, message((1, b"value"), (2, changed)))


def gone(rng: random.Random, nodes: Nodes) -> None:
    """An operation that others read is not there."""
    if len(nodes) > 1:
        del nodes[rng.randrange(len(nodes))]


def renamed(rng: random.Random, nodes: Nodes) -> None:
    """An operation has another name, or the name of another."""
    other = _first(rng.choice(nodes), _NAME)
    _replace(rng.choice(nodes), _NAME, rng.choice((other, b"", b"a" * 70_000, b"\xff\x00", b"a/")))


def twice(rng: random.Random, nodes: Nodes) -> None:
    """An operation once more, under a name of its own, read in the place of the first."""
    node = rng.choice(nodes)
    copy = list(node)
    _replace(copy, _NAME, _first(node, _NAME) + b"_again")
    nodes.insert(rng.randrange(len(nodes)), copy)


def ring(rng: random.Random, nodes: Nodes) -> None:
    """An operation reads one that depends on it."""
    node = rng.choice(nodes)
    for _ in range(rng.randint(1, 8)):
        readers = [n for n in nodes if _first(node, _NAME) in _inputs(n)]
        if readers:
            node = rng.choice(readers)
    first = rng.choice(nodes)
    places = _places(first, _INPUT)
    if places:
        first[rng.choice(places)] = (_INPUT, _BYTES, _first(node, _NAME))


def chain(rng: random.Random, nodes: Nodes) -> None:
    """Thousands of operations one behind the other, where there was nothing."""
    kind = rng.choice((b"Identity", b"Relu", b"Neg", b"StopGradient", b"Add", b"Enter", b"Merge"))
    _between(rng, nodes, kind, _CHAIN, reads=1)


def doublings(rng: random.Random, nodes: Nodes) -> None:
    """Sums of a value with itself: few operations, and very many ways through them."""
    _between(rng, nodes, rng.choice((b"Add", b"Mul", b"Merge", b"AddN")), _DOUBLINGS, reads=2)


def _between(rng: random.Random, nodes: Nodes, kind: bytes, count: int, reads: int) -> None:
    node = rng.choice([n for n in nodes if _places(n, _INPUT)] or nodes)
    places = _places(node, _INPUT)
    if not places:
        return
    place = rng.choice(places)
    before = node[place][2].lstrip(b"^")
    attributes = [f for f in node if f[0] == _ATTRIBUTE and _key(f) == b"T"]
    for number in range(count):
        name = b"between/%s_%d" % (_first(node, _NAME)[-20:], number)
        made = [(_NAME, _BYTES, name), (_OP, _BYTES, kind)]
        nodes.append([*made, *([(_INPUT, _BYTES, before)] * reads), *attributes])
        before = name
    node[place] = (_INPUT, _BYTES, before)


# The first are most of what happens, and of what finds errors.
MUTATIONS: tuple[Mutation, ...] = (
    other_kind, other_kind, other_input, other_input, other_input, attribute, attribute, attribute,
    attribute, constant, constant, constant, gone, renamed, twice, ring, chain, doublings,
)  # fmt: skip


def _other_numbers(rng: random.Random, value: bytes) -> bytes:
    """A message with one of its numbers, however deep, another one; or a number more in a list."""
    try:
        fields = parse(value)
    except (ValueError, IndexError):
        fields = []
    if not fields or rng.random() < 0.1:
        return _spoiled_bytes(rng, value)
    place = rng.randrange(len(fields))
    number, kind, old = fields[place]
    if kind == _VARINT:
        new = rng.choice((rng.choice(_NUMBERS), -1, -rng.choice(_NUMBERS), old + 1, old - 1))
        fields[place] = (number, kind, new % (1 << 64))
    elif kind == _BYTES:
        fields[place] = (number, kind, _other_numbers(rng, old))
    else:
        extremes = (bytes(len(old)), b"\xff" * len(old), b"\0\0\x80\x7f"[-len(old) :])
        fields[place] = (number, kind, rng.choice((*extremes, rng.randbytes(len(old)))))
    if rng.random() < 0.1:
        fields.insert(place, fields[place])
    return joined(fields)


def _spoiled_bytes(rng: random.Random, value: bytes) -> bytes:
    return spoil(rng, value) if value else varint(rng.choice(_NUMBERS))


# -- messages -------------------------------------------------------------------------------------


def parse(data: bytes) -> list[Field]:
    """The fields of a message, as they come.

    Raises:
        ValueError, IndexError: it is none.
    """
    fields: list[Field] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            fields.append((number, kind, value))
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(data) or not number:
            raise ValueError("cut short")
        fields.append((number, kind, data[at : at + size]))
        at += size
    return fields


def joined(fields: list[Field]) -> bytes:
    """The reverse of `parse`."""
    parts = []
    for number, kind, value in fields:
        parts.append(varint(number << 3 | kind))
        if kind == _VARINT:
            parts.append(varint(value))
        else:
            parts += [varint(len(value)), value] if kind == _BYTES else [value]
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("too long")


def _places(node: list[Field], number: int) -> list[int]:
    return [place for place, field in enumerate(node) if field[0] == number]


def _inputs(node: list[Field]) -> list[bytes]:
    return [node[place][2] for place in _places(node, _INPUT)]


def _first(node: list[Field], number: int) -> bytes:
    return next((field[2] for field in node if field[0] == number), b"")


def _replace(node: list[Field], number: int, value: bytes) -> None:
    node[:] = [(number, _BYTES, value), *(field for field in node if field[0] != number)]


def _key(entry: Field) -> bytes:
    """The name of an attribute."""
    return _first(parse(entry[2]), 1)
