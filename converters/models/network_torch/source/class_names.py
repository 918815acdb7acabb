"""The names of classes: after what they do, or after their scopes."""

from __future__ import annotations

import re

from converters.models.network_torch.source.flow import Flow
from converters.models.network_torch.source.regions import Region
from converters.models.network_torch.source.templates import Template

ROOT = "Network"  # the class of the whole
# Names that mean something in the source.
_TAKEN = {ROOT, "Scope", "SameConv2d", "OrderedDict", "Bias"} | {
    f"BatchNorm{dims}d" for dims in (1, 2, 3)
}


class ClassNames:
    """Gives each class a name that no other has.

    Args:
        flow: the lines.
    """

    def __init__(self, flow: Flow):
        self.flow = flow
        self.named: dict[str, Template] = {}  # name of a class -> one of its instances

    def of(self, groups: list[list[Template]]) -> list[str]:
        """A name for each group of instances; what there is most of gets the plain one."""
        found: dict[int, str] = {}
        for number in sorted(range(len(groups)), key=lambda each: -len(groups[each])):
            found[number] = self._name(groups[number])
            self.named[found[number]] = groups[number][0]
        return [found[number] for number in range(len(groups))]

    def _name(self, templates: list[Template]) -> str:
        region = templates[0].region
        if not region.path:
            return ROOT
        base = _unit_name(self.flow, templates) or _scope_name(templates)
        return self._told_apart(base, templates[0])

    def _told_apart(self, base: str, template: Template) -> str:
        """A name that no class has: with what the first class of the name lacks, or its scope."""
        pattern = re.compile(rf"{base}(With\w+|\d+)?")
        others = [each for name, each in self.named.items() if pattern.fullmatch(name)]
        if not others and base not in _TAKEN:
            return base
        known = {word for each in others for word in _words(each)}
        for word in _words(template):
            if word not in known:
                return self._free(f"{base}With{word}")
        above = template.region.path.split(".")[-2:-1]
        return self._free(_camel("_".join(above)) + base if above else base)

    def _free(self, name: str) -> str:
        found, count = name, 1
        while found in self.named or found in _TAKEN:
            count += 1
            found = f"{name}{count}"
        return found


_UNIT_WORDS = {
    "nn.Conv2d": "Conv",
    "SameConv2d": "SameConv",
    "nn.ConvTranspose2d": "ConvTranspose",
    "nn.Linear": "Linear",
}


def _unit_name(flow: Flow, templates: list[Template]) -> str | None:
    """ConvNormRelu: the name of a layer with what follows it, if that is all that there is."""
    template = templates[0]
    if template.base is None or len(template.lines) > 1:
        return None
    words = []
    for item in template.region.items:
        if isinstance(item, Region):
            return None
        step = flow.step(item)
        module = flow.names.modules.get(step.args[0]) if step.target == "module" else None
        if module is None:
            words.append(_camel(step.target.rpartition(".")[2]))
        elif module.layer.kind == "batch_norm":
            words.append("Norm")
        else:
            words.append(_UNIT_WORDS.get(template.base.name, "Layer"))
    kinds = {flow.names.modules[each.region.path].layer.kind for each in templates}
    words = ["Depthwise", *words] if kinds == {"depthwise_conv"} else words
    return "".join(words) if len(words) <= 4 else None


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
