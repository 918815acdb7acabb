"""A network as data: what a TensorFlow 1 graph computes at inference, whatever net it is.

`Network` is the contract between the readers of graphs (`converters.graphs`) and everything that
makes a model of one (`converters.models`, `converters.formats`, `converters.proof`):

- A value is named by the operation of the graph that computes it ("scope/Relu"; a second output is
  "scope/split:1"). Names are those of the graph, so a user can ask for any of them.
- Axes and shapes are TensorFlow's NHWC, also where the graph was NCHW (`Layer.layout` says so):
  images are [batch, height, width, channels], kernels HWIO, HWIM (depthwise), HWOI (transposed).
- A layer is one operation, or several that every framework has as one (a convolution and its
  biases; the arithmetic of a batch norm); it bears the name of the last one. Nothing is fused whose
  inside is read by others or asked for.
- Integer arithmetic on shapes (`Layer.is_shape`) stays in the network, so that sizes stay dynamic.
- Training leaves a mark where a model must know it: batch norms know their decay, dropouts stay as
  layers that do nothing at inference.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np

Shape = tuple[int | None, ...]  # batch first; None: not known before the network runs
Option = None | bool | int | float | str | tuple


@dataclass(frozen=True)
class Input:
    """What is fed to the network: an operation of the graph, its type and its static shape."""

    name: str
    shape: Shape
    dtype: str = "float32"
    layout: str = "NHWC"  # of the graph's own tensor; `shape` is always NHWC


@dataclass(frozen=True)
class Parameter:
    """An array that layers read: a variable, a constant of the graph, or made of such.

    Attributes:
        name: of the variable in the checkpoint, or of the operation that computes it.
        shape: TensorFlow's, static.
        trainable: whether it is a variable that the graph's optimizer may change.
        variables: the variables that it is made of; () for a constant of the graph.
        compute: from those variables' arrays, by name, to its value. A second argument, True, lets
            it compute in float64; a constant of one number is then the decimal that was written in
            the code, as it is in a layer's options.
    """

    name: str
    shape: tuple[int, ...]
    trainable: bool
    variables: tuple[str, ...]
    compute: Callable[..., np.ndarray] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Layer:
    """One step of a network.

    Attributes:
        name: the value that it computes; further outputs are "NAME:1", "NAME:2", ...
        kind: a key of `KINDS`.
        inputs: the values that it reads, in the order of the operation.
        weights: role (of `KINDS`) -> name of a `Parameter`.
        options: of `KINDS`; JSON knows their types (lists are tuples here).
        shape: of its first output, NHWC.
        operations: every operation of the graph that went into it, in the graph's order.
        layout: of the graph's own tensor: "NHWC" or "NCHW".
        is_shape: it computes sizes (integers known on the host), not images.
    """

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    shape: Shape | None = None
    operations: tuple[str, ...] = ()
    layout: str = "NHWC"
    is_shape: bool = False


@dataclass(frozen=True)
class Kind:
    """What a kind of layer computes.

    Attributes:
        text: the operation, in words; sources are TensorFlow's `core/ops/*.cc`.
        weights: roles of parameters; those that end in "?" may be absent.
        options: the names of its options.
        trains: it behaves otherwise in training.
    """

    text: str
    weights: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    trains: bool = False


# `padding` is "SAME", "VALID" or ((top, bottom), (left, right)); strides, dilations, kernel and
# block are (height, width). `axes` count from 0, NHWC. A size that is computed comes as a further
# input that `is_shape`.
_WINDOW = ("kernel", "strides", "padding")
KINDS: dict[str, Kind] = {
    # layers with weights
    "conv": Kind(
        "Conv2D; kernel HWIO, I a group's", ("kernel", "bias?"),
        ("strides", "padding", "dilations", "groups"),
    ),
    "depthwise_conv": Kind(
        "DepthwiseConv2dNative; kernel HWIM", ("kernel", "bias?"),
        ("strides", "padding", "dilations"),
    ),
    "conv_transpose": Kind(
        "Conv2DBackpropInput; kernel HWOI. Output (height, width): `size`, else the further input "
        "(an `is_shape` vector [batch, height, width, channels]), else what the padding gives",
        ("kernel", "bias?"), ("strides", "padding", "size"),
    ),
    "dense": Kind("MatMul with a parameter [in, out], on the last axis", ("kernel", "bias?")),
    "batch_norm": Kind(
        "(x - mean) * rsqrt(variance + epsilon) * gamma + beta over the last axis; `decay` of the "
        "moving statistics is None where the graph does not train; `fused` batch norms keep the "
        "unbiased variance", ("gamma?", "beta?", "mean", "variance"),
        ("epsilon", "decay", "fused"), trains=True,
    ),
    "bias": Kind("BiasAdd that could not go into the layer before", ("bias",)),
    "parameter": Kind("a parameter as a value", ("value",)),
    # one value in, one of the same shape out
    **{
        name: Kind(f"tf.nn.{name}" if name in ("relu", "relu6", "elu", "selu") else f"tf.{name}")
        for name in (
            "relu", "relu6", "elu", "selu", "sigmoid", "tanh", "softplus", "softsign", "neg", "abs",
            "square", "sqrt", "rsqrt", "exp", "log", "log1p", "floor", "ceil", "round", "sign",
            "reciprocal", "erf", "sin", "cos", "logical_not", "identity", "zeros_like", "ones_like",
            "stop_gradient", "expm1", "is_finite",
        )
    },
    "leaky_relu": Kind("max(x, 0) + alpha * min(x, 0)", options=("alpha",)),
    "prelu": Kind("max(x, 0) + alpha * min(x, 0), alpha over the last axis", ("alpha",)),
    "clip": Kind("min(max(x, low), high)", options=("low", "high")),
    "hard_sigmoid": Kind("relu6(x + 3) / 6"),
    "hard_swish": Kind("x * relu6(x + 3) / 6"),
    "swish": Kind("x * sigmoid(x)"),
    "softmax": Kind("over an axis", options=("axis",)),
    "log_softmax": Kind("over an axis", options=("axis",)),
    "dropout": Kind("`rate` of the values become 0 in training", options=("rate",), trains=True),
    "cast": Kind("to another type, by NumPy's name", options=("dtype",)),
    "lrn": Kind(
        "x / (bias + alpha * sum(x[c - r : c + r + 1] ** 2)) ** beta",
        options=("depth_radius", "bias", "alpha", "beta"),
    ),
    # several values, broadcast as NumPy does
    **{
        name: Kind(f"tf.{name}")
        for name in (
            "add", "sub", "mul", "div", "floor_div", "floor_mod", "maximum", "minimum", "pow",
            "squared_difference", "add_n", "greater", "greater_equal", "less", "less_equal",
            "equal", "not_equal", "logical_and", "logical_or", "select",
        )
    },
    "matmul": Kind(
        "of two values, over the last two axes", options=("transpose_a", "transpose_b")
    ),
    # windows and sizes
    "max_pool": Kind("MaxPool", options=_WINDOW),
    "avg_pool": Kind("AvgPool; SAME padding does not count", options=_WINDOW),
    "resize": Kind(
        "ResizeBilinear, ResizeNearestNeighbor, ResizeBicubic; `size` (height, width), else a "
        "further input", options=("method", "size", "align_corners", "half_pixel_centers"),
    ),
    "pad": Kind(
        "`mode` CONSTANT, REFLECT or SYMMETRIC; `paddings` ((before, after), ...) of every axis, "
        "else a further input", options=("paddings", "mode", "value"),
    ),
    "depth_to_space": Kind("DepthToSpace", options=("block",)),
    "space_to_depth": Kind("SpaceToDepth", options=("block",)),
    "space_to_batch": Kind("SpaceToBatchND", options=("block", "paddings")),
    "batch_to_space": Kind("BatchToSpaceND", options=("block", "crops")),
    # reductions; negative axes are counted from the front here
    **{
        name: Kind(f"tf.reduce_{name}", options=("axes", "keepdims"))
        for name in ("mean", "sum", "max", "min", "prod", "any", "all")
    },
    "argmax": Kind("tf.argmax", options=("axis",)),
    "argmin": Kind("tf.argmin", options=("axis",)),
    "top_k": Kind("TopKV2, of the last axis: values NAME, their places NAME:1", options=("k",)),
    "cumsum": Kind("tf.cumsum", options=("axis", "exclusive", "reverse")),
    # shapes; an option that is None comes as a further input
    "concat": Kind("ConcatV2", options=("axis",)),
    "split": Kind("outputs NAME, NAME:1, ...; `sizes` along `axis`", options=("axis", "sizes")),
    "stack": Kind("Pack", options=("axis",)),
    "unstack": Kind("Unpack", options=("axis", "num")),
    "squeeze": Kind("Squeeze", options=("axes",)),
    "expand_dims": Kind("ExpandDims", options=("axis",)),
    "reshape": Kind("values in NHWC order; -1: what is left", options=("shape",)),
    "flatten": Kind("[batch, rest], values in NHWC order"),
    "transpose": Kind("Transpose", options=("permutation",)),
    "strided_slice": Kind(
        "one (begin, end, stride) an axis, None as in Python's slices; `shrink` axes go, `new` "
        "axes come", options=("slices", "shrink", "new"),
    ),
    "slice": Kind("Slice with computed inputs begin, size", options=("begin", "size")),
    "tile": Kind("Tile", options=("multiples",)),
    "reverse": Kind("ReverseV2", options=("axes",)),
    "gather": Kind("GatherV2", options=("axis", "indices")),
    "broadcast_to": Kind("BroadcastTo", options=("shape",)),
    "fill": Kind("Fill with a number", options=("shape", "value")),
    "range": Kind("Range", options=("start", "limit", "delta")),
    "shape": Kind("the sizes of a value, NHWC; `is_shape`"),
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A whole network, in an order in which it can be computed.

    Attributes:
        path: the file of its graph.
        inputs: what is fed.
        layers: every step from the inputs to the outputs, and no other.
        outputs: the values asked for, in the user's order.
        parameters: by name.
        notes: what was guessed, left out or rewritten, a sentence each, for the user.
        others: further values that a user may have meant as outputs.
    """

    path: str
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    notes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def replace(self, **changes) -> Network:
        return replace(self, **changes)

    def layer(self, value: str) -> Layer | None:
        """The layer that computes a value; None for an input."""
        name = value.partition(":")[0]
        return next((layer for layer in self.layers if layer.name == name), None)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that the network reads, each once, in the order of its layers."""
        return tuple(dict.fromkeys(v for p in self.parameters.values() for v in p.variables))

    def arrays(
        self, variables: Mapping[str, np.ndarray], double: bool = False
    ) -> dict[str, np.ndarray]:
        """Name of each parameter -> its value, from the variables of a checkpoint.

        Args:
            variables: by name.
            double: in float64, to compare what is computed; see `Parameter.compute`.

        Raises:
            KeyError: a variable is missing.
        """
        return {name: p.compute(variables, double) for name, p in self.parameters.items()}

    def to_json(self) -> str:
        """Everything but the parameters' values, as a JSON object; `from_json` is the reverse."""
        value = {
            "inputs": [asdict(each) for each in self.inputs],
            "layers": [asdict(each) for each in self.layers],
            "outputs": self.outputs,
            "parameters": [
                [p.name, p.shape, p.trainable, p.variables] for p in self.parameters.values()
            ],
            "notes": self.notes,
        }
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, path: str) -> Network:
        """The network that `to_json` wrote; its parameters take the place of their variables.

        Args:
            text: the JSON.
            path: the file that it was read from.

        Raises:
            ValueError: `text` is not such an object, or no network.
        """
        try:
            value = _tuples(json.loads(text))
            parameters = {}
            for name, shape, trainable, _ in value["parameters"]:
                parameters[name] = Parameter(
                    name, shape, trainable, (name,), functools.partial(_stored, name)
                )
            found = cls(
                path=path,
                inputs=tuple(Input(**each) for each in value["inputs"]),
                layers=tuple(Layer(**each) for each in value["layers"]),
                outputs=value["outputs"],
                parameters=parameters,
                notes=value["notes"],
            )
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"not the description of a network: {error}") from error
        found.check()
        return found

    def check(self) -> None:
        """Raises ValueError unless every layer is of a known kind and reads what is there."""
        known = {each.name for each in self.inputs}
        for layer in self.layers:
            kind = KINDS.get(layer.kind)
            if kind is None:
                raise ValueError(f"{layer.name}: no kind of layer is called {layer.kind!r}")
            if set(layer.options) != set(kind.options):
                raise ValueError(f"{layer.name}: a {layer.kind} has the options {kind.options}")
            roles = {role.rstrip("?") for role in kind.weights}
            needed = {role for role in kind.weights if not role.endswith("?")}
            if not needed <= set(layer.weights) <= roles:
                raise ValueError(f"{layer.name}: a {layer.kind} has the weights {kind.weights}")
            for name in layer.weights.values():
                if name not in self.parameters:
                    raise ValueError(f"{layer.name}: no parameter is called {name!r}")
            for value in layer.inputs:
                if value.partition(":")[0] not in known:
                    raise ValueError(f"{layer.name}: {value!r} is not computed before it")
            if layer.name in known:
                raise ValueError(f"{layer.name}: two values have this name")
            known.add(layer.name)
        missing = [value for value in self.outputs if value.partition(":")[0] not in known]
        if missing or not self.outputs:
            raise ValueError(f"no value is called {missing[0]!r}" if missing else "no outputs")


def _stored(name: str, arrays: Mapping[str, np.ndarray], double: bool = False) -> np.ndarray:
    """The value of a parameter that is stored as it is."""
    array = arrays[name]
    return array.astype(np.float64) if double and array.dtype.kind == "f" else array


def _tuples(value: object) -> object:
    """JSON's lists as tuples."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return value
