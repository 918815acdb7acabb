"""What of a graph that is made again lies in branches of `tf.cond` that are not taken.

TensorFlow 1 made `tf.cond` of Switch and Merge: what follows the output of a Switch that is not
taken is dead, and cannot be fetched.
"""

from __future__ import annotations

from collections.abc import Sequence

from slim_resnet.frameworks import require

smart_cond = require("tensorflow.python.framework.smart_cond")

_SWITCHES = frozenset(("Switch", "RefSwitch"))
_MERGES = frozenset(("Merge", "RefMerge"))


class DeadBranches:
    """The tensors and operations that are never computed, noted as a graph is made."""

    def __init__(self) -> None:
        self._dead: set = set()  # references to tensors, and operations

    def has(self, tensor) -> bool:
        return tensor.ref() in self._dead

    def note(
        self, kind: str, inputs: Sequence, controls: Sequence, made, outputs: Sequence
    ) -> None:
        """Notes whether an operation is computed.

        Args:
            kind: of the operation.
            inputs: its tensors; those that it is made of are known.
            controls: the operations that it waits for.
            made: the operation as it was made again.
            outputs: its tensors.
        """
        dead = [self.has(tensor) for tensor in inputs]
        if kind in _MERGES:
            is_dead = bool(dead) and all(dead)
        else:
            is_dead = any(dead) or any(control in self._dead for control in controls)
        if is_dead:
            self._dead.add(made)
            self._dead.update(output.ref() for output in outputs)
        elif kind in _SWITCHES:
            taken = smart_cond.smart_constant_value(inputs[1])
            if taken is not None:
                self._dead.add(outputs[0 if taken else 1].ref())
