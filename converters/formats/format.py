"""`Format`: the contract of a format that models are written in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from converters.models.resume import Recipe
from converters.recognise.recognised import Recognised
from slim_resnet.files import atomic_path


@dataclass(frozen=True)
class Options:
    """What a user may ask of a writer.

    Attributes:
        recipe: how training goes on, so that the optimizer goes along; None: it stays behind.
        fold: whether batch norms go into the convolutions before them.
    """

    recipe: Recipe | None = None
    fold: bool = False


# A protobuf message may not be larger, and TensorFlow and ONNX cannot read one that is.
PROTOBUF_LIMIT = 2**31 - 1  # bytes
_SLACK = 1 << 24  # bytes of such a message that are no weights: names, shapes, attributes


def accept(ckpt: Recognised, options: Options) -> None:
    """The check of a format that holds any network."""


def fits_protobuf(ckpt: Recognised) -> bool:
    """Whether a network's weights have a place in one protobuf message."""
    return ckpt.weights_nbytes + _SLACK <= PROTOBUF_LIMIT


@dataclass(frozen=True)
class Place:
    """A place for an optimizer.

    Attributes:
        taken: the variables of a checkpoint that go there.
        needs_rate: whether it needs the learning rate at which training goes on.
        always: whether it is filled unasked.
    """

    taken: Callable[[Recognised], set[str]]
    needs_rate: bool = False
    always: bool = False


@dataclass(frozen=True)
class Format:
    """One row of the table of formats.

    Attributes:
        target: what a user calls it.
        suffix: of its files; "" where the name is the user's own.
        named: what that name is, in words: "a prefix", "a folder".
        write: writes a checkpoint to a path, a hidden one, with the options.
        hidden: from the path that the user named to one that is hidden until it is whole.
        runner: a key of `converters.proof.written.RUNNERS`, or of its `ARRAY_READERS`.
        model: which of our models computes what it holds, "torch", "keras" or "slim".
        check: raises ValueError where the format cannot hold the checkpoint's network.
        place: where the optimizer goes, if it has a place.
        foldable: whether batch norms can be folded.
        freezes: it is what TensorFlow 1 freezes a graph into.
        library: the other library whose own class loads it.
        whole_graph: it holds the network of a graph, also where that is an `Arch`.
    """

    target: str
    suffix: str
    write: Callable[[Recognised, str, Options], None]
    hidden: Callable[[str], AbstractContextManager] = atomic_path
    runner: str = ""
    model: str = "torch"
    check: Callable[[Recognised, Options], None] = accept
    place: Place | None = None
    foldable: bool = False
    freezes: bool = False
    library: str | None = None
    whole_graph: bool = False
    named: str = ""
