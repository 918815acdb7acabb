"""Rules that make slim's names, and slim's layouts, of the names of other code.

docs/rules.md describes the file that they are written in, with a worked example.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from converters.files import CheckpointError, WeightsFile
from converters.files.errors import blame
from converters.recognise import creation_order
from converters.recognise.detection import PER_VARIABLE, auxiliary_kind
from converters.recognise.patience import limited
from converters.recognise.transforms import IDENTITY, Transform

FIELD = re.compile(r"\{(?P<group>\w+)(?P<offset>[+-]\d+)?\}")
_MOST_LISTED = 5

# Slim's axes by their set: a kernel, a 1x1 kernel or matrix, a vector.
_SLIM_AXES = {frozenset(axes): axes for axes in ("HWIO", "IO", "C")}


@dataclass(frozen=True)
class Layout:
    """The axes of an array as a file has them; called, it gives a view in slim's order.

    `axes` is a permutation of HWIO (height, width, input, output channels) for a kernel, of IO for
    a matrix, which slim has as a 1x1 kernel, or C for a vector; 1 stands for an axis of size 1 that
    slim has not.

    Raises:
        ValueError: it is none of these.
    """

    axes: str

    def __post_init__(self):
        kept = self.axes.replace("1", "")
        if frozenset(kept) not in _SLIM_AXES or len(set(kept)) < len(kept):
            raise ValueError(
                f"the layout {self.axes!r} is no order of HWIO, of IO, or C, with 1 for an axis of "
                "size 1"
            )

    @property
    def transform(self) -> Transform:
        """From slim's layout to this one, without its axes of size 1."""
        kept = self.axes.replace("1", "")
        if kept == "C":
            return IDENTITY
        axes = _SLIM_AXES[frozenset(kept)]
        return Transform(tuple(map(axes.index, kept)), squeeze=axes == "IO")

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """A view of `array` in slim's layout.

        Raises:
            ValueError: `array` does not have these axes.
        """
        sizes = array.shape
        if len(sizes) != len(self.axes) or any(
            axis == "1" and size != 1 for axis, size in zip(self.axes, sizes, strict=False)
        ):
            raise ValueError(f"it has the shape {list(sizes)}, not the layout {self.axes!r}")
        kept = [size for axis, size in zip(self.axes, sizes, strict=True) if axis != "1"]
        return self.transform.inverse(array.reshape(kept))


@dataclass(frozen=True)
class Rule:
    """What becomes of the variables whose whole name `match` fits.

    `name` is the template of slim's name, None to drop the variable; `layout`: None is slim's.
    """

    number: int
    match: re.Pattern
    name: str | None
    layout: Layout | None


@dataclass(frozen=True)
class Rules:
    """A file of rules, see `rules_file`.

    Attributes:
        path: the file.
        rules: in its order; the first that fits a name decides.
        words: name of a group -> its texts and what they become.
        scope: the scope to put all names into.
        network: what variables do not tell of the network, as `slim_resnet.arch.facts` takes it.
        choices: name of a field -> what stands for it -> an expression; the first that fits a
            variable of the file decides.
        order: name of a group -> the kind of layer, of `creation_order.KINDS`, that its texts
            number.
        fields: what stands for each name of `choices` in one file, see `resolved`.
    """

    path: str
    rules: tuple[Rule, ...]
    words: Mapping[str, Mapping[str, str]]
    scope: str
    network: Mapping[str, object] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, re.Pattern]] = field(default_factory=dict)
    order: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    def resolved(self, file: WeightsFile) -> Rules:
        """The same with what only a file tells: its choices are made, its layers counted.

        Raises:
            CheckpointError: no choice fits, or the numbers of its layers tell no network.
        """
        fields = {name: self._chosen(name, file) for name in self.choices}
        with blame(file.path):
            words = {**self.words, **self._layers(file)}
        return replace(self, words=words, fields=fields, choices={}, order={})

    def _chosen(self, name: str, file: WeightsFile) -> str:
        for text, pattern in self.choices[name].items():
            if any(map(pattern.fullmatch, file)):
                return text
        options = " or ".join(pattern.pattern for pattern in self.choices[name].values())
        raise CheckpointError(f"{file.path}: {self.path}: it has no variable {options} ({name})")

    def _layers(self, file: WeightsFile) -> dict[str, dict[str, str]]:
        """Group -> the texts that number layers and the scopes of those."""
        shapes: dict[str, dict[str, tuple[int, ...]]] = {group: {} for group in self.order}
        for name in file if self.order else ():
            match = next(filter(None, (rule.match.fullmatch(name) for rule in self.rules)), None)
            for group, text in (match.groupdict() if match else {}).items():
                if group in shapes and text:
                    shapes[group][text] = file.shape(name)
        return creation_order.scopes(shapes, self.order) if all(shapes.values()) else {}

    def find(self, name: str) -> tuple[Rule, str | None] | None:
        """The rule for a variable and slim's name (None: dropped); None where no rule fits.

        A slot or average that no rule fits, VARIABLE/SLOT, goes with its variable.

        Raises:
            CheckpointError: a group holds what the rule cannot use.
        """
        found = self._first(name)
        if found or auxiliary_kind(name) not in PER_VARIABLE:
            return found
        base, _, slot = name.rpartition("/")
        found = self._first(base)
        if found is None or found[1] is None:
            return found
        rule, made = found
        return rule, f"{made}/{slot}"

    def _first(self, name: str) -> tuple[Rule, str | None] | None:
        for rule in self.rules:
            match = rule.match.fullmatch(name)
            if match:
                return rule, self._fill(rule, match)
        return None

    def _fill(self, rule: Rule, match: re.Match) -> str | None:
        if rule.name is None:
            return None

        def value(field: re.Match) -> str:
            group, offset = field["group"], field["offset"]
            if group in self.fields:
                return self.fields[group]
            text = match[int(group) if group.isdecimal() else group] or ""
            words = self.words.get(group)
            if words is not None and text:
                if text not in words:
                    raise self._error(rule, match[0], f"[words.{group}] lacks {text!r}: add it")
                text = words[text]
            if offset is None:
                return text
            if not (text.isdecimal() and len(text) < 10):
                reason = f"{field[0]} needs a number of digits, not {text!r}: match them alone"
                raise self._error(rule, match[0], reason)
            return str(int(text) + int(offset))

        name = FIELD.sub(value, rule.name)
        return f"{self.scope}/{name}" if self.scope else name

    def _error(self, rule: Rule, variable: str, reason: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: rule {rule.number}, variable {variable!r}: {reason}")


def apply_rules(file: WeightsFile, rules: Rules, *, quiet: bool = False) -> WeightsFile:
    """The variables of a file under the names and in the layouts that rules give them.

    Args:
        file: the weights.
        rules: what to call them.
        quiet: without notes: the rules are for more files than this one.

    Arrays are read when asked for, and are views where the file's are. Variables that no rule fits
    keep their names. The result's `notes` say which rules fit nothing and which variables no rule
    fits, its `dropped` what the rules leave out.

    Raises:
        CheckpointError: two variables get one name, a layout is not that of its variable, or an
            expression backtracks without end.
    """
    with limited(rules.path):
        return _applied(file, rules.resolved(file), quiet)


def _applied(file: WeightsFile, rules: Rules, quiet: bool) -> WeightsFile:
    used: set[int] = set()
    kept: list[str] = []
    dropped: list[str] = []
    origins: dict[str, str] = {}
    views: dict[str, Layout] = {}
    for origin in file:
        rule, name = rules.find(origin) or (None, origin)
        if rule is None:
            kept.append(origin)
        else:
            used.add(rule.number)
        if name is None:
            dropped.append(origin)
            continue
        where = f"{rules.path}: rule {rule.number}" if rule else rules.path
        if name in origins:
            raise CheckpointError(
                f"{where}: the variables {origins[name]!r} and {origin!r} of {file.path} "
                f"would both be {name!r}: make a match narrower, or drop one of them"
            )
        origins[name] = origin
        if rule and rule.layout:
            _check_layout(
                rule.layout, file.shape(origin), f"{where}: the variable {origin!r} of {file.path}"
            )
            views[name] = rule.layout
    notes = () if quiet else tuple(_notes(rules, file.path, used, kept))
    return file.renamed(origins, views, notes=notes, dropped=tuple(dropped))


def _check_layout(layout: Layout, shape: tuple[int, ...], where: str) -> None:
    try:  # a view of one zero has the shape and takes no memory
        layout(np.broadcast_to(np.float32(0), shape))
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _notes(rules: Rules, path: str, used: set[int], kept: list[str]) -> list[str]:
    notes = [
        f"{rules.path}: rule {rule.number} ({rule.match.pattern!r}) decides on no variable of "
        f"{path}"
        for rule in rules.rules
        if rule.number not in used
    ]
    unmatched = [name for name in kept if auxiliary_kind(name) is None]
    if unmatched:
        more = len(unmatched) - _MOST_LISTED
        listed = ", ".join(unmatched[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
        notes.append(
            f"{rules.path}: no rule fits {len(unmatched)} variables, which keep their names: "
            f"{listed}"
        )
    return notes
