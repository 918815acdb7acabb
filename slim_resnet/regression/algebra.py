"""Arithmetic that two versions of TensorFlow write differently, and that is the same function.

Each rule holds for every finite input, exactly, and broadcasts alike: constants are folded in
their own type, factors of one and summands of zero go, and what is multiplied by a mask is
selected by it. TensorFlow 1.15 drew `random_uniform` as `r * (1 - 0) + 0` and dropped out by a
factor of zero or one; today's TensorFlow draws `r` and selects with `SelectV2`.
"""

from __future__ import annotations

import numpy as np

from slim_resnet.regression.forms import Leaf, Node, Output, Value, decimal

# IEEE 754 leaves no choice: NumPy's results of these are TensorFlow's.
_FOLDED = {"Add": np.add, "Mul": np.multiply, "RealDiv": np.divide, "Sub": np.subtract}
_FLOATS = ("float32", "float64")
# Op -> the scalar that its other input passes unchanged.
_NEUTRAL = {"Add": 0, "Mul": 1}


def simplified(node: Node) -> Value:
    """What a node's first output is equal to for every finite input: itself, if no rule fits."""
    for rule in (_folded, _without_neutral, _selected):
        value = rule(node)
        if value is not None:
            return value
    return Output(node, 0)


def _folded(node: Node) -> Leaf | None:
    """Arithmetic of two scalar constants."""
    function = _FOLDED.get(node.op)
    if function is None or not all(_is_scalar(value, _FLOATS) for value in node.inputs):
        return None
    dtype = node.inputs[0].dtype
    with np.errstate(all="ignore"):
        result = function(*(np.array(leaf.value, dtype) for leaf in node.inputs))
    return Leaf("constant", None, dtype, (), decimal(np.array(result)).tolist())


def _without_neutral(node: Node) -> Value | None:
    """x of x + 0, 0 + x, x * 1 and 1 * x."""
    if node.op not in _NEUTRAL:
        return None
    for value, other in zip(node.inputs, reversed(node.inputs), strict=True):
        if _is_scalar(value) and value.value == _NEUTRAL[node.op]:
            return other
    return None


def _selected(node: Node) -> Output | None:
    """x * cast(mask), as a selection from x and 0."""
    if node.op != "Mul":
        return None
    for value, other in zip(reversed(node.inputs), node.inputs, strict=True):
        cast = value.node if isinstance(value, Output) else None
        if cast and cast.op == "Cast" and cast.attributes["SrcT"] == "bool":
            zero = Leaf("constant", None, cast.attributes["DstT"], (), 0)
            return Output(Node(node.name, "SelectV2", {}, (cast.inputs[0], other, zero)), 0)
    return None


def _is_scalar(value: Value, dtypes: tuple[str, ...] = ()) -> bool:
    is_constant = isinstance(value, Leaf) and value.kind == "constant" and value.shape == ()
    return is_constant and (not dtypes or value.dtype in dtypes)
