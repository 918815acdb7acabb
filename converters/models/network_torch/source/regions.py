"""Which lines belong together: the scopes of the graph, where they can be modules of their own.

The operations of a scope become the `forward` of a module if nothing leaves the scope and comes
back to it. Where something does, its lines are written into the scope above.
"""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from dataclasses import dataclass, field

from converters.models.network_torch.naming import identifier
from converters.models.network_torch.source.flow import Flow

Prefix = tuple[str, ...]


@dataclass(eq=False)
class Region:
    """Lines that become a `forward`.

    Attributes:
        path: of the module; "" is the network.
        prefix: the scope of the operations.
        own: lines that are in no region below.
        children: the regions below.
        items: what `forward` does, in order: lines, and calls of regions.
        inputs: values from outside, in the order of their first use.
        outputs: values that are read outside.
    """

    path: str
    prefix: Prefix = ()
    own: list[int] = field(default_factory=list)
    children: list[Region] = field(default_factory=list)
    items: list[int | Region] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    @property
    def lines(self) -> list[int]:
        """All lines, those of the regions below too."""
        return self.own + [line for child in self.children for line in child.lines]

    def relative(self, path: str) -> str:
        """A module's path as seen from this region's module."""
        return path[len(self.path) + 1 :] if self.path else path


def find_regions(flow: Flow, banned: frozenset[str] = frozenset()) -> Region:
    """The region of the whole network, with those below.

    Args:
        flow: the lines.
        banned: paths that shall be no modules of their own.
    """
    scopes = _module_scopes(flow)
    root = Region("")
    regions: dict[Prefix, Region] = {(): root}
    for line in flow.lines:
        if flow.step(line).target != "input":
            _region(regions, scopes, _prefix_of(flow, scopes, line)).own.append(line)
    _Contraction(flow, root, regions.values(), banned).apply()
    return root


def _module_scopes(flow: Flow) -> dict[Prefix, str]:
    """Scope of operations -> path of the module whose parameters they read.

    The last parts of both are the same, but for what made the operation's unique.
    """
    found: dict[Prefix, str] = {}
    for line in flow.lines:
        step = flow.step(line)
        if step.target != "module":
            continue
        scope = flow.plan.owners[line].split("/")[:-1]
        path = step.args[0].split(".")
        while path and scope:
            aligned = _aligned(scope, path)
            if aligned:
                for prefix, module in aligned:
                    found.setdefault(prefix, module)
                break
            path = path[:-1]
    return found


def _aligned(scope: list[str], path: list[str]) -> list[tuple[Prefix, str]]:
    """The pairs of prefixes that mean the same, the longest first."""
    end = len(scope)
    while end and not _is_same(scope[end - 1], path[-1]):
        end -= 1
    found = []
    while end and path and _is_same(scope[end - 1], path[-1]):
        found.append((tuple(scope[:end]), ".".join(path)))
        end, path = end - 1, path[:-1]
    return found


def _is_same(part: str, name: str) -> bool:
    return identifier(part) == name or identifier(re.sub(r"_\d+$", "", part)) == name


def _prefix_of(flow: Flow, scopes: dict[Prefix, str], line: int) -> Prefix:
    """The longest known scope of a line whose module holds all parameters that it reads."""
    parts = tuple(flow.plan.owners[line].split("/")[:-1])
    step = flow.step(line)
    used = list(flow.attributes[line])
    if step.target == "module":
        used.append(step.args[0])
    for end in range(len(parts), 0, -1):
        path = scopes.get(parts[:end])
        if path is not None and all(is_below(each, path) for each in used):
            return _shortest(scopes, parts[:end])
    return ()


def _shortest(scopes: dict[Prefix, str], prefix: Prefix) -> Prefix:
    """The scope that a scope of the same module was entered from, again."""
    ends = (end for end in range(1, len(prefix)) if scopes.get(prefix[:end]) == scopes[prefix])
    return prefix[: next(ends, len(prefix))]


def is_below(path: str, other: str) -> bool:
    """Whether a path is another, or below it."""
    return not other or path == other or path.startswith(f"{other}.")


def _region(regions: dict[Prefix, Region], scopes: dict[Prefix, str], prefix: Prefix) -> Region:
    """The region of a scope, made with those above it where it is new."""
    if prefix not in regions:
        path = scopes[prefix]
        above = next(
            prefix[:end]
            for end in range(len(prefix) - 1, -1, -1)
            if not end or _is_above(scopes.get(prefix[:end]), path)
        )
        regions[prefix] = Region(path, prefix)
        _region(regions, scopes, above).children.append(regions[prefix])
    return regions[prefix]


def _is_above(path: str | None, other: str) -> bool:
    return path is not None and path != other and is_below(other, path)


class _Contraction:
    """Turns regions into single items, from the innermost on, as long as no cycle comes of it."""

    def __init__(self, flow: Flow, root: Region, regions, banned: frozenset[str]):
        self.flow = flow
        self.root = root
        self.banned = banned
        self.group = {line: line for line in flow.lines}
        self.members = {line: [line] for line in flow.lines}
        self.readers: dict[int, list[int]] = defaultdict(list)
        for line in flow.lines:
            for read in flow.reads[line]:
                self.readers[read].append(line)
        self.wanted = {each for name in flow.plan.outputs for each in _results(flow, name)}
        self.instances: dict[str, set[int]] = defaultdict(set)
        for region in regions:
            self.instances[region.path].update(region.lines)
        self.users = _users(flow)

    def apply(self) -> None:
        self._build(self.root)
        self.root.inputs = [ref.index for ref in self.flow.plan.inputs.values()]

    def _build(self, region: Region) -> None:
        items: list[int | Region] = list(region.own)
        for child in region.children:
            self._build(child)
            whole = child.items
            if len(whole) == 1 and self._path(whole[0]) == child.path:
                items += whole  # a module of torch's: no class around it
            elif self._is_module(child) and self._merge(child.lines):
                items.append(child)
            else:
                items += whole
        region.items = self._ordered(items)
        self._set_ends(region)

    def _path(self, item: int | Region) -> str | None:
        """The module that an item calls."""
        if isinstance(item, Region):
            return item.path
        step = self.flow.step(item)
        return step.args[0] if step.target == "module" else None

    def _set_ends(self, region: Region) -> None:
        inside = set(region.lines)
        reads = [read for item in region.items for read in self._reads(item)]
        region.inputs = [read for read in dict.fromkeys(reads) if read not in inside]
        region.outputs = [
            line
            for line in sorted(inside)
            if line in self.wanted or any(each not in inside for each in self.readers[line])
        ]

    def _reads(self, item: int | Region) -> list[int]:
        return item.inputs if isinstance(item, Region) else self.flow.reads[item]

    def _is_module(self, region: Region) -> bool:
        """Whether a region has ends, and its module is used nowhere else."""
        path = region.path
        used = {
            user for each, users in self.users.items() if is_below(each, path) for user in users
        }
        is_closed = used <= self.instances[path]
        return bool(region.inputs and region.outputs and is_closed) and path not in self.banned

    def _merge(self, lines: list[int]) -> bool:
        """Makes lines one group, unless a path leads out of it and back."""
        groups = {self.group[line] for line in lines}
        seen, todo = set(), [g for each in groups for g in self._next(each) if g not in groups]
        while todo:
            group = todo.pop()
            if group in groups:
                return False
            if group not in seen:
                seen.add(group)
                todo += self._next(group)
        first, *others = sorted(groups)
        for group in others:
            self.members[first] += self.members.pop(group)
        self.group.update(dict.fromkeys(self.members[first], first))
        return True

    def _next(self, group: int) -> list[int]:
        found = {self.group[r] for line in self.members[group] for r in self.readers[line]}
        return [each for each in found if each != group]

    def _ordered(self, items: list[int | Region]) -> list[int | Region]:
        """In an order in which they can be run, at best that of the graph."""
        makers = {}
        for number, item in enumerate(items):
            for line in item.lines if isinstance(item, Region) else [item]:
                makers[line] = number
        missing = []
        followers = defaultdict(list)
        for number, item in enumerate(items):
            before = {makers[read] for read in self._reads(item) if read in makers} - {number}
            missing.append(len(before))
            for each in before:
                followers[each].append(number)
        first = [min(i.lines) if isinstance(i, Region) else i for i in items]
        ready = [(first[n], n) for n, count in enumerate(missing) if not count]
        heapq.heapify(ready)
        found = []
        while ready:
            _, number = heapq.heappop(ready)
            found.append(items[number])
            for each in followers[number]:
                missing[each] -= 1
                if not missing[each]:
                    heapq.heappush(ready, (first[each], each))
        return found


def _results(flow: Flow, name: str) -> list[int]:
    """The lines that an output of the network is made of."""
    index = flow.plan.values[name].index
    return flow.used_by(index) if flow.is_inside(index) else [index]


def _users(flow: Flow) -> dict[str, list[int]]:
    """Path of a module or parameter -> the lines that use it."""
    found: dict[str, list[int]] = defaultdict(list)
    for line in flow.lines:
        step = flow.step(line)
        for path in flow.attributes[line]:
            found[path].append(line)
        if step.target == "module":
            found[step.args[0]].append(line)
    return found
