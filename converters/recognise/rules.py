"""A user's own names: rules in TOML that make slim's names, and slim's layouts, of them.

docs/rules.md describes the format, with a worked example.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from converters.files import CheckpointError, WeightsFile
from converters.recognise.detection import PER_VARIABLE, auxiliary_kind
from converters.recognise.transforms import IDENTITY, Transform
from slim_resnet.arch.facts import TOLD

_KEYS = {"match", "name", "layout", "drop"}
_FIELD = re.compile(r"\{(?P<group>\w+)(?P<offset>[+-]\d+)?\}")
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
    """A file of rules, see `read_rules`.

    Attributes:
        path: the file.
        rules: in its order; the first that fits a name decides.
        words: name of a group -> its texts and what they become.
        scope: the scope to put all names into.
        network: what variables do not tell of the network, as `slim_resnet.arch.facts` takes it.
    """

    path: str
    rules: tuple[Rule, ...]
    words: Mapping[str, Mapping[str, str]]
    scope: str
    network: Mapping[str, object] = field(default_factory=dict)

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

        name = _FIELD.sub(value, rule.name)
        return f"{self.scope}/{name}" if self.scope else name

    def _error(self, rule: Rule, variable: str, reason: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: rule {rule.number}, variable {variable!r}: {reason}")


def read_rules(path: str | os.PathLike) -> Rules:
    """Reads a file of rules.

    Args:
        path: a TOML file; docs/rules.md says what is in it.

    Raises:
        ValueError: it is missing or no TOML, or a rule makes no sense; the message names the rule.
    """
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise ValueError(f"{path}: the rules cannot be read ({error.strerror})") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise ValueError(f"{path}: no TOML file: {error}") from error
    _check_keys(path, content, {"rule", "words", "scope", "network"})
    tables = content.get("rule")
    if not isinstance(tables, list) or not tables:
        raise ValueError(f"{path}: it has no rules: begin each with a line [[rule]]")
    words = content.get("words", {})
    scope = content.get("scope", "")
    if not _is_words(words) or not isinstance(scope, str):
        raise ValueError(
            f"{path}: scope is a text, and [words.GROUP] a table of texts: put quotes around them"
        )
    rules = tuple(
        _parse(f"{path}: rule {number}", number, table)
        for number, table in enumerate(tables, start=1)
    )
    unused = set(words) - {group for rule in rules for group in rule.match.groupindex}
    if unused:
        raise ValueError(
            f"{path}: no rule has a group (?P<{min(unused)}>...) for its [words.{min(unused)}]"
        )
    network = content.get("network", {})
    if not isinstance(network, dict) or set(network) - set(TOLD):
        raise ValueError(f"{path}: [network] is a table of facts: {', '.join(TOLD)}")
    return Rules(path, rules, words, scope.strip("/"), network)


def _is_words(words: object) -> bool:
    tables = words.values() if isinstance(words, dict) else [words]
    return all(
        isinstance(table, dict) and all(isinstance(word, str) for word in table.values())
        for table in tables
    )


def _parse(where: str, number: int, table: object) -> Rule:
    if not isinstance(table, dict):
        raise ValueError(f"{where}: it is no table: begin it with a line [[rule]]")
    _check_keys(where, table, _KEYS)
    texts = {key: table[key] for key in ("match", "name", "layout") if key in table}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{where}: {', '.join(texts)} are texts: put quotes around them")
    drop = table.get("drop", False)
    if "match" not in texts or drop not in (True, False) or drop == ("name" in texts):
        raise ValueError(f"{where}: it needs `match`, and either `name` or `drop = true`")
    try:
        pattern = re.compile(texts["match"])
    except re.error as error:
        raise ValueError(
            f"{where}: {texts['match']!r} is no regular expression: {error}"
        ) from error
    name = texts.get("name")
    if name is not None:
        _check_name(where, name, pattern)
    try:
        layout = Layout(texts["layout"]) if "layout" in texts else None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return Rule(number, pattern, name, layout)


def _check_keys(where: str, table: Mapping[str, object], known: set[str]) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"{where}: unknown {unknown[0]!r}: use {', '.join(sorted(known))}")


def _check_name(where: str, name: str, pattern: re.Pattern) -> None:
    """Every field of the template is a group of the pattern, and nothing looks like one else."""
    for part in _FIELD.finditer(name):
        group = part["group"]
        known = int(group) <= pattern.groups if group.isdecimal() else group in pattern.groupindex
        if not known:
            raise ValueError(f"{where}: {part[0]} in its name is no group of its match")
    rest = _FIELD.sub("", name)
    if not name or any(character in rest for character in "{}\\"):
        raise ValueError(
            f"{where}: the name {name!r} is no template: refer to a group as {{1}}, {{GROUP}} or "
            "{1+1}"
        )


def apply_rules(file: WeightsFile, rules: Rules) -> WeightsFile:
    """The variables of a file under the names and in the layouts that rules give them.

    Arrays are read when asked for, and are views where the file's are. Variables that no rule fits
    keep their names. The result's `notes` say which rules fit nothing and which variables no rule
    fits, its `dropped` what the rules leave out.

    Raises:
        CheckpointError: two variables get one name, or a layout is not that of its variable.
    """
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
    notes = tuple(_notes(rules, file.path, used, kept))
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
