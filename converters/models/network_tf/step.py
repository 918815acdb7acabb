"""What the functions that make operations are given, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from converters.graphs.network import Option
from slim_resnet.frameworks import require

tf = require("tensorflow.compat.v1")


@dataclass(frozen=True)
class Step:
    """A layer about to become operations of the default graph.

    Attributes:
        name: of its last operation; ends in "/", which TensorFlow takes for a name to use as it is.
        inputs: the tensors that it reads.
        weights: role -> tensor.
        options: of the layer.
        dtype: of all computation with fractions.
    """

    name: str
    inputs: Sequence[tf.Tensor]
    weights: Mapping[str, tf.Tensor]
    options: Mapping[str, Option]
    dtype: tf.DType

    def option(self, name: str, further: int = 1) -> Option | tf.Tensor:
        """An option; one that is computed is the input `further`."""
        given = self.options[name]
        return self.inputs[further] if given is None else given


Function = Callable[[Step], "tf.Tensor | Sequence[tf.Tensor]"]


def aligned(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Integers of several types as the widest of them: a network does not know sizes' types."""
    types = {tensor.dtype.base_dtype for tensor in tensors}
    if len(types) == 1 or not all(each.is_integer for each in types):
        return list(tensors)
    widest = max(types, key=lambda each: each.size)
    return [tf.cast(tensor, widest) for tensor in tensors]
