"""Runs a written file by its own framework and nothing of this project: as its user will.

Each runner is called in a process that cannot import this project, so it imports the standard
library, NumPy and that framework alone::

    run(path, batches, about) -> [{name of an output: array}, one for each of the batches]

`path` is the file. A batch is {name of an input: array}, images [batch, height, width, channels].
`about` is what the file does not tell: "outputs", the names of its outputs in their order, and
"model" and "num_classes" where it holds weights alone. Outputs come in the file's own type,
channels last. What a framework says of a file that it cannot open passes through as it is.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Arrays = Mapping[str, np.ndarray]
About = Mapping[str, object]


def run_onnx(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """An ONNX model, by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = [each.name for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]

    def run(batch: Arrays) -> dict[str, np.ndarray]:
        fed = {name: channels_first(x) for name, x in named(batch, inputs).items()}
        return dict(zip(outputs, session.run(outputs, fed), strict=True))

    return [_last(named(run(batch), about["outputs"])) for batch in batches]


def run_pt2(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A `torch.export` program."""
    import torch

    return run_torch_module(torch.export.load(path).module(), batches, about)


def run_torch_source(
    path: str, batches: Sequence[Arrays], about: About
) -> list[dict[str, np.ndarray]]:
    """A folder with `model.py`, whose `load()` gives the module with its weights."""
    spec = importlib.util.spec_from_file_location("model", os.path.join(path, "model.py"))
    module = sys.modules["model"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return run_torch_module(module.load(), batches, about)


def run_torchvision(
    path: str, batches: Sequence[Arrays], about: About
) -> list[dict[str, np.ndarray]]:
    """A state dict, in torchvision's own class; "model" is its name there."""
    import torch

    _without_compiled_operations()
    from torchvision import models

    net = models.get_model(about["model"], num_classes=about["num_classes"] or 1)
    if not about["num_classes"]:
        net.fc = torch.nn.Identity()
    net.load_state_dict(_state_dict(path))
    return run_torch_module(net.eval(), batches, about)


def run_timm(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A state dict, in timm's own class; "model" is its name there."""
    _without_compiled_operations()
    import timm

    net = timm.create_model(about["model"], num_classes=about["num_classes"] or 0)
    net.load_state_dict(_state_dict(path))
    return run_torch_module(net.eval(), batches, about)


def _state_dict(path: str):
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    return torch.load(path, weights_only=True)


def _without_compiled_operations() -> None:
    """Lets torchvision be imported where its wheel was built for another PyTorch.

    Its import then fails on the names of two operations, which no classifier uses.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        import torch

        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)


_kept: list = []  # a library's operations live as long as it does


def run_torch_module(
    net: Callable, batches: Sequence[Arrays], about: About
) -> list[dict[str, np.ndarray]]:
    """A `torch.nn.Module` on channels first; it takes a tensor, or a dict of several."""
    import torch

    found = []
    with torch.inference_mode():
        for batch in batches:
            fed = {name: torch.from_numpy(channels_first(x)) for name, x in batch.items()}
            value = net(fed if len(fed) > 1 else next(iter(fed.values())))
            values = value if isinstance(value, Mapping) else {about["outputs"][0]: value}
            arrays = {name: each.numpy() for name, each in values.items()}
            found.append(_last(named(arrays, about["outputs"])))
    return found


def run_keras(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A `.keras` file, in Keras's safe mode."""
    import keras

    return run_keras_model(keras.saving.load_model(path, safe_mode=True), batches, about)


def run_keras_applications(
    path: str, batches: Sequence[Arrays], about: About
) -> list[dict[str, np.ndarray]]:
    """Weights, in the model that `keras.applications` builds; "model" is its name there."""
    import keras

    channels = next(iter(batches[0].values())).shape[-1]
    model = getattr(keras.applications, about["model"])(
        weights=None,
        include_top=bool(about["num_classes"]),
        classes=about["num_classes"] or 1,
        pooling="avg",
        classifier_activation=None,
        input_tensor=keras.Input((None, None, channels)),  # images of any size
    )
    model.load_weights(path)
    return run_keras_model(model, batches, about)


def run_keras_model(model, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A functional Keras model with a tensor, a list or a dict of outputs."""
    from keras import ops

    inputs = [each.name for each in model.inputs]
    found = []
    for batch in batches:
        fed = named(batch, inputs)
        value = model(fed if len(fed) > 1 else next(iter(fed.values())), training=False)
        if not isinstance(value, Mapping):
            values = value if isinstance(value, list | tuple) else [value]
            value = dict(zip(about["outputs"], values, strict=True))
        arrays = {name: ops.convert_to_numpy(each) for name, each in value.items()}
        found.append(named(arrays, about["outputs"]))
    return found


def run_frozen(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A GraphDef, in a session."""
    import tensorflow.compat.v1 as tf

    with open(path, "rb") as file:
        definition = tf.GraphDef.FromString(file.read())
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.import_graph_def(definition, name="")
        placeholders = [node.name for node in definition.node if node.op == "Placeholder"]
        inputs, outputs = (
            {name: graph.get_tensor_by_name(_tensor(name)) for name in names}
            for names in (placeholders, about["outputs"])
        )
        batches = [named(batch, placeholders) for batch in batches]
        return _in_session(session, inputs, outputs, batches)


def run_saved_model(
    path: str, batches: Sequence[Arrays], about: About
) -> list[dict[str, np.ndarray]]:
    """A SavedModel with a serving signature, in a session."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph, tf.Session() as session:
        meta = tf.saved_model.loader.load(session, [tf.saved_model.SERVING], path)
        signature = meta.signature_def[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
        inputs, outputs = (
            {name: graph.get_tensor_by_name(info.name) for name, info in side.items()}
            for side in (signature.inputs, signature.outputs)
        )
        batches = [named(batch, list(inputs)) for batch in batches]
        outputs = {name: outputs[name] for name in about["outputs"]}
        return _in_session(session, inputs, outputs, batches)


def _in_session(session, inputs, outputs, batches) -> list[dict[str, np.ndarray]]:
    return [
        session.run(outputs, {inputs[name]: array for name, array in batch.items()})
        for batch in batches
    ]


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def named(arrays: Arrays, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of `arrays` that have the names; in a file with names of its own, by their order."""
    if all(name in arrays for name in names):
        return {name: arrays[name] for name in names}
    return dict(zip(names, arrays.values(), strict=True))


def channels_first(array: np.ndarray) -> np.ndarray:
    """[batch, ..., channels] as [batch, channels, ...]; only arrays of rank 4 and 5 are images."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if array.ndim in (4, 5) else array


def channels_last(array: np.ndarray) -> np.ndarray:
    """The reverse."""
    return np.moveaxis(array, 1, -1) if array.ndim in (4, 5) else array


def _last(arrays: Arrays) -> dict[str, np.ndarray]:
    return {name: channels_last(array) for name, array in arrays.items()}
