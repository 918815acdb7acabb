"""Two canonical graphs, node by node: what is the first thing that differs?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from slim_resnet.regression.canonical import Canonical
from slim_resnet.regression.forms import Leaf, Node, Output, Value

WHERE = "where the record has"


@dataclass(frozen=True)
class Difference:
    """What differs at one place; `recorded` is its name in the record where that is another."""

    name: str
    reason: str
    recorded: str = ""

    def __str__(self) -> str:
        renamed = self.recorded not in ("", self.name)
        return f"{self.name}{f' ({self.recorded})' if renamed else ''}: {self.reason}"


def compare(now: Canonical, then: Canonical) -> list[Difference]:
    """Everything in which the graph `now` differs from the recorded one, in the record's order.

    Nodes are matched from the roots upwards along the wiring, never by name: roots of one label
    belong together, and so do the inputs of nodes that belong together. Earlier roots anchor the
    later ones, so a layer too many shifts nothing beyond the next root.

    Args:
        now: the rebuilt graph.
        then: the recorded graph. Both have roots of the same labels, in the order in which their
            nodes are to be visited.

    Returns:
        The differences. Those after the first may be its consequences.
    """
    pairs = _pair(now, then)
    found = [
        (then_position, difference)
        for then_position, node in enumerate(then.nodes)
        if node in pairs
        for difference in _node_differences(pairs[node], node, pairs)
    ]
    positions = {node: position for position, node in enumerate(then.nodes)}
    for label, recorded in then.roots.items():
        rebuilt = now.roots[label]
        if not _is_same(rebuilt, recorded, pairs):
            position = positions.get(getattr(recorded, "node", None), -1)
            reason = f"is {_describe(rebuilt)} {WHERE} {_describe(recorded)}"
            found.append((position, Difference(label, reason)))
    return [difference for _, difference in sorted(found, key=lambda item: item[0])]


def _pair(now: Canonical, then: Canonical) -> dict[Node, Node]:
    """Recorded node -> the rebuilt node that takes its place.

    Two recorded nodes may share a rebuilt one: if nothing about either differs, both compute it.
    """
    pairs: dict[Node, Node] = {}
    for label, recorded in then.roots.items():
        queue = [(now.roots[label], recorded)]
        while queue:
            new, old = queue.pop()
            if not (isinstance(new, Output) and isinstance(old, Output)):
                continue
            if old.node in pairs or old.node.op != new.node.op:
                continue
            pairs[old.node] = new.node
            queue += zip(new.node.inputs, old.node.inputs, strict=False)
    return pairs


def _node_differences(now: Node, then: Node, pairs: dict[Node, Node]) -> list[Difference]:
    reasons = _attribute_reasons(now, then) + _wiring_reasons(now, then, pairs)
    return [Difference(now.name, "; ".join(reasons), then.name)] if reasons else []


def _attribute_reasons(now: Node, then: Node) -> list[str]:
    return [
        f"{key} {now.attributes.get(key)} {WHERE} {then.attributes.get(key)}"
        for key in sorted({*now.attributes, *then.attributes})
        if now.attributes.get(key) != then.attributes.get(key)
    ]


def _wiring_reasons(now: Node, then: Node, pairs: dict[Node, Node]) -> list[str]:
    inputs = itertools.zip_longest(now.inputs, then.inputs)
    return [
        f"input {i} is {_describe(new)} {WHERE} {_describe(old)}"
        for i, (new, old) in enumerate(inputs)
        if not _is_same(new, old, pairs)
    ]


def _is_same(now: Value | None, then: Value | None, pairs: dict[Node, Node]) -> bool:
    if isinstance(now, Output) and isinstance(then, Output):
        return pairs.get(then.node) is now.node and now.index == then.index
    return now == then


def _describe(value: Value | None) -> str:
    if isinstance(value, Leaf) and value.kind == "variable":
        return f"variable {value.name} {list(value.shape or ())}"
    return "nothing" if value is None else str(value)
