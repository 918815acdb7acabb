"""Functions that a graph calls, put in the place of the call.

Source: TensorFlow's `core/framework/function.proto`, `common_runtime/inline_function_utils.cc`.
"""

from __future__ import annotations

import copy

from converters.files.errors import Malformed
from converters.files.graphdef import Function, Node, Ref

# Operations that call the function in their attribute `f`, and those that choose one of two.
CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))
CHOICES = frozenset(("If", "StatelessIf"))
MAX_INLINED = 50_000  # nodes; functions of a hostile graph may call each other
MAX_NAME = 1000  # characters; names grow with every call in a call
# Outputs of operations that have several: where each begins. Of any other, OUTPUT:INDEX is INDEX.
_OUTPUTS = {
    "FusedBatchNorm": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    "FusedBatchNormV2": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    "FusedBatchNormV3": (
        "y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2",
        "reserve_space_3",
    ),
    "Switch": ("output_false", "output_true"),
    "RefSwitch": ("output_false", "output_true"),
    "Merge": ("output", "value_index"),
    "TopKV2": ("values", "indices"),
    "Unique": ("y", "idx"),
    "SoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
    "SparseSoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
    "MaxPoolWithArgmax": ("output", "argmax"),
}  # fmt: skip


def inline(call: Node, function: Function, arguments: tuple[Ref, ...]) -> tuple[list, list]:
    """The nodes of a function as nodes of the graph that calls it.

    Args:
        call: the operation that calls; the nodes are named below it.
        function: what it calls.
        arguments: what it hands over.

    Returns:
        The nodes, and what the call's outputs are then.

    Raises:
        Malformed: the arguments are not those of the function.
    """
    if len(arguments) != len(function.arguments):
        raise Malformed(f"its operation {call.name!r} calls {function.name!r} with other arguments")
    given = dict(zip(function.arguments, arguments, strict=True))
    scope = f"{call.name}/"
    nodes = []
    for node in function.nodes.values():
        inlined = copy.copy(node)
        texts = node.input_texts
        inlined.name = scope + node.name
        data = (text for text in texts if not text.startswith("^"))
        inlined.operands = tuple(_ref(text, function, given, scope) for text in data)
        inlined.controls = tuple(
            given[text[1:]][0] if text[1:] in given else scope + text[1:]
            for text in texts
            if text.startswith("^")
        )
        inlined.inputs = tuple(name for name, _ in inlined.operands)
        nodes.append(inlined)
    return nodes, [_ref(text, function, given, scope) for text in function.results]


def _ref(text: str, function: Function, given: dict[str, Ref], scope: str) -> Ref:
    """What an input means that a node of a function has."""
    if text in given:
        return given[text]
    name, _, output = text.partition(":")
    output, _, index = output.partition(":")
    node = function.nodes.get(name)
    if node is None or not (index or "0").isdigit():
        raise Malformed(f"its function {function.name!r} reads {text!r}, which it does not have")
    names = _OUTPUTS.get(node.op, ())
    start = names.index(output) if output in names else 0
    return scope + name, start + int(index or 0)
