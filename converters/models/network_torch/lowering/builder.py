"""What the lowering of every layer needs: values, their ranks and layouts, and new steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.graphs.network import Layer, Network, Shape
from converters.models.network_torch.layouts import from_held, held_order, permutation, to_held
from converters.models.network_torch.lowering.size_arithmetic import Size, sizes
from converters.models.network_torch.naming import Names
from converters.models.network_torch.plan import Name, Plan, Ref, Step, Tensor, Value
from converters.recognise.transforms import Regroup, Transform

# Steps that give the same whenever they are asked; one of each is enough.
_PURE = frozenset(
    (
        "size",
        "device",
        "attribute",
        "tuple",
        "slice",
        "+",
        "-",
        "*",
        "//",
        "%",
        "/",
        "torch.sym_max",
    )
)


class Builder:
    """Collects the steps of a network.

    Args:
        network: the network.
        names: of its parameters.
        constants: values of the parameters that shape arithmetic reads.
    """

    def __init__(self, network: Network, names: Names, constants: Mapping[str, np.ndarray]):
        self.network = network
        self.names = names
        self.constants = constants
        self.plan = Plan(outputs=network.outputs)
        self.values: dict[str, Value] = {}
        self.shapes = _shapes(network)
        self.layer = ""  # the one that is being lowered
        self._known: dict[tuple, Ref] = {}

    # steps

    def add(self, target: str, *args: object, **options: object) -> Ref:
        """A further step; a pure one that is there already is not added again."""
        step = Step(target, args, tuple(options.items()))
        key = (target, repr(args), repr(options)) if target in _PURE else None
        if key is not None and key in self._known:
            return self._known[key]
        self.plan.steps.append(step)
        self.plan.owners.append(self.layer)
        ref = Ref(len(self.plan.steps) - 1)
        if key is not None:
            self._known[key] = ref
        return ref

    def literal(self, value: object) -> object:
        """Nested tuples with sizes that are not known yet, as an argument of a step."""
        if isinstance(value, Size):
            return value.ref
        if isinstance(value, slice):
            parts = [self.literal(each) for each in (value.start, value.stop, value.step)]
            has_ref = any(isinstance(each, Ref) for each in parts)
            return self.add("slice", *parts) if has_ref else slice(*parts)
        if isinstance(value, tuple | list | np.ndarray):
            parts = [self.literal(each) for each in value]
            has_ref = any(isinstance(each, Ref) for each in parts)
            return self.add("tuple", *parts) if has_ref else tuple(parts)
        return value.item() if isinstance(value, np.generic) else value

    def permute(self, ref: Ref, order: Sequence[int] | None) -> Ref:
        """`Tensor.permute`, unless nothing moves; one after another becomes one."""
        if order is None:
            return ref
        step = self.plan.steps[ref.index]
        if step.target == ".permute":
            before = step.args[1]
            return self.permute(step.args[0], permutation(range(len(order)), _pick(before, order)))
        return self.add(".permute", ref, tuple(order))

    # values

    def rank(self, value: str) -> int:
        """The rank of a value of the network.

        Raises:
            ValueError: the graph does not tell.
        """
        shape = self.shapes.get(value.partition(":")[0])
        if shape is None:
            raise ValueError(
                f"{value}: its rank is not known: the graph does not tell its shape; feed an "
                "operation before it that has one (--inputs), or end before it (--outputs)"
            )
        return len(shape)

    def static(self, value: str) -> Shape | None:
        """TensorFlow's shape of a value, as far as the graph tells it."""
        return None if ":" in value else self.shapes.get(value)

    def is_host(self, value: str) -> bool:
        """Whether it is sizes and no tensor."""
        return isinstance(self.values[value], np.ndarray)

    def may_be_host(self, value: str) -> bool:
        """Whether it is sizes, or a constant that can be such."""
        layer = self.network.layer(value)
        is_constant = layer is not None and layer.weights.get("value") in self.constants
        return self.is_host(value) or is_constant

    def has_unknown(self, value: str) -> bool:
        """Whether some of the sizes are known only when the network runs."""
        return any(isinstance(each, Size) for each in self.host(value).reshape(-1))

    def host(self, value: str) -> np.ndarray:
        """The sizes that a value is.

        Raises:
            ValueError: it is a tensor, whose values are not known before the network runs.
        """
        found = self.values[value]
        if isinstance(found, Tensor):
            if self.may_be_host(value):
                return sizes(self.constants[self.network.layer(value).weights["value"]])
            raise ValueError(
                f"{value}: a size that depends on the values of a tensor has no place in a torch "
                "module"
            )
        return found

    def tensor(self, value: str) -> Tensor:
        """A value as a tensor; sizes become one."""
        found = self.values[value]
        if isinstance(found, Tensor):
            return found
        ref = self.add("ops.as_tensor", self.literal(found.tolist()), self.device())
        if any(isinstance(each, float) for each in found.reshape(-1)):
            ref = self.to_float(ref)
        return self.from_tf(ref, found.ndim)

    def device(self) -> Ref:
        """Where the inputs are."""
        return self.add("device", next(iter(self.plan.inputs.values())))

    def in_tf(self, value: str | Tensor) -> Ref:
        """A value with its axes in TensorFlow's order."""
        found = self.tensor(value) if isinstance(value, str) else value
        return self.permute(found.ref, from_held(found.rank))

    def from_tf(self, ref: Ref, rank: int) -> Tensor:
        """A tensor from a step whose result has its axes in TensorFlow's order."""
        return Tensor(self.permute(ref, to_held(rank)), rank)

    def placed(self, ref: Ref, axes: Sequence[int]) -> Tensor:
        """A tensor from a step whose dimensions are these of TensorFlow's axes of the result."""
        rank = len(axes)
        return Tensor(self.permute(ref, permutation(axes, held_order(rank))), rank)

    def operand(self, value: str, rank: int) -> Ref | int | float | bool:
        """A value as it must be to be broadcast against images (or others) of a rank."""
        found = self.values[value]
        if isinstance(found, np.ndarray) and found.ndim == 0:
            return self.literal(found.item())
        return self.aligned(self.tensor(value), rank)

    def aligned(self, tensor: Tensor, rank: int) -> Ref:
        """A tensor with the axes that TensorFlow's broadcasting gives it, where they are needed."""
        missing = rank - tensor.rank
        moved = to_held(rank)
        if tensor.rank in (0, rank) or (moved is None and from_held(tensor.rank) is None):
            return tensor.ref
        if tensor.rank == 1:
            return self.add("[]", tensor.ref, (slice(None), *[None] * (rank - 2)))
        ref = self.add("[]", self.in_tf(tensor), (None,) * missing)
        return self.permute(ref, moved)

    # parameters

    def attribute(self, parameter: str) -> Ref:
        """A parameter as torch's module holds it."""
        return self.add("attribute", self.names.states[parameter][0])

    def parameter(self, name: str, layout: Transform | Regroup | None = None) -> Ref:
        """A parameter in a layout (None: TensorFlow's) that may be another than its module's."""
        stored = self.names.states[name][1]
        ref = self.attribute(name)
        if layout == stored:
            return ref
        ref = self._original(ref, stored)
        return ref if layout is None else self._laid_out(ref, layout)

    def _original(self, ref: Ref, layout: Transform | Regroup) -> Ref:
        if layout.permutation is not None:
            back = tuple(int(each) for each in np.argsort(layout.permutation))
            if isinstance(layout, Regroup):
                ref = self.reshape(ref, _pick(layout.split, layout.permutation), layout.merged)
            ref = self.permute(ref, permutation(range(len(back)), back))
        return self.reshape(ref, layout.shape, layout.split) if isinstance(layout, Regroup) else ref

    def _laid_out(self, ref: Ref, layout: Transform | Regroup) -> Ref:
        if isinstance(layout, Regroup):
            ref = self.reshape(ref, layout.split, layout.shape)
        if layout.permutation is not None:
            order = layout.permutation
            ref = self.permute(ref, permutation(range(len(order)), order))
        if isinstance(layout, Regroup):
            ref = self.reshape(ref, layout.merged, _pick(layout.split, layout.permutation))
        return ref

    def reshape(self, ref: Ref, shape: Sequence[int], found: Sequence[int] | None = None) -> Ref:
        """`Tensor.reshape`, unless the shape is so already."""
        if found is not None and tuple(found) == tuple(shape):
            return ref
        return self.add(".reshape", ref, self.literal(tuple(shape)))

    def dtype(self, name: str) -> Name:
        """torch's type of a NumPy name."""
        return Name(f"torch.{name}")

    def to_float(self, ref: Ref) -> Ref:
        """The same values in floating point, of which a network has one type."""
        return self.add("float", ref)

    def option(self, layer: Layer, name: str, further: list[str]) -> object:
        """An option, or where it is None the sizes that the next of the further inputs holds."""
        value = layer.options[name]
        return value if value is not None else self.host(further.pop(0))


def _pick(values: Sequence, order: Sequence[int]) -> tuple:
    return tuple(values[index] for index in order)


def _shapes(network: Network) -> dict[str, Shape | None]:
    return {
        **{each.name: each.shape for each in network.inputs},
        **{layer.name: layer.shape for layer in network.layers},
    }
