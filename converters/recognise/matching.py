"""An `Arch` and the `Network` of a graph, layer by layer: which is which, what the Arch lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from converters.graphs.network import Layer, Network, Parameter
from slim_resnet.arch import Arch, Conv, Unit

# What may come between the image and the root convolution without changing it.
_HANDING_ON = frozenset(("identity", "cast", "pad", "stop_gradient"))
# What may follow the logits, or the pooled features, without being part of the network.
_TAIL = frozenset(
    ("squeeze", "reshape", "flatten", "softmax", "log_softmax", "sigmoid", "argmax", "identity")
)
_SAME_VALUES = _TAIL - {"softmax", "log_softmax", "sigmoid", "argmax"}
# Kinds that a residual network is made of besides its activations.
_PARTS = frozenset(
    ("conv", "dense", "batch_norm", "bias", "add", "add_n", "max_pool", "mean", "pad")
)
# How TensorFlow's name of an activation is called in an `Arch`; `clip` bounds residuals.
_ACTIVATIONS = frozenset(
    ("relu", "relu6", "leaky_relu", "elu", "selu", "swish", "softplus", "sigmoid", "tanh", "clip")
)
# Further kinds, by the shortcut or form that brings them.
_BY_SHORTCUT = {
    "pad": {"strided_slice", "avg_pool"},
    "average_pad": {"avg_pool"},
    "average_projection": {"avg_pool"},
}
_BY_FORM = {"concat": {"concat"}, "branches": {"concat"}}


class Match:
    """The layers of a network by the layers of an `Arch` whose weights they read.

    Args:
        arch: the architecture.
        network: of a graph that reads its variables.
        scope: the variable scope of `arch`.
        names: the graph's name of a variable -> slim's, where that is another.
    """

    def __init__(
        self, arch: Arch, network: Network, scope: str, names: Mapping[str, str] | None = None
    ) -> None:
        self.arch = arch
        self.network = network
        self._prefix = f"{scope}/" if scope else ""
        self._layers = {layer.name: layer for layer in network.layers}
        self._readers: dict[str, list[Layer]] = {}
        self._by_weights: dict[str, Layer] = {}
        for layer in network.layers:
            for value in layer.inputs:
                self._readers.setdefault(value, []).append(layer)
            for parameter in layer.weights.values():
                for variable in _variables(network.parameters[parameter]):
                    self._by_weights[(names or {}).get(variable, variable)] = layer

    def lacking(self) -> str:
        """The first thing that the network computes and the Arch does not, as a clause; or ""."""
        return next(self._lacks(), "")

    def _lacks(self) -> Iterator[str]:
        own = {self._prefix + variable.name for variable in self.arch.variables}
        for variable in self._by_weights:
            if variable not in own:
                yield f"its graph reads {variable}, which {self.arch.name} has not"
        yield from self._unknown_kinds()
        yield from self._other_slopes()
        yield from self._before_the_root()
        for output in self.network.outputs:
            if self._root_of(output, _TAIL) != self.last():
                yield f"its output {output} is not that of {self.arch.name}"

    def _unknown_kinds(self) -> Iterator[str]:
        known = _PARTS | _ACTIVATIONS | _TAIL | _HANDING_ON
        known |= _BY_SHORTCUT.get(self.arch.shortcut, set())
        known |= _BY_FORM.get(self.arch.form, set())
        known |= {"mul"} if self.arch.has_se else set()
        for layer in self.network.layers:
            if layer.kind not in known and not layer.is_shape:
                yield f"its graph has the {layer.kind} {layer.name}, which no residual network has"

    def _other_slopes(self) -> Iterator[str]:
        """Leaky ReLUs made of other operations: only LeakyRelu's own slope is a float32."""
        for layer in self.network.layers:
            slope = layer.options["alpha"] if layer.kind == "leaky_relu" else 0.0
            if slope != float(np.float32(slope)):
                yield f"its graph makes the leaky ReLU {layer.name} of other operations"

    def _before_the_root(self) -> Iterator[str]:
        first = (*self.arch.root_convs, *self.arch.units[0].convs)[0]
        root = self._reading(f"{first.scope}/weights")
        inputs = {each.name for each in self.network.inputs}
        if len(inputs) > 1:
            yield f"its graph has the inputs {', '.join(sorted(inputs))}"
        if root is None:
            return
        first = self._root_of(root.inputs[0], _HANDING_ON)
        if first not in inputs:
            yield f"its graph computes {first} from the image, before the first convolution"

    def is_output(self, value: str) -> bool:
        """Whether a value of the network is the output of the Arch, in some shape."""
        return self._root_of(value, _SAME_VALUES) == self.last()

    def last(self) -> str | None:
        """The value that the Arch ends in: its logits, or else its pooled or last features."""
        if self.arch.logits:
            name = "logits/weights" if self._reading("logits/weights") else "linear/kernel"
            return self._end_of(self._reading(name), norm=False, activation=False)
        end = self._unit_end(self.arch.units[-1])
        pooled = [layer for layer in self._readers.get(end or "", ()) if layer.kind == "mean"]
        return pooled[0].name if pooled else end

    def end_points(self) -> dict[str, str]:
        """End point of the Arch -> the value of the network that it is, where that is found."""
        found: dict[str, str | None] = {}
        for layer in self.arch.layers:
            if isinstance(layer, Conv):
                found[layer.scope] = self._conv_end(layer)
        for unit in self.arch.units:
            found[unit.scope] = found[f"block{unit.block}"] = self._unit_end(unit)
        return {name: found[name] for name in self.arch.end_points if found.get(name)}

    def _reading(self, name: str) -> Layer | None:
        return self._by_weights.get(self._prefix + name)

    def _conv_end(self, conv: Conv) -> str | None:
        return self._end_of(self._reading(f"{conv.scope}/weights"), conv.norm, conv.activation)

    def _end_of(self, layer: Layer | None, norm: bool, activation: bool) -> str | None:
        """The value of a convolution, its batch norm and activation."""
        if layer is None:
            return None
        value = layer.name
        for wanted, kinds in ((norm, {"batch_norm"}), (activation, _ACTIVATIONS)):
            if wanted:
                value = self._next(value, kinds)
        return value

    def _unit_end(self, unit: Unit) -> str | None:
        """The value of the sum that the last layer of a unit goes into."""
        layer = self._reading(f"{unit.all_convs[-1].scope}/weights")
        value: str | None = layer.name if layer else None
        # A batch norm, the clip of bounded activations, or a gate and its product may come first.
        for _ in range(4):
            readers = self._readers.get(value or "", [])
            sums = [reader for reader in readers if reader.kind in ("add", "add_n")]
            if sums:
                value = sums[0].name
                return self._next(value, _ACTIVATIONS) if unit.activation else value
            value = readers[0].name if readers else None
        return None

    def _next(self, value: str | None, kinds: frozenset[str] | set[str]) -> str | None:
        readers = self._readers.get(value or "", ())
        return next((reader.name for reader in readers if reader.kind in kinds), None)

    def _root_of(self, value: str, through: frozenset[str]) -> str:
        """The first value upstream that is not merely handed on; another's name stays itself."""
        last = self.last() if through is not _HANDING_ON else None
        while value != last:
            layer = self._layers.get(value)
            if layer is None or layer.kind not in through or not layer.inputs:
                return value
            value = layer.inputs[0]
        return value


def _variables(parameter: Parameter) -> tuple[str, ...]:
    """The variables of a parameter; in a frozen graph the constant that one became."""
    return parameter.variables or (parameter.name.removesuffix("/read"),)
