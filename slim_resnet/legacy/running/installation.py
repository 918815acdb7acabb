"""Puts the shim in place and takes it away again."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import operator
import sys
import warnings
from collections.abc import Callable

import numpy as np
from absl.flags import FLAGS

from slim_resnet import compat
from slim_resnet.legacy.running.import_hook import Importer, OldModuleFinder
from slim_resnet.legacy.running.old_modules import OldModule, old_module
from slim_resnet.legacy.running.script_source import ScriptFinder
from slim_resnet.legacy.tables.tensorflow_internals import ATTRIBUTES

_DEPRECATIONS = (
    r"`(tf\.[\w.]+|layer\.\w+)` (is deprecated|and will be removed)",
    r"The `\w+` argument is deprecated",
    r"`[\w.]+` will be removed in a future version",
    r"You are saving your model as an HDF5 file",
    r"Conversion of an array with ndim > 0 to a scalar",
    r"NumPy will stop allowing conversion of out-of-bound Python integers",
    r"elementwise comparison failed",
    r"The truth value of an empty array is ambiguous",
    r"tostring\(\) is deprecated",
)
_LEGACY_PACKAGES = ("tflearn",)
_undo: contextlib.ExitStack | None = None


def install(packages: tuple[str, ...] = ()) -> contextlib.AbstractContextManager:
    """See `slim_resnet.legacy.install`."""
    global _undo
    if _undo is None:
        with contextlib.ExitStack() as undo:
            _silence_deprecations(undo)
            _print_scalars_as_numbers(undo)
            _switch_to_v1(undo)
            _free_flag_names(undo)
            _mend_lazy_losses(undo)
            _restore_private_attributes(undo)
            _hook_imports((*_LEGACY_PACKAGES, *packages), undo)
            _undo = undo.pop_all()
    at_end = contextlib.ExitStack()
    at_end.callback(uninstall)
    return at_end


def uninstall() -> None:
    """See `slim_resnet.legacy.uninstall`."""
    global _undo
    if _undo is None:
        return
    ops = importlib.import_module("tensorflow.python.framework.ops")
    if not ops._default_graph_stack.is_cleared():
        raise RuntimeError(
            "legacy.uninstall() inside a graph: first leave `with graph.as_default()` and close "
            "what tf.InteractiveSession opened"
        )
    undo, _undo = _undo, None
    undo.close()


def _hook_imports(packages: tuple[str, ...], undo: contextlib.ExitStack) -> None:
    importer, first, last = Importer(packages), ScriptFinder(), OldModuleFinder()

    def unhook() -> None:
        importer.active = False  # in case someone has wrapped it meanwhile
        importer.undo.close()
        if builtins.__import__ is importer:
            builtins.__import__ = importer.real
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in (first, last)]
        for name in [name for name, module in sys.modules.items() if isinstance(module, OldModule)]:
            del sys.modules[name]

    undo.callback(unhook)
    # There already, so that importing what is below does not set it on the real tensorflow.
    sys.modules["tensorflow.contrib"] = old_module("tensorflow.contrib")
    sys.meta_path.insert(0, first)
    sys.meta_path.append(last)
    builtins.__import__ = importer


def _silence_deprecations(undo: contextlib.ExitStack) -> None:
    """That what it calls is old is why the script is here."""
    deprecation = importlib.import_module("tensorflow.python.util.deprecation")
    undo.enter_context(deprecation.silence())
    undo.enter_context(warnings.catch_warnings())
    for message in _DEPRECATIONS:
        warnings.filterwarnings("ignore", message=message)


def _print_scalars_as_numbers(undo: contextlib.ExitStack) -> None:
    """Has `[np.float32(1)]` print as [1.0]: NumPy 2 spells the type out, in logs and in files."""
    if not np.__version__.startswith("1."):
        undo.callback(np.set_printoptions, legacy=np.get_printoptions()["legacy"])
        np.set_printoptions(legacy="1.25")


def _free_flag_names(undo: contextlib.ExitStack) -> None:
    """Lets a script define --log_dir and the like, which absl has today and would not give up."""
    for module, flags in FLAGS.flags_by_module_dict().items():
        for flag in flags if module.startswith("absl.") else ():
            undo.callback(setattr, flag, "allow_override", flag.allow_override)
            flag.allow_override = True


def _mend_lazy_losses(undo: contextlib.ExitStack) -> None:
    """Lets tf.train.ExponentialMovingAverage average the regularization losses of get_variable.

    Once plain tensors, they are stand-ins today, which lack one method of tensors.
    """
    lazy = importlib.import_module("tensorflow.python.ops.variable_scope")._LazyEvalTensor
    if not hasattr(lazy, "ref"):
        lazy.ref = lambda self: self._master_tensor.ref()
        undo.callback(delattr, lazy, "ref")


def _restore_private_attributes(undo: contextlib.ExitStack) -> None:
    """Lets layers of a script's own call what their base class had in 1.15."""
    for module, name, old, new in ATTRIBUTES:
        base = getattr(importlib.import_module(module), name)
        if not hasattr(base, old):
            setattr(base, old, property(operator.attrgetter(new)))
            undo.callback(delattr, base, old)


def _switch_to_v1(undo: contextlib.ExitStack) -> None:
    tf, _ = compat.apply()
    was_v2 = importlib.import_module("tensorflow.python.tf2").enabled()
    were_off = [disable for is_on, disable in _switches(tf) if not is_on()]

    def switch_back() -> None:
        if was_v2:
            tf.reset_default_graph()  # eager execution does not start while there is one
            tf.enable_v2_behavior()
            for disable in were_off:
                disable()

    undo.callback(switch_back)
    tf.disable_v2_behavior()


def _switches(tf) -> list[tuple[Callable[[], bool], Callable[[], None]]]:
    """What makes up TensorFlow 2's behaviour: whether it is on, and what turns it off."""
    control_flow = importlib.import_module("tensorflow.python.ops.control_flow_util")
    return [
        (tf.executing_eagerly_outside_functions, tf.disable_eager_execution),
        (tf.resource_variables_enabled, tf.disable_resource_variables),
        (lambda: tf.Tensor._USE_EQUALITY, tf.disable_tensor_equality),
        # Not tf.control_flow_v2_enabled, which asks the default graph and so makes one.
        (lambda: control_flow.ENABLE_CONTROL_FLOW_V2, tf.disable_control_flow_v2),
    ]
