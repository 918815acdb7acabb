"""The schemes of this package: other people's ResNets, recognised by their variables' names."""

from __future__ import annotations

import functools
import os
from dataclasses import replace

from converters.files import WeightsFile
from converters.recognise.rules import Rules
from converters.recognise.rules_file import read_scheme
from converters.recognise.scheme import Scheme

_FOLDER = os.path.join(os.path.dirname(__file__), "scheme_files")
_SUFFIX = ".toml"


@functools.cache
def shipped() -> dict[str, Scheme]:
    """Every scheme of the package, by its name."""
    names = sorted(name.removesuffix(_SUFFIX) for name in os.listdir(_FOLDER))
    found = (read_scheme(os.path.join(_FOLDER, name + _SUFFIX), name) for name in names)
    return {each.name: replace(each, rules=_shown(each)) for each in found}


def _shown(scheme: Scheme) -> Rules:
    """Its rules, which messages call by its name."""
    return replace(scheme.rules, path=f"the scheme {scheme.name}")


def named(text: str) -> Scheme:
    """The scheme that a user means.

    Args:
        text: NAME or NAME:VARIANT, or the path of a file of rules, which ends in ".toml".

    Raises:
        ValueError: there is none of that name, or it has no such variant.
    """
    if text.endswith(_SUFFIX):
        return read_scheme(text)
    name, colon, variant = text.partition(":")
    if name not in shipped():
        raise ValueError(f"unknown scheme {name!r}: use {', '.join(shipped())}")
    scheme = shipped()[name]
    if not colon:
        return scheme
    if variant not in scheme.variants:
        known = f"use {', '.join(scheme.variants)}" if scheme.variants else "it has none"
        raise ValueError(f"the scheme {name} has no variant {variant!r}: {known}")
    return replace(scheme, variant=variant)


def recognised(file: WeightsFile) -> Scheme | None:
    """The scheme whose names a file has, None where it has no scheme's."""
    return next((scheme for scheme in shipped().values() if scheme.fits(file)), None)
