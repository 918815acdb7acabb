"""A `Network` as a `torch.nn.Module`: whatever net a TensorFlow 1 graph computes, to run and train.

Images go in and out [batch, channels, height, width]; so lies every value of rank 4 (and 5), all
others as TensorFlow has them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from converters.files import open_weights
from converters.files.errors import CheckpointError
from converters.graphs.network import Network
from converters.models.network_torch import layers
from converters.models.network_torch.lowering import host_constants, lower
from converters.models.network_torch.making import Making, making_of
from converters.models.network_torch.naming import (
    Names,
    name_parameters,
    state_arrays,
)
from converters.models.network_torch.program import Program
from converters.models.network_torch.recorded import NETWORK_KEY, recorded_network
from slim_resnet.frameworks import require

torch = require("torch")
nn = torch.nn

Images = torch.Tensor | Mapping[str, torch.Tensor]


class Scope(nn.Module):
    """A scope of variables: it holds what lies below it."""


class NetworkModule(nn.Module):
    """A network of a TensorFlow 1 graph; its submodules are the scopes of its variables.

    `net(x)` takes images [batch, channels, height, width], of several inputs a dict by the name of
    the operation; it returns a tensor, of several outputs a dict by the name of the operation.

    In `.train()` mode batch norms use the batch's statistics and move their own with the decay of
    the graph (of a graph that does not train: they leave them as they are), and dropouts drop.

    Parameters that the graph's optimizer could not change need no gradient; where the graph has
    none that it could (a frozen graph), all weights do. Constants of the graph are buffers.

    Args:
        network: what to compute.
        constants: values of `host_constants(network)`, by name.
        renamed: of `naming.parameter_names`.
    """

    def __init__(
        self,
        network: Network,
        constants: Mapping[str, np.ndarray],
        renamed: Mapping[str, str] | None = None,
    ):
        super().__init__()
        names = name_parameters(network, renamed)
        plan = lower(network, names, constants)
        self.dtype = torch.float32
        self.input_names = tuple(each.name for each in network.inputs)
        self.output_names = network.outputs
        self._program = Program(plan)
        self._end_points = Program(plan, plan.values)
        self._add_modules(network, names, plan.dropouts)
        self._add_parameters(network, names)

    def forward(self, x: Images) -> torch.Tensor | dict[str, torch.Tensor]:
        found = self._program(self, self._inputs(x))
        return found if len(self.output_names) > 1 else found[self.output_names[0]]

    def end_points(self, x: Images) -> dict[str, torch.Tensor]:
        """The value of every layer that is no arithmetic on sizes, by its operation's name.

        Args:
            x: as of a call.

        Returns:
            name -> tensor, in the network's order; images [batch, channels, height, width].
        """
        return self._end_points(self, self._inputs(x))

    def _inputs(self, x: Images) -> Mapping[str, torch.Tensor]:
        if isinstance(x, Mapping):
            return x
        if len(self.input_names) > 1:
            raise TypeError(f"this network has several inputs; give a dict of {self.input_names}")
        return {self.input_names[0]: x}

    def _apply(self, fn, recurse=True):
        """Follows `.double()` and the like: what the graph casts to float has our type."""
        super()._apply(fn, recurse)
        self.dtype = fn(torch.empty(0, dtype=self.dtype)).dtype
        return self

    def _add_modules(self, network: Network, names: Names, dropouts: Mapping[str, float]) -> None:
        """Every module at its path, scopes between; those above before those below."""
        made = {
            path: _made(making_of(module, network)) for path, module in names.modules.items()
        } | {path: nn.Dropout(rate or 0.0) for path, rate in dropouts.items()}
        for path in sorted(made, key=lambda path: path.count(".")):
            parent, _, name = path.rpartition(".")
            self._scope(parent).add_module(name, made[path])

    def _scope(self, path: str) -> nn.Module:
        found = self
        for part in path.split(".") if path else ():
            if part not in found._modules:
                found.add_module(part, Scope())
            found = found._modules[part]
        return found

    def _add_parameters(self, network: Network, names: Names) -> None:
        """Parameters that no module owns; and which of all have gradients."""
        trains = any(parameter.trainable for parameter in network.parameters.values())
        there = dict(self.named_parameters(remove_duplicate=False))
        owned = {*there, *dict(self.named_buffers())}
        for name, (state, transform) in names.states.items():
            parameter = network.parameters[name]
            if state not in owned:
                self._add_value(state, transform(_blank(parameter.shape)), parameter.trainable)
            elif state in there:
                there[state].requires_grad_(parameter.trainable or not trains)

    def _add_value(self, state: str, like: np.ndarray, trainable: bool) -> None:
        parent, _, name = state.rpartition(".")
        value = torch.empty(like.shape)
        if trainable:
            self._scope(parent).register_parameter(name, nn.Parameter(value))
        else:
            self._scope(parent).register_buffer(name, value)


def _made(how: Making) -> nn.Module:
    """A module with values that mean nothing yet."""
    home, _, name = how.maker.partition(".")
    return getattr({"nn": nn, "layers": layers}[home], name)(*how.args, **how.options)


def _blank(shape: tuple[int, ...]) -> np.ndarray:
    """An array of a shape that takes no memory."""
    return np.broadcast_to(np.float32(0), shape)


def build(
    network: Network, arrays: Mapping[str, np.ndarray], renamed: Mapping[str, str] | None = None
) -> NetworkModule:
    """The module of a network with its weights, in eval mode.

    Args:
        network: what to compute.
        arrays: name of each parameter -> its value: `network.arrays(variables)`.
        renamed: of `naming.parameter_names`.

    Raises:
        ValueError: the network has a layer that has no place in a torch module.
    """
    return from_state(network, state_arrays(network, arrays, renamed), renamed)


def from_state(
    network: Network, state: Mapping, renamed: Mapping[str, str] | None = None
) -> NetworkModule:
    """The module of a network with the weights of a state dict, in eval mode.

    Args:
        network: what to compute.
        state: parameter and buffer names -> arrays or tensors; `num_batches_tracked` may be absent.
            Arrays are copied, tensors used as they are; but where some fractions are no float32,
            all become it, unless all are float64.
        renamed: of `naming.parameter_names`.

    Raises:
        ValueError: the network has a layer that has no place in a torch module.
        RuntimeError: names or shapes are not those of the network.
    """
    names = name_parameters(network, renamed)
    constants = {}
    for name in host_constants(network):
        key, transform = names.states[name]
        if key not in state:
            raise RuntimeError(f"{key} is missing")
        constants[name] = transform.inverse(np.asarray(state[key]))
    with torch.device("meta"):  # shapes only: the weights come from `state`
        net = NetworkModule(network, constants, renamed)
    tensors = _of_one_type(
        {
            name: value if isinstance(value, torch.Tensor) else torch.tensor(value)
            for name, value in state.items()
        }
    )
    for name in net.state_dict():
        if name.endswith("num_batches_tracked"):
            tensors.setdefault(name, torch.tensor(0))
    net.load_state_dict(tensors, strict=True, assign=True)
    net.dtype = next((t.dtype for t in tensors.values() if t.is_floating_point()), net.dtype)
    return net.eval()


def _of_one_type(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With fractions in float64 if all are, else in float32: a network computes in one type."""
    found = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    dtype = torch.float64 if found == {torch.float64} else torch.float32
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


def load(path: str | os.PathLike) -> NetworkModule:
    """The module in a `.safetensors` or `.pt` file that carries its network, in eval mode.

    Args:
        path: the file. Nothing is unpickled but tensors.

    Raises:
        CheckpointError: it is missing, broken, or has no network in it.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise CheckpointError(f"{path}: no such file")
    file = open_weights(path)
    recorded = recorded_network(path, file.metadata)
    if recorded is None:
        raise CheckpointError(f"{path}: no network in it ({NETWORK_KEY}): convert it again")
    try:
        return from_state(recorded.network, dict(file), recorded.renamed)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path}: cannot be read: {reason}") from error
