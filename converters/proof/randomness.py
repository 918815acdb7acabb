"""What makes a training graph random, and the scalars that tell training from inference.

Whether a number is a probability to keep a value or one to drop it is read off the arithmetic of
`tf.nn.dropout`, all of whose forms compare a random number with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slim_resnet.frameworks import require

tf = require("tensorflow.compat.v1")

_FORWARDING = frozenset(
    ("Identity", "Cast", "Switch", "Merge", "Reshape", "StopGradient", "ReadVariableOp")
)
_UNIFORM = frozenset(("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"))
_NORMAL = frozenset(
    ("RandomStandardNormal", "TruncatedNormal", "StatelessRandomNormal", "StatelessTruncatedNormal")
)
RANDOM = _UNIFORM | _NORMAL
_ALMOST_ONE = 1 - 2.0**-24
_ADDITIONS = frozenset(("Add", "AddV2"))
_COMPARISONS = frozenset(("GreaterEqual", "Greater", "Less", "LessEqual"))
_SCALING = frozenset(("Mul", "Add", "AddV2", "Sub", "Identity", "Cast"))
_MAX_DEPTH = 12
_FLOATS = (tf.float16, tf.bfloat16, tf.float32, tf.float64)


def scalar_value(nodes: Mapping, node, is_training: bool) -> bool | int | float | None:
    """What a placeholder is fed that tells training from inference, without dropout.

    Args:
        nodes: name -> NodeDef; all of the graph.
        node: a placeholder.
        is_training: which of the two is meant.

    Returns:
        A bool, 0 or 1, or a probability that drops nothing; None for any other placeholder.
    """
    dtype = tf.as_dtype(node.attr["dtype"].type)
    shape = node.attr["shape"].shape
    if shape.dim:
        return None
    if dtype == tf.bool:
        return is_training
    if dtype.is_integer:  # Keras's learning phase of old
        return None if shape.unknown_rank else int(is_training)
    if dtype not in _FLOATS:
        return None
    drops = _is_rate(nodes, node.name)
    return None if drops is None else float(not drops)


def neutral(nodes: Mapping, node) -> float:
    """The random number with which a dropout keeps every value, and noise is none.

    Args:
        nodes: name -> NodeDef; all of the graph.
        node: an operation of a kind in `RANDOM`.
    """
    if node.op in _NORMAL:
        return 0.0
    readers = _readers(nodes)
    front, seen = [node.name], set()
    for _ in range(_MAX_DEPTH):
        reading = [(reader, name) for name in front for reader in readers.get(name, ())]
        for reader, name in reading:
            if reader.op in _COMPARISONS:
                is_first = reader.input[0].partition(":")[0] == name
                return _ALMOST_ONE if is_first == reader.op.startswith("Greater") else 0.0
        front = [r.name for r, _ in reading if r.op in _SCALING and r.name not in seen]
        seen.update(front)
    return _ALMOST_ONE  # floor(keep_prob + random)


def _is_rate(nodes: Mapping, name: str) -> bool | None:
    """Whether a number is one to drop values with; False: to keep them; None: no dropout's."""
    readers = _readers(nodes)
    seen, front = {name}, [(name, False)]  # a value, and whether it is 1 - the number
    for _ in range(_MAX_DEPTH):
        following = []
        for value, is_complement in front:
            for reader in readers.get(value, ()):
                verdict = _verdict(nodes, reader, value)
                if verdict is not None:
                    return verdict != is_complement
                if reader.name not in seen and (
                    reader.op in _FORWARDING or _is_complement(nodes, reader, value)
                ):
                    seen.add(reader.name)
                    following.append((reader.name, is_complement != (reader.op == "Sub")))
        front = following
    return None


def _verdict(nodes: Mapping, reader, value: str) -> bool | None:
    """Whether `reader` drops by `value` (True), keeps by it (False), or does neither (None)."""
    names = [ref.partition(":")[0] for ref in reader.input if not ref.startswith("^")]
    if reader.op not in _ADDITIONS | _COMPARISONS or len(names) != 2 or names[0] == names[1]:
        return None
    other = names[1 - names.index(value)]
    if not any(each.op in _UNIFORM for each in _before(nodes, other)):
        return None
    if reader.op in _ADDITIONS:  # floor(keep_prob + random)
        return False
    is_greater = reader.op.startswith("Greater")
    return is_greater == (names[1] == value)  # random >= rate keeps


def _is_complement(nodes: Mapping, reader, value: str) -> bool:
    """Whether `reader` is 1 - `value`."""
    if reader.op != "Sub" or reader.input[1].partition(":")[0] != value:
        return False
    node = nodes.get(reader.input[0].partition(":")[0])
    return node is not None and node.op == "Const"


def _before(nodes: Mapping, name: str) -> Iterator:
    """A node and those that it is computed from, a few steps up."""
    front = [name]
    for _ in range(4):
        found = [nodes[each] for each in front if each in nodes]
        yield from found
        front = [ref.partition(":")[0] for node in found for ref in node.input if ref[0] != "^"]


def _readers(nodes: Mapping) -> dict[str, list]:
    """Name of a node -> the nodes that read it."""
    found: dict[str, list] = {}
    for node in nodes.values():
        for ref in node.input:
            found.setdefault(ref.partition(":")[0], []).append(node)
    return found
