"""What a family of networks declares of itself, in its module of `slim_resnet.arch.families`.

Everything that treats families apart reads it here: the builder of graphs, the names of variables,
recognition, training. A new family is a new module there, and no other place knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from slim_resnet.arch.fields import Fields
from slim_resnet.arch.parts import FORMS, Variable

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class ScriptNames:
    """The variables of a family whose public script named them without slim.

    Attributes:
        variables: the variables of an Arch under the script's names, in the script's order.
        mark: a pattern of a name that only these networks have, below their scope.
        read: from shapes by such names to the Arch that has them, whole or not.
        logits: the name of the weights of its logits layer.
    """

    variables: Callable[[Fields], Iterator[Variable]]
    mark: str
    read: Callable[[Shapes], Fields]
    logits: str


@dataclass(frozen=True)
class Family:
    """A family of networks. Functions are named "module:function", the module below `slim_resnet`.

    Attributes:
        name: `Arch.family`.
        generator: the function from a list of blocks to a graph, of the signature of `resnet_v1`.
        unit_fns: kind of unit -> the function that builds it.
        arg_scope: the arg scope that the networks are built under by default.
        builder: what builds a graph of an Arch with all that.
        prototypes: kind of unit -> the registry's entry whose facts are assumed for a network of
            such units, as far as its variables do not tell.
        grouped: the family of the same networks with a cardinality; None: this one.
        forms: which forms its ResNeXt units have.
        fixed: fields of an Arch that its networks have one value of.
        script: its own names of variables, in the form "concat"; None: slim's names.
        weight_decay_in_loss: its script adds weight decay over all variables to the loss itself,
            where slim has it in the layers.
        preprocessing: what its published checkpoints take; None: none are published.
    """

    name: str
    generator: str
    unit_fns: Mapping[str, str]
    arg_scope: str = "resnet_utils:resnet_arg_scope"
    builder: str = "graph:build_blocks"
    prototypes: Mapping[str, str] = field(default_factory=dict)
    grouped: str | None = None
    forms: tuple[str, ...] = FORMS
    fixed: Mapping[str, object] = field(default_factory=dict)
    script: ScriptNames | None = None
    weight_decay_in_loss: bool = False
    preprocessing: str | None = None


# Filled by the modules of `families`; architectures of a family can be made from then on.
FAMILIES: dict[str, Family] = {}
ENTRIES: dict[str, Fields] = {}


def register(family: Family) -> None:
    """Makes `family` known.

    Raises:
        ValueError: there is one of this name already.
    """
    if family.name in FAMILIES:
        raise ValueError(f"there is a family {family.name!r} already")
    FAMILIES[family.name] = family


def add(*entries: Fields) -> None:
    """Puts architectures into the registry, under their names.

    Raises:
        ValueError: a name is taken.
    """
    for arch in entries:
        if arch.name in ENTRIES:
            raise ValueError(f"the registry has an architecture {arch.name!r} already")
        ENTRIES[arch.name] = arch


def get(name: str) -> Family:
    """The family of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}: use {', '.join(FAMILIES)}")
    return FAMILIES[name]
