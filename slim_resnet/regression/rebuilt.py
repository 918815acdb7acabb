"""The network of a record, built again on today's TensorFlow."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from slim_resnet import arch as arch_lib
from slim_resnet import legacy, resnet_utils
from slim_resnet.arch.parts import CLAMPED_EPSILON
from slim_resnet.compat import identity_equality, slim, tf
from slim_resnet.legacy.running.script_source import OWN_PACKAGES, is_script
from slim_resnet.regression.canonical import plain_name
from slim_resnet.regression.record import Record, RecordError

# tf.contrib is gone; these are its networks today.
MOVED_MODULES = {
    f"tensorflow.contrib.slim.nets.{family}": f"slim_resnet.{family}"
    for family in ("resnet_v1", "resnet_v2", "resnet_utils")
}


AFTER = "after|"  # the recorder's prefix of a variable that was read after one update


class RebuildError(ValueError):
    """The network cannot be built: its code, its arguments or its arg scope are at fault."""


@dataclass(frozen=True)
class Builder:
    """`function(images, **kwargs)` under a slim arg scope.

    Attributes:
        function: returns a tensor, a dict of end points, or a sequence of these.
        kwargs: its keywords.
        arg_scope: what a function like slim's `resnet_arg_scope` returns; empty: none.
        least_epsilon: in float64, epsilons of `arg_scope` below it are raised to it. A record of an
            imported graph has been widened from a float32 one that had `CLAMPED_EPSILON` at least.
    """

    function: Callable
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    arg_scope: Mapping = field(default_factory=dict)
    least_epsilon: float = 0.0

    def __call__(self, images):
        if images.dtype == tf.float64:  # FusedBatchNorm has no float64
            with (
                slim.arg_scope(_unfused(self.arg_scope, self.least_epsilon)),
                slim.arg_scope([slim.batch_norm], fused=False),
            ):
                return self.function(images, **self.kwargs)
        with slim.arg_scope(dict(self.arg_scope)):
            return self.function(images, **self.kwargs)


def arch_builder(record: Record, name: str, kwargs: Mapping[str, Any] | None = None) -> Builder:
    """The network `name` of this project with the record's arguments.

    Args:
        record: the record.
        name: a name in `arch.REGISTRY`.
        kwargs: replace those of the record.

    Raises:
        ValueError: there is no such network.
    """
    module = importlib.import_module(f"slim_resnet.{arch_lib.get(name).family}")
    scope = resnet_utils.resnet_arg_scope(**record.info["arg_scope_kwargs"])
    found = _training(record) | _kwargs(record, kwargs)
    return Builder(getattr(module, name), found, scope, _least_epsilon(record))


def spec_builder(
    record: Record,
    spec: str,
    arg_scope: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Builder:
    """A user's function with the record's arguments.

    Args:
        record: the record.
        spec: "module:function".
        arg_scope: "module:function" that returns the arg scope; None: the record's, "": none.
        kwargs: replace those of the record.

    Raises:
        RebuildError: a module or function cannot be imported.
    """
    function = _locate(spec, "--builder")
    found = _kwargs(record, kwargs)
    if "is_training" in inspect.signature(function).parameters:
        found = _training(record) | found
    scope_spec = record.info["arg_scope"] if arg_scope is None else arg_scope
    scope = {}
    if scope_spec:
        scope = _locate(scope_spec, "--arg-scope")(**record.info["arg_scope_kwargs"])
    return Builder(function, found, scope, _least_epsilon(record))


def user_builder(
    record: Record,
    spec: str,
    arg_scope: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Builder:
    """`spec_builder`'s; code that needs the API of TensorFlow 1.15 gets it.

    What does not build on today's TensorFlow is imported again under `slim_resnet.legacy`, which
    then stays installed: the very module that was recorded, with its `tf.contrib`, builds as it is.

    Raises:
        RebuildError: it cannot be imported either way.
    """
    before = set(sys.modules)
    try:
        build = spec_builder(record, spec, arg_scope, kwargs)
        rebuild(record, build)
    except RebuildError:
        _forget_scripts(set(sys.modules) - before)
        legacy.install()
        build = spec_builder(record, spec, arg_scope, kwargs)
    return build


def _forget_scripts(names: set[str]) -> None:
    """Has modules of the user's imported anew, by the next import of them."""
    for name in names:
        file = getattr(sys.modules[name], "__file__", None)
        if file and name.partition(".")[0] not in OWN_PACKAGES and is_script(file):
            del sys.modules[name]


@dataclass(frozen=True)
class Net:
    """A rebuilt network.

    Attributes:
        graph: its `tf.Graph`.
        images: the placeholder [batch, height, width, channels].
        end_points: name -> tensor, in the order of the builder.
    """

    graph: Any
    images: Any
    end_points: dict[str, Any]

    @functools.cached_property
    def variables(self) -> dict[str, Any]:
        """Name -> variable, of every variable in any collection, in creation order."""
        graph = self.graph
        order = {op.name: position for position, op in enumerate(graph.get_operations())}
        found = {
            item.op.name: item
            for key in graph.get_all_collection_keys()
            for item in graph.get_collection(key)
            if hasattr(item, "assign")
        }
        return {name: found[name] for name in sorted(found, key=lambda name: order[name])}

    def find(self, name: str):
        """The tensor of an end point, or else of the op of this name; None: there is neither."""
        return self.end_points.get(name, self._by_plain_name.get(plain_name(name)))

    def counterparts(self, record: Record) -> dict[str, str]:
        """Recorded end point -> the name by which `find` finds it, if it does.

        A record of an imported graph names end points after their ops, which are called otherwise
        without fused batch norm: where the network has a name for one, it is that name.
        """
        recorded = [name for name in record.names if not name.startswith(AFTER)]
        if not is_imported(record):
            return {name: name for name in recorded if name in self.end_points}
        labels = {tensor.name: label for label, tensor in self.end_points.items()}
        found = {name: self.find(name) for name in recorded}
        return {
            name: labels.get(tensor.name, tensor.op.name)
            for name, tensor in found.items()
            if tensor is not None
        }

    @functools.cached_property
    def _by_plain_name(self) -> dict[str, Any]:
        return {
            plain_name(op.name): op.outputs[0] for op in self.graph.get_operations() if op.outputs
        }


def rebuild(record: Record, build: Callable, dtype: str = "float32") -> Net:
    """Builds the network in a new graph, on a placeholder like the record's.

    Args:
        record: the record.
        build: a function of the images, such as a `Builder`.
        dtype: of the images, "float32" or "float64".

    Raises:
        RebuildError: `build` fails or returns no tensor.
    """
    graph = tf.Graph()
    with graph.as_default():
        images = tf.placeholder(dtype, _input_shape(record), name=record.info["input"])
        try:
            with identity_equality():
                result = build(images)
        except Exception as error:  # a builder is the user's: anything may come out of it
            raise RebuildError(
                f"building the {dtype} network failed: {type(error).__name__}: {error}"
            ) from error
    return Net(graph, images, _named_tensors(result))


def is_imported(record: Record) -> bool:
    """Whether the legacy graph came out of a file, not from a builder."""
    return record.info["mode"] != "builder"


def recorded_graph(record: Record):
    """The record's float32 graph as a `tf.Graph`, missing attributes set to their defaults.

    Raises:
        RecordError: this TensorFlow does not know one of its ops.
    """
    graph = tf.Graph()
    with graph.as_default():
        try:
            tf.import_graph_def(graph_def(record), name="")
        except ValueError as error:
            raise RecordError(f"{record.path}: its graph cannot be imported: {error}") from error
    return graph


def graph_def(record: Record):
    """The recorded float32 graph; large constants have no contents."""
    return tf.GraphDef.FromString(record.arrays["graph_def"].tobytes())


def _input_shape(record: Record) -> list[int | None]:
    """The static shape of the recorded input, without which shapes would be computed otherwise."""
    node = next(n for n in graph_def(record).node if n.name == record.info["input"])
    shape = tf.TensorShape(node.attr["shape"].shape)
    return [None, None, None, record.info["channels"]] if shape.rank is None else shape.as_list()


def _named_tensors(result) -> dict[str, Any]:
    """Name -> tensor, as the recorder names them: a tensor that is no end point is "output"."""
    parts = result if isinstance(result, (tuple, list)) else [result]
    found: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, dict):
            found |= {name: tensor for name, tensor in part.items() if tf.is_tensor(tensor)}
    tensors = [part for part in parts if tf.is_tensor(part)]
    for i, tensor in enumerate(tensors):
        if not any(known is tensor for known in found.values()):
            found[f"output_{i}" if i else "output"] = tensor
    if not found:
        raise RebuildError(
            f"the builder returned {type(result).__name__}: let it return a tensor, "
            "(net, end_points) or a dict of tensors"
        )
    return found


def _kwargs(record: Record, kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**record.info["kwargs"], **(kwargs or {})}


def _training(record: Record) -> dict[str, Any]:
    return {"is_training": record.info["training"]}


def _locate(spec: str, option: str) -> Callable:
    module, _, name = spec.partition(":")
    try:
        return getattr(importlib.import_module(MOVED_MODULES.get(module, module)), name)
    except Exception as error:  # importing runs the user's code
        raise RebuildError(
            f"{option} {spec}: {type(error).__name__}: {error}; it is module:function, and the "
            "module must be importable from the current folder or PYTHONPATH"
        ) from error


def _least_epsilon(record: Record) -> float:
    return CLAMPED_EPSILON if is_imported(record) else 0.0


def _unfused(scope: Mapping, least_epsilon: float) -> dict:
    """A copy of an arg scope whose batch norms are not fused."""
    replaced = {"fused": lambda _: False, "epsilon": lambda value: max(value, least_epsilon)}
    return {
        key: _unfused(value, least_epsilon)
        if isinstance(value, dict)
        else replaced.get(key, lambda kept: kept)(value)
        for key, value in scope.items()
    }
