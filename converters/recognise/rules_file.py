"""Reads a file of rules, a user's own or a scheme of this package; docs/rules.md describes it."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Mapping

from converters.recognise.creation_order import CONVOLUTION, KINDS
from converters.recognise.rules import FIELD, Layout, Rule, Rules
from converters.recognise.scheme import Scheme, Variant
from slim_resnet.arch.facts import TOLD

_KEYS = {"match", "name", "layout", "drop"}
_TEXTS = ("scope", "about", "example", "preprocessing")
_TABLES = ("words", "network", "small_root", "choices", "creation_order", "refused", "variants")


def read_scheme(path: str | os.PathLike, name: str = "") -> Scheme:
    """Reads a file of rules.

    Args:
        path: a TOML file; docs/rules.md says what is in it.
        name: of a shipped one.

    Raises:
        ValueError: it is missing or no TOML, or a rule makes no sense; the message names the rule.
    """
    path = os.fspath(path)
    content = _content(path)
    _check_keys(path, content, {"rule", "signature", *_TEXTS, *_TABLES})
    texts = {key: content.get(key, "") for key in _TEXTS}
    tables = {key: content.get(key, {}) for key in _TABLES}
    if not _is_words(tables["words"]) or not all(isinstance(t, str) for t in texts.values()):
        raise ValueError(
            f"{path}: {', '.join(_TEXTS)} are texts, and [words.GROUP] is a table of texts: put "
            "quotes around them"
        )
    wrong = next((key for key, table in tables.items() if not isinstance(table, dict)), None)
    if wrong:
        raise ValueError(f"{path}: [{wrong}] is a table: see docs/rules.md")
    rules = _rules(path, content, texts, tables)
    return Scheme(
        name,
        rules,
        texts["about"] or path,
        texts["example"],
        tuple(_pattern(path, "signature", each) for each in content.get("signature", ())),
        {what: _pattern(path, "refused", each) for what, each in tables["refused"].items()},
        _facts(path, "small_root", tables["small_root"]) if "small_root" in content else None,
        {called: _variant(path, called, each) for called, each in tables["variants"].items()},
        preprocessing=texts["preprocessing"],
    )


def _content(path: str) -> dict:
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ValueError(f"{path}: the rules cannot be read ({error.strerror})") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise ValueError(f"{path}: no TOML file: {error}") from error


def _rules(
    path: str, content: Mapping, texts: Mapping[str, str], tables: Mapping[str, dict]
) -> Rules:
    listed = content.get("rule", [] if tables["refused"] else None)
    if not isinstance(listed, list) or not (listed or tables["refused"]):
        raise ValueError(f"{path}: it has no rules: begin each with a line [[rule]]")
    choices = {
        field: {text: _pattern(path, f"choices.{field}", each) for text, each in table.items()}
        for field, table in tables["choices"].items()
    }
    order = tables["creation_order"]
    if order and sorted(order.values(), reverse=True) not in ([*KINDS], [CONVOLUTION]):
        raise ValueError(
            f"{path}: [creation_order] says {' or '.join(KINDS)} of a group each, once; the "
            f"{CONVOLUTION}s are needed"
        )
    rules = tuple(
        _parse(f"{path}: rule {number}", number, table, set(choices))
        for number, table in enumerate(listed, start=1)
    )
    groups = {group for rule in rules for group in rule.match.groupindex}
    for key, used in (("words", tables["words"]), ("creation_order", order)):
        unused = sorted(set(used) - groups)
        if unused:
            group = f"words.{unused[0]}" if key == "words" else key
            raise ValueError(f"{path}: no rule has a group (?P<{unused[0]}>...) for its [{group}]")
    network = _facts(path, "network", tables["network"])
    scope = texts["scope"].strip("/")
    return Rules(path, rules, tables["words"], scope, network, choices, order)


def _facts(path: str, table: str, facts: Mapping[str, object]) -> Mapping[str, object]:
    if set(facts) - set(TOLD):
        raise ValueError(f"{path}: [{table}] is a table of facts: {', '.join(TOLD)}")
    return facts


def _variant(path: str, name: str, table: object) -> Variant:
    if not isinstance(table, dict) or not isinstance(table.get("about"), str):
        raise ValueError(f"{path}: [variants.{name}] is a table with a text `about`, and facts")
    facts = {key: value for key, value in table.items() if key != "about"}
    return Variant(table["about"], _facts(path, f"variants.{name}", facts))


def _pattern(path: str, where: str, text: object) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (TypeError, re.error) as error:
        raise ValueError(f"{path}: {where}: {text!r} is no regular expression: {error}") from error


def _is_words(words: object) -> bool:
    tables = words.values() if isinstance(words, dict) else [words]
    return all(
        isinstance(table, dict) and all(isinstance(word, str) for word in table.values())
        for table in tables
    )


def _parse(where: str, number: int, table: object, fields: set[str]) -> Rule:
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
        _check_name(where, name, pattern, fields)
    try:
        layout = Layout(texts["layout"]) if "layout" in texts else None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return Rule(number, pattern, name, layout)


def _check_keys(where: str, table: Mapping[str, object], known: set[str]) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"{where}: unknown {unknown[0]!r}: use {', '.join(sorted(known))}")


def _check_name(where: str, name: str, pattern: re.Pattern, fields: set[str]) -> None:
    """Every field of the template is a group of the pattern, or in `fields`."""
    for part in FIELD.finditer(name):
        group = part["group"]
        names = {*pattern.groupindex, *fields}
        known = int(group) <= pattern.groups if group.isdecimal() else group in names
        if not known:
            raise ValueError(f"{where}: {part[0]} in its name is no group of its match")
    rest = FIELD.sub("", name)
    if not name or any(character in rest for character in "{}\\"):
        raise ValueError(
            f"{where}: the name {name!r} is no template: refer to a group as {{1}}, {{GROUP}} or "
            "{1+1}"
        )
