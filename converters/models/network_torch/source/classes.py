"""The classes of the source: regions that do the same are instances of one class.

Two regions are of one class if their `forward`s read the same and their modules are made the same
way but for numbers; the numbers that differ are the arguments of the class.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from converters.models.network_torch.making import making_of
from converters.models.network_torch.source import makers
from converters.models.network_torch.source.flow import Flow
from converters.models.network_torch.source.forward import Forward
from converters.models.network_torch.source.makers import CHANNELS, Literal, Maker
from converters.models.network_torch.source.regions import Region, is_below

ROOT = "Network"


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


@dataclass(eq=False)
class Argument:
    """An argument of a class: a name, and the value that most instances have as a default."""

    name: str
    literals: list[list[Literal]]  # of each instance
    default: object = ...


@dataclass(eq=False)
class Class:
    """A class of the source.

    Attributes:
        name: of it.
        templates: its instances; they are written alike.
        arguments: of its `__init__`.
    """

    name: str
    templates: list[Template]
    arguments: list[Argument] = field(default_factory=list)

    @property
    def template(self) -> Template:
        return self.templates[0]

    @property
    def paths(self) -> list[str]:
        return list(dict.fromkeys(template.region.path for template in self.templates))


class DifferentInstancesError(Exception):
    """A module is called twice, and what it would do is not the same."""

    def __init__(self, path: str):
        super().__init__(path)
        self.path = path


def find_classes(flow: Flow, root: Region) -> list[Class]:
    """The classes, those that others are made of before them; the network's own is the last.

    Raises:
        DifferentInstancesError: see there.
    """
    return _Classes(flow).of(root)


class _Classes:
    """Finds the classes from the innermost regions on."""

    def __init__(self, flow: Flow):
        self.flow = flow
        self.classes: list[Class] = []
        self.named: dict[str, Template] = {}  # name of a class -> one of its instances
        self.made: dict[str, Maker] = {}  # path of a region's module -> how it is made

    def of(self, root: Region) -> list[Class]:
        for level in _levels(root):
            alike: dict[tuple, list[Template]] = defaultdict(list)
            for region in level:
                if not self._as_chain(region):
                    template = self._template(region)
                    alike[template.signature()].append(template)
            names = self._names(list(alike.values()))
            for templates in alike.values():
                self._add(names[id(templates)], templates)
        return self.classes

    def _names(self, groups: list[list[Template]]) -> dict[int, str]:
        """A name for each group; what there is most of gets the plain one."""
        found: dict[int, str] = {}
        for templates in sorted(groups, key=len, reverse=True):
            found[id(templates)] = self._name(templates)
            self.named[found[id(templates)]] = templates[0]
        return found

    def _add(self, name: str, templates: list[Template]) -> None:
        """A class of what is alike, and the calls that make its instances."""
        found = Class(name, templates, _arguments(templates))
        self.classes.append(found)
        for number, template in enumerate(templates):
            values = [
                (each.name, each.literals[number][0].value, each.default)
                for each in found.arguments
            ]
            for each in found.arguments:
                for written in each.literals[number]:
                    written.argument = each.name
            self._set(template.region.path, makers.call_of_class(found.name, values))

    def _set(self, path: str, maker: Maker) -> None:
        """How a module is made; one that is called twice must be made the same way."""
        before = self.made.get(path)
        if before is not None and before.written() != maker.written():
            raise DifferentInstancesError(path)
        self.made[path] = maker

    def _as_chain(self, region: Region) -> bool:
        """Whether it only calls its modules one after another; then it needs no class."""
        if not region.path or region.path in self.flow.names.modules or len(region.inputs) != 1:
            return False
        paths, value = [], region.inputs[0]
        for item in region.items:
            path, given, made = self._called(item)
            if path is None or given != [value] or len(made) != 1 or path in paths:
                return False
            paths.append(path)
            value = made[0]
        if region.outputs != [value] or self._leaves(region):
            return False
        found = {region.relative(path): self._maker(path) for path in paths}
        nested = _nested(found, "chain")
        if nested is None:
            return False
        self._set(region.path, nested)
        return True

    def _called(self, item: int | Region) -> tuple[str | None, list[int], list[int]]:
        """The module that an item calls, what it is given, what comes out."""
        if isinstance(item, Region):
            return item.path, item.inputs, item.outputs
        step = self.flow.step(item)
        path = step.args[0] if step.target == "module" else None
        return path, self.flow.reads[item], [item]

    def _template(self, region: Region) -> Template:
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

    def _name(self, templates: list[Template]) -> str:
        region = templates[0].region
        if not region.path:
            return ROOT
        base = _unit_name(self.flow, templates[0]) or _scope_name(templates)
        return self._told_apart(base, templates[0])

    def _told_apart(self, base: str, template: Template) -> str:
        """A name that no class has: with what the first class of the name lacks, or its scope."""
        pattern = re.compile(rf"{base}(With\w+|\d+)?")
        others = [each for name, each in self.named.items() if pattern.fullmatch(name)]
        if not others and base != ROOT:
            return base
        known = {word for each in others for word in _words(each)}
        for word in _words(template):
            if word not in known:
                return self._free(f"{base}With{word}")
        above = template.region.path.split(".")[-2:-1]
        return self._free(_camel("_".join(above)) + base if above else base)

    def _free(self, name: str) -> str:
        found, count = name, 1
        while found in self.named or found == ROOT:
            count += 1
            found = f"{name}{count}"
        return found


def _levels(root: Region) -> Iterator[list[Region]]:
    """The regions that become modules, those inside of others before them."""
    heights: dict[Region, int] = {}

    def height(region: Region) -> int:
        inner = [height(item) for item in region.items if isinstance(item, Region)]
        heights[region] = max(inner, default=-1) + 1
        return heights[region]

    for level in range(height(root) + 1):
        found = [region for region, at in heights.items() if at == level]
        yield sorted(found, key=lambda region: min(region.lines, default=0))


def _arguments(templates: list[Template]) -> list[Argument]:
    """What differs between instances, each with a name."""
    rows = [template.literals() for template in templates]
    groups: dict[tuple, list[list[Literal]]] = {}
    for column in zip(*rows, strict=True):
        values = tuple(each.value for each in column)
        if len(set(values)) > 1:
            role = column[0].role
            key = ("channels" if role in CHANNELS else role, values)
            of_instance = groups.setdefault(key, [[] for _ in templates])
            for found, each in zip(of_instance, column, strict=True):
                found.append(each)
    found = []
    for (kind, values), literals in groups.items():
        name = _argument_name(kind, literals[0], rows[0], templates[0], {a.name for a in found})
        by_place = kind == "channels" or makers.is_by_place(kind)
        default = ... if by_place else Counter(values).most_common(1)[0][0]
        found.append(Argument(name, literals, default))
    return sorted(found, key=lambda each: each.default is not ...)


def _argument_name(
    kind: str, literals: list[Literal], row: list[Literal], template: Template, taken: set[str]
) -> str:
    """What is first is the inputs, what is last the outputs, unless values are joined."""
    found = kind
    if kind == "channels":
        channels = [each for each in row if each.role in CHANNELS]
        joined = any("torch.cat" in line for line in template.lines[-1:])
        last = [each for each in channels if each.role in ("outputs", "channels")][-1:]
        if channels[0] in literals and channels[0].role == "inputs":
            found = "inputs"
        elif last and last[0] in literals and not joined:
            found = "outputs"
        elif all(each.role == "groups" for each in literals):
            found = "groups"
    name, count = found, 1
    while name in taken:
        count += 1
        name = f"{found}{count}" if found != "channels" else f"{'inner_' * (count - 1)}channels"
    return name


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


_UNIT_WORDS = {
    "nn.Conv2d": "Conv",
    "SameConv2d": "SameConv",
    "nn.ConvTranspose2d": "ConvTranspose",
    "nn.Linear": "Linear",
}


def _unit_name(flow: Flow, template: Template) -> str | None:
    """ConvNormRelu: the name of a layer with what follows it, if that is all that there is."""
    if template.base is None or len(template.lines) > 1:
        return None
    words = []
    for item in template.region.items:
        if isinstance(item, Region):
            return None
        step = flow.step(item)
        if step.target == "module":
            module = flow.names.modules.get(step.args[0])
            if module is None:
                return None
            is_norm = module.layer.kind == "batch_norm"
            is_depthwise = module.layer.kind == "depthwise_conv"
            word = "Norm" if is_norm else _UNIT_WORDS.get(template.base.name, "Layer")
            words.append(f"Depthwise{word}" if is_depthwise else word)
        else:
            words.append(_camel(step.target.rpartition(".")[2]))
    return "".join(words) if words and len(words) <= 4 else None


def _scope_name(templates: list[Template]) -> str:
    """The last part of the scopes, without what counts them."""
    parts = [template.region.path.rpartition(".")[2] for template in templates]
    if len(set(parts)) > 1:
        plain = {re.sub(r"_\d+$", "", part) for part in parts}
        parts = list(plain) if len(plain) == 1 else parts
    return _camel(parts[0]) or "Block"


def _camel(text: str) -> str:
    name = ""
    for word in re.split(r"\W|_", text):
        between = "_" if name[-1:].isdigit() and word[:1].isdigit() else ""
        name += between + word[:1].upper() + word[1:]
    return f"Block{name}" if name[:1].isdigit() else name


def _words(template: Template) -> list[str]:
    """What tells a class apart, in words: its modules, and the functions that it calls."""
    called = [each for line in template.lines for each in re.findall(r"[\w.]+(?=\()", line)]
    others = [each for each in called if not each.startswith(("self.", "super"))]
    functions = [each.rpartition(".")[2].removesuffix("2d") for each in others]
    members = [name.partition(".")[0] for name in template.members]
    words = dict.fromkeys(map(_camel, [*members, *functions]))
    return [word for word in words if word and not re.search(r"\d", word)]
