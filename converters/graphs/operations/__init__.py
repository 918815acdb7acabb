"""What each operation of TensorFlow is as a layer: one table, by the operation's type."""

from __future__ import annotations

from converters.graphs.operations import (
    arrays,
    convolutions,
    elementwise,
    reductions,
    sizing,
    slicing,
)
from converters.graphs.operations.operation import Handler, Operation

OPERATIONS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **convolutions.HANDLERS,
    **reductions.HANDLERS,
    **arrays.HANDLERS,
    **sizing.HANDLERS,
    **slicing.HANDLERS,
}

__all__ = ["OPERATIONS", "Operation"]
