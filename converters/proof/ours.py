"""Runs written files that this project itself opens: its modules, and slim's checkpoints.

The contract is that of `converters.proof.standalone`, with more in `about`: "arch", an `Arch` as
JSON, and "scope", where a file holds weights alone; "end_points": True asks for those, too; "dtype"
asks for another type than the file's.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from converters.files.errors import CheckpointError
from converters.proof.standalone import (
    About,
    Arrays,
    channels_first,
    channels_last,
    run_keras_model,
    run_torch_module,
)
from slim_resnet.arch.architecture import Arch
from slim_resnet.frameworks import require


def run_torch(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A `.safetensors` or `.pt` file with its architecture or network in it."""
    torch = require("torch")
    from converters.models import torch_model

    net = torch_model.load(path)
    if about.get("dtype"):
        net = net.to(getattr(torch, about["dtype"]))
    if not about.get("end_points"):
        return run_torch_module(net, batches, about)
    return torch_end_points(net, batches, about["outputs"])


def torch_end_points(
    net, batches: Sequence[Arrays], outputs: Sequence[str]
) -> list[dict[str, np.ndarray]]:
    """Every end point of one of our modules, channels last, and its outputs by their names."""
    torch = require("torch")
    dtype = next((p.dtype for p in net.parameters()), torch.float64)
    found = []
    with torch.no_grad():
        for batch in batches:
            fed = {name: torch.from_numpy(channels_first(x)) for name, x in batch.items()}
            fed = {n: x.to(dtype) if x.is_floating_point() else x for n, x in fed.items()}
            values = dict(net.end_points(fed if len(fed) > 1 else next(iter(fed.values()))))
            if any(name not in values for name in outputs):
                values |= dict(zip(outputs, _outputs(net, fed), strict=True))
            found.append({name: channels_last(each.numpy()) for name, each in values.items()})
    return found


def _outputs(net, fed: Mapping) -> list:
    value = net(fed if len(fed) > 1 else next(iter(fed.values())))
    return list(value.values()) if isinstance(value, Mapping) else [value]


def run_keras_weights(
    path: str, batches: Sequence[Arrays], about: About
) -> list[dict[str, np.ndarray]]:
    """A `.weights.h5` file, in the Keras model of its architecture."""
    require("keras")
    from converters.models import keras_model

    model = keras_model.build(Arch.from_json(about["arch"]).grouped)
    model.load_weights(path)
    return run_keras_model(model, batches, about)


def run_slim(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A checkpoint, restored by a plain `Saver` into slim's graph of its architecture."""
    require("tensorflow")
    from slim_resnet import graph
    from slim_resnet.compat import tf

    arch, scope = Arch.from_json(about["arch"]), about.get("scope") or None
    (name,) = batches[0]
    (output,) = about["outputs"]
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, None, None, arch.input_channels])
        net, tensors = graph.build(arch, images, scope=scope)
        tf.train.Saver(list(graph.variables(arch, scope).values())).restore(session, path)
        fetches = {output: net}
        if about.get("end_points"):
            outer = scope or arch.name
            fetches |= {each: tensors[f"{outer}/{each}"] for each in arch.end_points}
        return [session.run(fetches, {images: batch[name]}) for batch in batches]


def run_network(network: str, path: str, arrays: Arrays, batches: Sequence[Arrays]) -> list[dict]:
    """Every value of a network in torch, in float64.

    Args:
        network: `Network.to_json`.
        path: the file of its graph.
        arrays: name of each parameter -> its value.
        batches: name of an input -> array.

    Raises:
        CheckpointError: the network has a layer that has no place in a torch module.
    """
    read, net = _network_module(network, path, arrays)
    return torch_end_points(net, batches, read.outputs)


def _network_module(network: str, path: str, arrays: Arrays) -> tuple:
    """A `Network` of its JSON, and its torch module in float64."""
    torch = require("torch")
    from converters.graphs.network import Network
    from converters.models.network_torch import module

    read = Network.from_json(network, path)
    try:
        return read, module.build(read, arrays).to(torch.float64)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}.") from error


def train_network(
    network: str, path: str, arrays: Arrays, frozen: Sequence[str], batches: Sequence[Arrays]
) -> list[dict]:
    """The values of a network in torch, in `.train()` mode and float64, and its moved statistics.

    Dropouts keep every value, and scale it.

    Args:
        network: `Network.to_json`.
        path: the file of its graph.
        arrays: name of each parameter -> its value.
        frozen: the batch norms that stay in `.eval()` mode.
        batches: one: name of an input -> array.

    Raises:
        CheckpointError: as `run_network`, or torch cannot train it.
    """
    torch = require("torch")
    from converters.models.network_torch.naming import name_parameters, original_arrays
    from converters.proof.report import statistic
    from converters.proof.training_updates import moving_statistics

    read, net = _network_module(network, path, arrays)
    net.train()
    for each in net.modules():
        if isinstance(each, torch.nn.Dropout):
            each.forward = functools.partial(torch.mul, other=1 / (1 - each.p))
    calls = name_parameters(read).calls
    for path in {calls[name] for name in frozen if name in calls}:
        net.get_submodule(path).eval()
    try:
        (values,) = torch_end_points(net, batches, read.outputs)
    except ValueError as error:  # torch trains no batch norm of epsilon 0
        raise CheckpointError(f"{path}: {error}") from error
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    arrays = original_arrays(read, state)
    return [values | {statistic(name): arrays[name] for name in moving_statistics(read)}]


def run_arch(arch: str, state: Arrays, output: str, batches: Sequence[Arrays]) -> list[dict]:
    """Every end point of an architecture in torch, in float64, and its output.

    Args:
        arch: `Arch.to_json`.
        state: parameters and buffers by torch's names.
        output: the name of what it returns.
        batches: name of the input -> images.
    """
    torch = require("torch")
    from converters.models import torch_model

    net = torch_model.from_state(Arch.from_json(arch).grouped, dict(state)).to(torch.float64)
    return torch_end_points(net, batches, [output])


def run_keras_arch(arch: str, weights: Arrays, output: str, batches: Sequence[Arrays]) -> list:
    """The same in Keras; `weights` by the paths of its variables."""
    keras = require("keras")
    from converters.models import keras_model

    made = Arch.from_json(arch).grouped
    model = keras_model.build(made, "float64")
    for variable in model.variables:
        variable.assign(weights[variable.path])
    layers = keras_model.end_point_layers(made)
    values = {name: model.get_layer(layer).output for name, layer in layers.items()}
    values.setdefault(output, model.output)
    probe = keras.Model(model.input, values)
    return [run_keras_model(probe, [batch], {"outputs": list(values)})[0] for batch in batches]


def run_slim_graph(
    arch: str, scope: str, stored: Arrays, output: str, dtype: str, batches: Sequence[Arrays]
) -> list[dict]:
    """Every end point of slim's own graph of an architecture, and its output.

    Args:
        arch: `Arch.to_json`.
        scope: its variable scope; "": none.
        stored: its variables, by their names below the scope.
        output: the name of what it returns.
        dtype: "float64" or "float32".
        batches: name of the input -> images.
    """
    require("tensorflow")
    from slim_resnet import graph
    from slim_resnet.compat import tf

    made = Arch.from_json(arch)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(dtype, [None, None, None, made.input_channels])
        net, tensors = graph.build(made, images, scope=scope or None)
        outer = scope or made.name
        fetches = {name: tensors[f"{outer}/{name}"] for name in made.end_points}
        fetches.setdefault(output, net)
        values = {v: stored[n] for n, v in graph.variables(made, scope or None).items()}
        graph.assign(session, values)
        return [session.run(fetches, {images: next(iter(b.values()))}) for b in batches]
