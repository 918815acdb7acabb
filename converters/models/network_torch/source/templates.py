"""A region as it would be written: what its module holds, and what its `forward` does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from converters.models.network_torch.making import making_of
from converters.models.network_torch.source import makers
from converters.models.network_torch.source.flow import Flow
from converters.models.network_torch.source.forward import Forward
from converters.models.network_torch.source.makers import Literal, Maker
from converters.models.network_torch.source.regions import Region, is_below


@dataclass(eq=False)
class Leaf:
    """A parameter or buffer that no module of torch's holds."""

    path: str
    shape: list[Literal]
    is_trainable: bool


@dataclass(eq=False)
class Template:
    """A region as it would be written.

    Attributes:
        region: the region.
        base: the call of the class that it extends; None for nn.Module.
        members: path below the region -> how it is made.
        leaves: parameters of its own.
        frozen: paths of parameters that need no gradient.
        arguments: of `forward`.
        lines: of `forward`.
    """

    region: Region
    base: Maker | None
    members: dict[str, Maker]
    leaves: list[Leaf]
    frozen: list[str]
    arguments: list[str]
    lines: list[str]

    def literals(self) -> list[Literal]:
        found = list(self.base.all_literals()) if self.base else []
        for maker in self.members.values():
            found += maker.all_literals()
        return found + [each for leaf in self.leaves for each in leaf.shape]

    def signature(self) -> tuple:
        return (
            self.base and self.base.signature(),
            tuple((name, maker.signature()) for name, maker in self.members.items()),
            tuple((leaf.path, leaf.is_trainable, len(leaf.shape)) for leaf in self.leaves),
            tuple(self.frozen),
            tuple(self.arguments),
            tuple(self.lines),
        )


class Templates:
    """Writes regions, those inside of others before them.

    Args:
        flow: the lines.

    Attributes:
        made: path of a region's module -> how it is made.
    """

    def __init__(self, flow: Flow):
        self.flow = flow
        self.made: dict[str, Maker] = {}

    def as_chain(self, region: Region) -> Maker | None:
        """Whether it only calls its modules one after another; then it needs no class."""
        if not region.path or region.path in self.flow.names.modules or len(region.inputs) != 1:
            return None
        paths, value = [], region.inputs[0]
        for item in region.items:
            path, given, made = self._called(item)
            if path is None or given != [value] or len(made) != 1 or path in paths:
                return None
            paths.append(path)
            value = made[0]
        if region.outputs != [value] or self._leaves(region):
            return None
        found = {region.relative(path): self._maker(path) for path in paths}
        return _nested(found, "chain")

    def _called(self, item: int | Region) -> tuple[str | None, list[int], list[int]]:
        """The module that an item calls, what it is given, what comes out."""
        if isinstance(item, Region):
            return item.path, item.inputs, item.outputs
        step = self.flow.step(item)
        path = step.args[0] if step.target == "module" else None
        return path, self.flow.reads[item], [item]

    def of(self, region: Region) -> Template:
        arguments, lines = Forward(self.flow, region).body()
        base = self._maker(region.path) if region.path in self.flow.names.modules else None
        found = {region.relative(path): self._maker(path) for path in self._members(region)}
        leaves = self._leaves(region)
        for leaf in leaves:
            scope = leaf.path.rpartition(".")[0]
            if scope and not any(is_below(each, scope) for each in found):
                found[scope] = Maker("Scope")
        return Template(
            region, base, _grouped(found), leaves, self._frozen(region, found), arguments, lines
        )

    def _members(self, region: Region) -> list[str]:
        """The modules that a region makes, in the order in which it uses them."""
        inner = [item.path for item in region.items if isinstance(item, Region)]
        used = []
        for item in region.items:
            if isinstance(item, Region):
                used.append(item.path)
                continue
            step = self.flow.step(item)
            used += [step.args[0]] if step.target == "module" else []
            used += [path.rpartition(".")[0] for path in self.flow.attributes[item]]
        known = [path for path in dict.fromkeys(used) if self._is_made_here(path, inner)]
        return [path for path in known if path != region.path]

    def _is_made_here(self, path: str, inner: list[str]) -> bool:
        if path in inner:
            return True
        module = self.flow.names.modules.get(path)
        is_module = path in self.flow.plan.dropouts or (module and module.layer.kind != "bias")
        return bool(is_module)

    def _maker(self, path: str) -> Maker:
        """How a module is made."""
        if path in self.made:
            return self.made[path].copy()
        if path in self.flow.plan.dropouts:
            return Maker("nn.Dropout", [Literal(self.flow.plan.dropouts[path] or 0.0, "rate")])
        how = making_of(self.flow.names.modules[path], self.flow.network)
        return makers.stock(how, path in self.flow.same)

    def _leaves(self, region: Region) -> list[Leaf]:
        """The parameters that are read as values."""
        read = [
            path
            for item in region.items
            if not isinstance(item, Region)
            for path in self.flow.attributes[item]
        ]
        parameters = {
            state: (self.flow.network.parameters[name], layout)
            for name, (state, layout) in self.flow.names.states.items()
        }
        found = []
        for path in dict.fromkeys(read):
            module = self.flow.names.modules.get(path.rpartition(".")[0])
            if module is None or module.layer.kind == "bias":
                parameter, layout = parameters[path]
                shape = _shape(parameter.shape, layout)
                literals = [Literal(n, "channels" if n > 1 else "one") for n in shape]
                found.append(Leaf(region.relative(path), literals, parameter.trainable))
        return found

    def _frozen(self, region: Region, members) -> list[str]:
        """The weights of stock modules that the graph's optimizer leaves as they are."""
        parameters = self.flow.network.parameters
        if not any(parameter.trainable for parameter in parameters.values()):
            return []
        own = [region.relative(region.path)] if region.path in self.flow.names.modules else []
        found = []
        for relative in [*members, *own]:
            path = f"{region.path}.{relative}".strip(".") if relative else region.path
            module = self.flow.names.modules.get(path)
            if module is None or (path in self.made and relative):
                continue
            for role, name in module.roles.items():
                is_statistic = role in ("mean", "variance")
                if not is_statistic and not parameters[name].trainable:
                    state = self.flow.names.states[name][0]
                    found.append(region.relative(state))
        return found


def _grouped(members: dict[str, Maker]) -> dict[str, Maker]:
    """Members of scopes that are no members themselves in `Scope`s."""
    found: dict[str, Maker] = {}
    tops: dict[str, dict[str, Maker]] = defaultdict(dict)
    for path, maker in members.items():
        top = path.partition(".")[0]
        tops[top][path] = maker
    for top, below in tops.items():
        if top in below:
            found |= dict(sorted(below.items(), key=lambda each: each[0].count(".")))
        else:
            found[top] = _scope({path[len(top) + 1 :]: maker for path, maker in below.items()})
    return found


def _scope(members: dict[str, Maker]) -> Maker:
    return Maker("Scope", parts=_grouped(members))


def _nested(members: dict[str, Maker], name: str) -> Maker | None:
    """Calls one after another as chains in chains; None where scopes are left and come back."""
    parts: dict[str, dict[str, Maker]] = {}
    before = None
    for path, maker in members.items():
        top, _, rest = path.partition(".")
        if top in parts and (top != before or not rest or "" in parts[top]):
            return None
        parts.setdefault(top, {})[rest] = maker
        before = top
    found = {}
    for top, below in parts.items():
        found[top] = below[""] if "" in below else _nested(below, name)
        if found[top] is None:
            return None
    return Maker(name, parts=found)


def _shape(shape: tuple[int, ...], layout) -> tuple[int, ...]:
    """The shape of a parameter in torch."""
    merged = getattr(layout, "merged", None)
    if merged is not None:
        return merged
    return shape if layout.permutation is None else tuple(shape[a] for a in layout.permutation)
