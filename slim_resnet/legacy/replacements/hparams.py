"""`tf.contrib.training.HParams`, where so many scripts keep their settings; imports no framework.

Written anew to behave as TensorFlow 1.15's did: same methods, types and refusals. Without the
protocol buffers (`hparam_def`, `to_proto`), whose definition TensorFlow no longer has.
"""

from __future__ import annotations

import json
import numbers
import re

PARAM_RE = re.compile(
    r"""(?P<name>[a-zA-Z][\w.]*) (\[\s*(?P<index>\d+)\s*\])? \s*=\s*
        ((?P<val>[^,\[]*) | \[(?P<vals>[^\]]*)\]) ($|,\s*)""",
    re.VERBOSE,
)
_NO_PROTO = (
    "tf.contrib.training.HParams reads and writes no protocol buffers any more: "
    "use to_json and parse_json"
)


def parse_values(values: str, type_map: dict[str, type], ignore_unknown: bool = False) -> dict:
    """Parses "name=value,names=[value,value],name[0]=value".

    Args:
        values: the clauses, separated by commas.
        type_map: the type of each name's value, or of its elements.
        ignore_unknown: skips names that `type_map` lacks instead of refusing them.

    Returns:
        For each name a value, a list, or for indexed clauses a dict: index -> value.

    Raises:
        ValueError: a clause that cannot be parsed, an unknown name, or one that is set twice.
    """
    parsed: dict = {}
    position = 0
    while position < len(values):
        clause = PARAM_RE.match(values, position)
        if not clause:
            raise ValueError(f"Malformed hyperparameter value: {values[position:]}")
        position = clause.end()
        name = clause["name"]
        if name in type_map:
            _parse_clause(clause, type_map[name], values, parsed)
        elif not ignore_unknown:
            raise ValueError(f"Unknown hyperparameter type for {name}")
    return parsed


def _parse_clause(clause: re.Match, of_type: type, values: str, parsed: dict) -> None:
    name, index = clause["name"], clause["index"]
    if clause["vals"] is not None:
        if index is not None:
            raise ValueError("Assignment of a list to a list index.")
        texts = [text for text in re.split("[ ,]", clause["vals"]) if text]
        value = [_parse_one(name, of_type, text, values) for text in texts]
    else:
        value = _parse_one(name, of_type, clause["val"], values)
    if index is None:
        _set_once(parsed, name, value, name, values)
    elif isinstance(parsed.setdefault(name, {}), dict):
        _set_once(parsed[name], int(index), value, f"{name}[{index}]", values)
    else:
        raise ValueError(f"Multiple assignments to variable '{name}' in {values}")


def _set_once(target: dict, key, value, name: str, values: str) -> None:
    if key in target:
        raise ValueError(f"Multiple assignments to variable '{name}' in {values}")
    target[key] = value


_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


def _parse_one(name: str, of_type: type, text: str, values: str):
    try:
        if of_type is bool:
            return _BOOLEANS[text] if text in _BOOLEANS else bool(int(text))
        return of_type(text)
    except ValueError:
        raise ValueError(
            f"Could not parse hparam '{name}' of type '{of_type.__name__}' "
            f"with value '{text}' in {values}"
        ) from None


def _cast(name: str, to_type: type, value):
    """`value` as `to_type`; an int becomes a float, nothing else changes its kind."""
    if type(value) is to_type or to_type is type(None):
        return value
    text, number, whole = (str, bytes), numbers.Number, numbers.Integral
    refused = (
        (issubclass(to_type, text) and not isinstance(value, text))
        or issubclass(to_type, bool) != isinstance(value, bool)
        or (issubclass(to_type, whole) and not isinstance(value, whole))
        or (issubclass(to_type, number) and not isinstance(value, number))
    )
    if refused:
        raise ValueError(f"Could not cast hparam '{name}' of type '{to_type}' from value {value!r}")
    return to_type(value)


class HParams:
    """Hyperparameters as attributes, each keeping the type it was made with."""

    def __init__(self, hparam_def=None, model_structure=None, **kwargs):
        if hparam_def:
            raise NotImplementedError(_NO_PROTO)
        self._hparam_types: dict[str, tuple[type, bool]] = {}
        self._model_structure = model_structure
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value) -> None:
        """Adds a hyperparameter; the type of `value`, or of its first element, is its type."""
        if getattr(self, name, None) is not None:
            raise ValueError(f"Hyperparameter name is reserved: {name}")
        is_list = isinstance(value, (list, tuple))
        if is_list and not value:
            raise ValueError(f"Multi-valued hyperparameters cannot be empty: {name}")
        self._hparam_types[name] = (type(value[0] if is_list else value), is_list)
        setattr(self, name, value)

    def set_hparam(self, name: str, value) -> None:
        """Sets an existing hyperparameter.

        Raises:
            KeyError: there is none of that name.
            ValueError: `value` is of another type, or a list where there was none.
        """
        of_type, is_list = self._hparam_types[name]
        if isinstance(value, list) and not is_list:
            raise ValueError(f"Must not pass a list for single-valued parameter: {name}")
        if is_list and not isinstance(value, list):
            raise ValueError(f"Must pass a list for multi-valued parameter: {name}.")
        setattr(
            self,
            name,
            [_cast(name, of_type, v) for v in value] if is_list else _cast(name, of_type, value),
        )

    def del_hparam(self, name: str) -> None:
        """Removes a hyperparameter, if it is there."""
        if hasattr(self, name):
            delattr(self, name)
            del self._hparam_types[name]

    def parse(self, values: str) -> HParams:
        """Overrides values from a string such as "learning_rate=0.1,layers=[8,8]"."""
        type_map = {name: of_type for name, (of_type, _) in self._hparam_types.items()}
        return self.override_from_dict(parse_values(values, type_map))

    def override_from_dict(self, values_dict: dict) -> HParams:
        """Overrides values from a dict; see `set_hparam` for what it refuses."""
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    set_from_map = override_from_dict

    def parse_json(self, values_json: str) -> HParams:
        """Overrides values from a JSON object."""
        return self.override_from_dict(json.loads(values_json))

    def to_json(self, indent=None, separators=None, sort_keys: bool = False) -> str:
        """The values as a JSON object; the arguments are those of `json.dumps`."""
        return json.dumps(self.values(), indent=indent, separators=separators, sort_keys=sort_keys)

    def values(self) -> dict:
        """The values by name."""
        return {name: getattr(self, name) for name in self._hparam_types}

    def get(self, key: str, default=None):
        """The value of `key`, else `default`, which must be of the same type where both are."""
        if key not in self._hparam_types:
            return default
        if default is not None:
            self._check_default(key, default)
        return getattr(self, key)

    def _check_default(self, key: str, default) -> None:
        of_type, is_list = self._hparam_types[key]
        kind = f"list<{of_type}>" if is_list else str(of_type)
        message = f"Hparam '{key}' of type '{kind}' is incompatible with default={default}"
        if is_list != isinstance(default, list):
            raise ValueError(message)
        try:
            for value in default if is_list else [default]:
                _cast(key, of_type, value)
        except ValueError as error:
            raise ValueError(f"{message}. {error}") from None

    def set_model_structure(self, model_structure) -> None:
        """Keeps any object beside the values."""
        self._model_structure = model_structure

    def get_model_structure(self):
        """What `set_model_structure` or the constructor was given."""
        return self._model_structure

    def to_proto(self, export_scope=None):
        raise NotImplementedError(_NO_PROTO)

    from_proto = staticmethod(to_proto)

    def __contains__(self, key: str) -> bool:
        return key in self._hparam_types

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.values().items())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sorted(self.values().items())})"
