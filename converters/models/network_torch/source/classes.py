"""The classes of the source: regions that do the same are instances of one class.

Two regions are of one class if their `forward`s read the same and their modules are made the same
way but for numbers; the numbers that differ are the arguments of the class.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from converters.models.network_torch.source import makers
from converters.models.network_torch.source.arguments import Argument, find_arguments
from converters.models.network_torch.source.class_names import ClassNames
from converters.models.network_torch.source.flow import Flow
from converters.models.network_torch.source.makers import Maker
from converters.models.network_torch.source.regions import Region
from converters.models.network_torch.source.templates import Template, Templates


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
        self.classes: list[Class] = []
        self.names = ClassNames(flow)
        self.templates = Templates(flow)

    def of(self, root: Region) -> list[Class]:
        for level in _levels(root):
            alike: dict[tuple, list[Template]] = defaultdict(list)
            for region in level:
                chain = self.templates.as_chain(region)
                if chain:
                    self._set(region.path, chain)
                else:
                    template = self.templates.of(region)
                    alike[template.signature()].append(template)
            groups = list(alike.values())
            for name, templates in zip(self.names.of(groups), groups, strict=True):
                self._add(name, templates)
        return self.classes

    def _add(self, name: str, templates: list[Template]) -> None:
        """A class of what is alike, and the calls that make its instances."""
        found = Class(name, templates, find_arguments(templates))
        self.classes.append(found)
        for number, template in enumerate(templates):
            values = [
                (each.name, each.literals[number][0].value, each.default)
                for each in found.arguments
            ]
            for each in found.arguments:
                for written in each.literals[number]:
                    written.argument = each.name
            self._set(template.region.path, makers.call_of_class(name, values))

    def _set(self, path: str, maker: Maker) -> None:
        """How a module is made; one that is called twice must be made the same way."""
        before = self.templates.made.get(path)
        if before is not None and before.written() != maker.written():
            raise DifferentInstancesError(path)
        self.templates.made[path] = maker


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
