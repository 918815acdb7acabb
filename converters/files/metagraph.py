"""What a MetaGraphDef says around its graph: signatures, trainable variables, how it is saved.

Source: TensorFlow's `core/protobuf/meta_graph.proto`, `saver.proto` and
`core/framework/variable.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from converters.files.wire import Message

_TRAINABLE = "trainable_variables"


@dataclass(frozen=True)
class Signature:
    """A SignatureDef: argument -> the tensor of the graph ("NAME:0") that it means."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


class MetaGraph:
    """The parts of a MetaGraphDef but its graph; each is decoded when asked for.

    Args:
        message: the MetaGraphDef; an empty one for a graph alone.
    """

    def __init__(self, message: Message) -> None:
        self._message = message

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """Its signatures by name, in the order of the file."""
        entries = self._message.messages(5)
        return {each.string(1): _signature(each.message(2)) for each in entries}

    @cached_property
    def trainable(self) -> frozenset[str] | None:
        """The variables that an optimizer may change, by operation; None if it does not say."""
        for entry in self._message.messages(4):
            if entry.string(1) == _TRAINABLE:
                definitions = map(Message, entry.message(2).message(2).buffers(1))
                names = frozenset(each.string(1).partition(":")[0] for each in definitions)
                return names
        return None

    @cached_property
    def restore(self) -> str:
        """The operation with which its Saver restores; "" if it does not say."""
        return self._message.message(3).string(3).partition(":")[0]

    @property
    def save(self) -> str:
        """The operation whose value is that of its Saver; "" if it does not say."""
        return self._message.message(3).string(2).partition(":")[0]


def _signature(message: Message) -> Signature:
    return Signature(_tensors(message, 1), _tensors(message, 2))


def _tensors(message: Message, field: int) -> dict[str, str]:
    entries = message.messages(field)
    return {each.string(1): each.message(2).string(1) for each in entries}
