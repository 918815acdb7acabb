"""The names of a `Network`'s parameters in a torch state dict: the scopes of its variables.

`pose/part_pred/block4/weights` is `pose.part_pred.block4.weight`, with its layout turned into
torch's. All of it is derived from the network, needs no torch, and can be undone.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from converters.graphs.network import Layer, Network, Parameter
from converters.models.network_torch.flattening import Map, flattened_maps
from converters.models.network_torch.layouts import to_held
from converters.models.network_torch.reserved import RESERVED
from converters.recognise.transforms import HWIO_TO_OIHW, IDENTITY, Regroup, Transform, contiguous

Layout = Transform | Regroup

# Kind of a layer -> role of its parameter -> torch's name of it. The first role that a layer has
# gives the module its name.
ROLES: dict[str, dict[str, str]] = {
    **dict.fromkeys(
        ("conv", "depthwise_conv", "conv_transpose", "dense"),
        {"kernel": "weight", "bias": "bias"},
    ),
    "batch_norm": {
        "gamma": "weight",
        "beta": "bias",
        "mean": "running_mean",
        "variance": "running_var",
    },
    "bias": {"bias": "bias"},
    "prelu": {"alpha": "weight"},
}
# The options that are a module's own; others are given when it is called.
_OWN_OPTIONS = {
    "batch_norm": ("epsilon", "decay", "fused"),
    "conv": ("strides", "padding", "dilations", "groups"),
    "depthwise_conv": ("strides", "padding", "dilations"),
    "conv_transpose": ("strides", "padding", "size"),
}
# Last parts of variables' names that say nothing but the role.
_PLAIN_LEAVES = frozenset(
    (
        "weights", "weight", "kernel", "filter", "filters", "w", "W", "biases", "bias", "b",
        "depthwise_weights", "pointwise_weights", "depthwise_kernel", "pointwise_kernel",
        "gamma", "beta", "moving_mean", "moving_variance", "mean", "variance",
        "alpha", "alphas",
    )
)  # fmt: skip
_LEAF_SUFFIX = re.compile(r"_(weights?|kernel)$")
# What follows a variable's own name: how it is read, an average of it, a part of it.
_READ_SUFFIX = re.compile(r"(/(read|ReadVariableOp|Identity|ExponentialMovingAverage|part_\d+))+$")
# What the operations of a dropout are called below its own scope.
_DROPOUT_SUFFIX = re.compile(
    r"(/(dropout(_\d+)?|cond(_\d+)?|mul(_\d+)?|truediv|div|Merge|Identity|SelectV2|Switch))+$"
)
# What stands for the role where a scope has a module of its own already.
_SECOND = {
    **dict.fromkeys(("conv", "depthwise_conv", "conv_transpose"), "conv"),
    "dense": "dense",
    "batch_norm": "norm",
    "bias": "biases",
    "prelu": "prelu",
}


@dataclass(frozen=True)
class WeightedModule:
    """A module with parameters: where it is, the first layer that it computes, what it owns."""

    path: str
    layer: Layer
    roles: Mapping[str, str]  # role -> name of a `Parameter`


@dataclass
class Names:
    """What `name_parameters` found.

    Attributes:
        modules: by path.
        calls: layer -> path of the module that computes it.
        states: parameter -> its name in the state dict, and the way from TensorFlow's layout.
        maps: of `flattened_maps`.
        dropouts: layer -> path of its module.
    """

    modules: dict[str, WeightedModule] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)
    states: dict[str, tuple[str, Layout]] = field(default_factory=dict)
    maps: dict[str, Map] = field(default_factory=dict)
    dropouts: dict[str, str] = field(default_factory=dict)


def parameter_names(
    network: Network, renamed: Mapping[str, str] | None = None
) -> dict[str, tuple[str, Layout]]:
    """The name in the state dict of every parameter, and the change of layout on the way there.

    Args:
        network: the network.
        renamed: scope of variables, or a variable -> path of the torch module (parameter) that is
            to have them, where it is not the scope: "resnet_v1_50/conv1" -> "backbone.conv1".

    Returns:
        Name of a `Parameter` -> (name in the state dict, transform); `transform(array)` gives
        torch's array, `transform.inverse` the other way, bit for bit. A parameter that several
        layers read is there once.
    """
    return name_parameters(network, renamed).states


def state_arrays(
    network: Network, arrays: Mapping[str, np.ndarray], renamed: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """A state dict of contiguous arrays from the parameters' values; needs no torch.

    Args:
        network: the network.
        arrays: name of each `Parameter` -> its value, as `Network.arrays` gives them.
        renamed: of `parameter_names`.
    """
    return {
        state: _contiguous(transform(np.asarray(arrays[name])))
        for name, (state, transform) in parameter_names(network, renamed).items()
    }


def original_arrays(
    network: Network, state: Mapping[str, np.ndarray], renamed: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """The reverse of `state_arrays`."""
    return {
        name: transform.inverse(np.asarray(state[key]))
        for name, (key, transform) in parameter_names(network, renamed).items()
    }


def _contiguous(array: np.ndarray) -> np.ndarray:
    return contiguous(array) if array.ndim else array


def name_parameters(network: Network, renamed: Mapping[str, str] | None = None) -> Names:
    """The modules of a network, the names of its parameters, and which module computes what."""
    namer = _Namer(network, dict(renamed or {}))
    for layer in network.layers:
        if layer.kind in ROLES:
            namer.add_module(layer)
    for layer in network.layers:
        for role, name in layer.weights.items():
            namer.add_parameter(layer, role, network.parameters[name])
    for layer in network.layers:
        if layer.kind == "dropout":
            namer.add_dropout(layer)
    return namer.names


class _Namer:
    """Gives each module and parameter a path that no other has."""

    def __init__(self, network: Network, renamed: dict[str, str]):
        self.network = network
        self.renamed = renamed
        self.names = Names(maps=flattened_maps(network))
        self.taken: set[str] = set()  # paths of modules and of parameters
        self.containers: set[str] = set()  # prefixes of them
        self.scopes: set[str] = set()  # those that a module has for its own
        self.callable: dict[tuple, str] = {}  # what a module computes -> its path
        kernels = {layer.weights["kernel"] for layer in network.layers if "kernel" in layer.weights}
        scopes = [self.scope(name)[0] for name in kernels]
        self.crowded = {scope for scope in scopes if scopes.count(scope) > 1}

    def add_module(self, layer: Layer) -> None:
        """Finds the module that computes a layer, or makes it of parameters that none has yet."""
        own = tuple(layer.options[key] for key in _OWN_OPTIONS.get(layer.kind, ()))
        # A transposed convolution that reads its size has no padding of its own.
        key = (layer.kind, len(layer.inputs), tuple(sorted(layer.weights.items())), own)
        if key in self.callable:
            self.names.calls[layer.name] = self.callable[key]
        elif not self._is_shared(layer):
            path = self._module_path(layer)
            self.names.modules[path] = WeightedModule(path, layer, layer.weights)
            self.names.calls[layer.name] = self.callable[key] = path
            for role, name in layer.weights.items():
                layout = self.layout(layer, role, self.network.parameters[name])
                self.names.states[name] = f"{path}.{ROLES[layer.kind][role]}", layout

    def _is_shared(self, layer: Layer) -> bool:
        """Whether another module has one of its parameters, or it reads one in two roles."""
        names = list(layer.weights.values())
        return len(set(names)) < len(names) or any(name in self.names.states for name in names)

    def add_parameter(self, layer: Layer, role: str, parameter: Parameter) -> None:
        """Names a parameter that no module owns: it lies in its scope as it is."""
        if parameter.name in self.names.states:
            return
        path = self.renamed.get(parameter.name) or _path("/".join(self.scope(parameter.name)))
        layout = self.layout(layer, role, parameter)
        self.names.states[parameter.name] = self._take(path, is_leaf=True), layout

    def scope(self, parameter: str) -> tuple[str, str]:
        """A parameter's scope, "" for none, and the last part of its name."""
        scope, _, leaf = _origin(self.network.parameters[parameter]).rpartition("/")
        return scope, leaf

    def add_dropout(self, layer: Layer) -> None:
        """Names a dropout after the scope of its operations; modules with weights keep theirs."""
        path = _path(_DROPOUT_SUFFIX.sub("", layer.name)) or "dropout"
        if path in self.taken or path in self.containers:
            path = f"{path}.dropout"
        self.names.dropouts[layer.name] = self._take(path)

    def layout(self, layer: Layer, role: str, parameter: Parameter) -> Layout:
        return role_layout(layer, role, parameter.shape, self.names.maps.get(layer.name))

    def _module_path(self, layer: Layer) -> str:
        main = next(role for role in ROLES[layer.kind] if role in layer.weights)
        scope, leaf = self.scope(layer.weights[main])
        if scope in self.renamed:
            return self._take(self.renamed[scope])
        is_plain = leaf in _PLAIN_LEAVES
        if scope and is_plain and (main != "kernel" or scope not in self.crowded):
            path = _path(scope)
            if scope in self.scopes:
                return self._take(f"{path}.{_SECOND[layer.kind]}")
            self.scopes.add(scope)
            return self._take(path)
        short = _LEAF_SUFFIX.sub("", leaf)
        return self._take(_path(f"{scope}/{short}" if scope else short))

    def _take(self, path: str, is_leaf: bool = False) -> str:
        found, count = path, 1
        while found in self.taken or (is_leaf and found in self.containers):
            count += 1
            found = f"{path}_{count}"
        self.taken.add(found)
        parts = found.split(".")
        self.containers.update(".".join(parts[:end]) for end in range(1, len(parts)))
        return found


def _origin(parameter: Parameter) -> str:
    """The variable whose name a parameter bears: what is computed from one is that one.

    Of several in one scope it is the one that is a kernel by its name, or the first; where they
    come from several scopes the operation has the better name.
    """
    found = list(dict.fromkeys(_READ_SUFFIX.sub("", name) for name in parameter.variables))
    if not found or parameter.name in parameter.variables:
        return _READ_SUFFIX.sub("", parameter.name)
    if len({name.rpartition("/")[0] for name in found}) > 1:
        return parameter.name
    return next((name for name in found if name.rpartition("/")[2] in _PLAIN_LEAVES), found[0])


def _path(name: str) -> str:
    """A path of modules for a name of TensorFlow's: every part an identifier that torch allows."""
    return ".".join(identifier(part) for part in name.split("/") if part)


def identifier(part: str) -> str:
    """A Python name for a part of a scope, none that means something to torch or to Python."""
    name = re.sub(r"\W", "_", part, flags=re.ASCII)
    if name[:1].isdigit():
        name = f"_{name}"
    return f"{name}_" if name in RESERVED or keyword.iskeyword(name) else name


def role_layout(layer: Layer, role: str, shape: tuple[int, ...], before: Map | None) -> Layout:
    """The way from TensorFlow's layout of a parameter to that of torch's module.

    Args:
        layer: one that reads it.
        role: as what.
        shape: TensorFlow's.
        before: the map whose flattened values a dense layer reads channels-first.
    """
    if role == "kernel":
        return _kernel_layout(layer.kind, shape, before)
    if layer.kind == "parameter":
        return Transform(permutation=to_held(len(shape)))
    if len(shape) == 1:
        return IDENTITY
    return Regroup(shape, shape, tuple(range(len(shape))), (math.prod(shape),))


def _kernel_layout(kind: str, shape: tuple[int, ...], before: Map | None) -> Layout:
    if kind == "depthwise_conv":
        height, width, inputs, multiplier = shape
        return Regroup(shape, shape, (2, 3, 0, 1), (inputs * multiplier, 1, height, width))
    if kind != "dense":
        return HWIO_TO_OIHW  # of a transposed convolution: HWOI to IOHW
    if before is None:
        return Transform(permutation=(1, 0))
    return Regroup(shape, (*before, shape[1]), (3, 2, 0, 1), (shape[1], shape[0]))
