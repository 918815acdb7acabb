"""An `Arch` as a `torch.nn.Module`, with torchvision's parameter names and slim's end points."""

from __future__ import annotations

import os

import numpy as np

from converters.files import CheckpointError, open_weights
from converters.files.metadata_keys import NETWORK_KEY
from converters.models.training import sgd_param_groups
from converters.recognise.recorded import recorded_arch
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Activation, Conv, Unit
from slim_resnet.frameworks import require

__all__ = ["ResNet", "ResidualUnit", "from_state", "load", "sgd_param_groups"]

torch = require("torch")
nn = torch.nn
F = torch.nn.functional


def _ignore(name: str, value: torch.Tensor) -> None:
    """The tap of a plain forward pass."""


class PaddedConv2d(nn.Conv2d):
    """A convolution with more padding behind than before: an even kernel's, TensorFlow's SAME.

    `pads` are pixels (before, behind) in height and in width; None: what SAME takes for the image.
    """

    pads: tuple[int, int] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = (self.pads or self._same(axis, x.shape[2 + axis]) for axis in range(2))
        return super().forward(F.pad(x, (*width, *height)))

    def _same(self, axis: int, size: int) -> tuple[int, int]:
        stride = self.stride[axis]
        span = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        total = (-size) % stride + span - stride
        if span < stride:
            total = max(total, 0)
        return total // 2, total - total // 2


def _conv(spec: Conv) -> nn.Conv2d:
    before, behind = spec.pads or (None, None)
    is_plain = spec.pads is not None and before == behind
    conv = (nn.Conv2d if is_plain else PaddedConv2d)(
        spec.depth_in,
        spec.depth,
        spec.kernel,
        stride=spec.stride,
        padding=before if is_plain else 0,
        dilation=spec.rate,
        groups=spec.groups,
        bias=spec.bias,
    )
    if not is_plain:
        conv.pads = spec.pads
    return conv


def _norm(depth: int, arch: Arch) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(
        depth, eps=arch.batch_norm_epsilon, momentum=round(1 - arch.batch_norm_decay, 12)
    )
    if not arch.batch_norm_scale:
        norm.register_parameter("weight", None)
    if not arch.batch_norm_center:
        norm.register_parameter("bias", None)
    return norm


_ACTIVATIONS = {
    "relu": F.relu,
    "relu6": F.relu6,
    "elu": F.elu,
    "selu": F.selu,
    "swish": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def _activate(x: torch.Tensor, activation: Activation | None) -> torch.Tensor:
    if activation is None:
        return x
    if activation.name == "leaky_relu":
        return F.leaky_relu(x, float(np.float32(activation.slope)))  # as TensorFlow keeps it
    return _ACTIVATIONS[activation.name](x)


def _average_pool(stride: int) -> nn.AvgPool2d:
    """As TensorFlow's SAME: at an odd size the last window holds, and averages, one row less."""
    return nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)


def _projection_pool(spec: Unit) -> nn.Module:
    """What comes before a projection; timm has a module there also where nothing is pooled."""
    return _average_pool(spec.projection_pool) if spec.projection_pool > 1 else nn.Identity()


def _identity(x: torch.Tensor, spec: Unit) -> torch.Tensor:
    """The input at the size and depth of the unit's output, without parameters."""
    pad = spec.shortcut
    if pad and pad.average:
        x = _average_pool(pad.stride)(x)
    else:
        # slim's subsample: a 1x1 max pool keeps every stride-th pixel from the first on.
        x = x[:, :, :: spec.stride, :: spec.stride]
    return F.pad(x, (0, 0, 0, 0, pad.channels, pad.channels)) if pad else x


class DeepStem(nn.Sequential):
    """The convolutions of a deep stem; names as in timm: 0, 1 and 2 are a convolution, its batch
    norm and its activation, then 3, 4 and 5, ...; the last one's batch norm is the network's."""

    def __init__(self, arch: Arch):
        super().__init__()
        self.specs = arch.root_convs
        for i, spec in enumerate(self.specs):
            self.add_module(str(3 * i), _conv(spec))
            if spec.norm and spec is not arch.root:
                self.add_module(str(3 * i + 1), _norm(spec.depth, arch))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x, _ignore)

    def run(self, x: torch.Tensor, tap) -> torch.Tensor:
        layers = dict(self.named_children())
        for i, spec in enumerate(self.specs[:-1]):
            x = layers[str(3 * i)](x)
            if spec.norm:
                x = layers[str(3 * i + 1)](x)
            x = _activate(x, spec.activation)
            tap(spec.scope, x)
        return layers[str(3 * (len(self.specs) - 1))](x)


class SqueezeExcitation(nn.Module):
    """What the channels of a residual are multiplied by; names as in timm."""

    def __init__(self, specs: tuple[Conv, ...]):
        super().__init__()
        self.specs = specs
        for i, spec in enumerate(specs, start=1):
            self.add_module(f"fc{i}", _conv(spec))

    def forward(self, x: torch.Tensor, tap=_ignore) -> torch.Tensor:
        gates = x.mean((2, 3), keepdim=True)
        for spec, layer in zip(self.specs, self.children(), strict=True):
            gates = _activate(layer(gates), spec.activation)
            tap(spec.scope, gates)
        return x * gates


class ResidualUnit(nn.Module):
    """One residual unit, as its `Unit` describes it."""

    def __init__(self, spec: Unit, arch: Arch):
        super().__init__()
        self.spec = spec
        if spec.preact:
            self.preact = _norm(spec.preact.depth, arch)
        for i, conv in enumerate(spec.convs, start=1):
            self.add_module(f"conv{i}", _conv(conv))
            if conv.norm:
                self.add_module(f"bn{i}", _norm(conv.depth, arch))
        if spec.se:
            self.se = SqueezeExcitation(spec.se)
        if spec.projection:
            pool = [_projection_pool(spec)] if arch.shortcut == "average_projection" else []
            norm = [_norm(spec.projection.depth, arch)] if spec.projection.norm else []
            self.downsample = nn.Sequential(*pool, _conv(spec.projection), *norm)

    def forward(self, x: torch.Tensor, tap=_ignore) -> torch.Tensor:
        spec = self.spec
        net = _activate(self.preact(x), spec.preact.activation) if spec.preact else x
        if spec.projection:
            shortcut = _activate(self.downsample(net), spec.projection.activation)
            tap(spec.projection.scope, shortcut)
        else:
            shortcut = _identity(x, spec)
        for i, conv in enumerate(spec.convs, start=1):
            net = getattr(self, f"conv{i}")(net)
            if conv.norm:
                net = getattr(self, f"bn{i}")(net)
            net = _activate(net, conv.activation)
            tap(conv.scope, net)
        if spec.se:
            net = self.se(net, tap)
        if spec.bound:
            net = net.clamp(-spec.bound, spec.bound)
        net = _activate(net + shortcut, spec.activation)
        tap(spec.scope, net)
        return net


class ResNet(nn.Module):
    """A residual network: images [batch, channels, height, width] -> logits [batch, classes].

    Without classes it returns the pooled features [batch, channels]; without `arch.global_pool`
    either is a map [batch, classes or channels, height_out, width_out]. In slim's networks the root
    pool pads as TensorFlow's SAME does; `nn.MaxPool2d(padding=1)` would not.
    """

    def __init__(self, arch: Arch):
        super().__init__()
        self.arch = arch
        if arch.root:
            self.conv1 = DeepStem(arch) if arch.deep_stem else _conv(arch.root)
            if arch.root.norm:
                self.bn1 = _norm(arch.root.depth, arch)
        for block in range(1, len(arch.stages) + 1):
            units = [ResidualUnit(unit, arch) for unit in arch.units if unit.block == block]
            self.add_module(f"layer{block}", nn.Sequential(*units))
        if arch.postnorm:
            self.postnorm = _norm(arch.postnorm.depth, arch)
        if arch.logits and arch.global_pool:
            self.fc = nn.Linear(arch.logits.depth_in, arch.logits.depth, bias=arch.logits.bias)
        elif arch.logits:
            self.fc = _conv(arch.logits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._run(x, _ignore)

    def end_points(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every end point of slim's graph, in its order, by its name below the network's scope.

        Args:
            x: images [batch, channels, height, width].

        Returns:
            name -> tensor [batch, channels, height, width]; "logits" is [batch, classes], or a map
            without `arch.global_pool`.
        """
        found: dict[str, torch.Tensor] = {}
        self._run(x, found.__setitem__)
        return found

    def _run(self, x: torch.Tensor, tap) -> torch.Tensor:
        net = self._root(x, tap) if self.arch.root else x
        for block in range(1, len(self.arch.stages) + 1):
            for unit in getattr(self, f"layer{block}"):
                net = unit(net, tap)
            tap(f"block{block}", net)
        if self.arch.postnorm:
            net = _activate(self.postnorm(net), self.arch.postnorm.activation)
        if self.arch.global_pool:
            net = net.mean((2, 3))
        if self.arch.logits:
            net = self.fc(net)
            tap(self.arch.logits.scope, net)
        return net

    def _root(self, x: torch.Tensor, tap) -> torch.Tensor:
        spec = self.arch.root
        net = self.conv1.run(x, tap) if self.arch.deep_stem else self.conv1(x)
        if spec.norm:
            net = self.bn1(net)
        net = _activate(net, spec.activation)
        tap(spec.scope, net)
        return self._root_pool(net) if self.arch.has_root_pool else net

    def _root_pool(self, x: torch.Tensor) -> torch.Tensor:
        kind = self.arch.root_pool
        if kind == "symmetric":
            return F.max_pool2d(x, 3, stride=2, padding=1)
        if kind == "zeros":
            x = F.pad(x, (1, 1, 1, 1))
        elif kind == "same":
            # One row and column behind, and one before only where the size is odd.
            height, width = x.shape[2:]
            x = F.pad(x, (width % 2, 1, height % 2, 1), value=float("-inf"))
        return F.max_pool2d(x, 3, stride=2)


def from_state(arch: Arch, state: dict) -> ResNet:
    """The module of `arch` with the weights of `state`, in eval mode.

    Args:
        arch: the architecture.
        state: parameter and buffer names -> arrays or tensors; `num_batches_tracked` may be absent.

    Returns:
        A `ResNet`; tensors of `state` are used as they are, arrays are copied.

    Raises:
        RuntimeError: names or shapes are not those of `arch`.
    """
    with torch.device("meta"):  # shapes only: the weights come from `state`
        net = ResNet(arch)
    tensors = {
        name: value if isinstance(value, torch.Tensor) else torch.tensor(value)
        for name, value in state.items()
    }
    for name in net.state_dict():
        if name.endswith("num_batches_tracked"):
            tensors.setdefault(name, torch.tensor(0))
    net.load_state_dict(tensors, strict=True, assign=True)
    return net.eval()


def load(path: str | os.PathLike) -> nn.Module:
    """The module that `tools/convert_checkpoint.py --to torch` wrote, in eval mode.

    It is a `ResNet`, or of a whole graph a `network_torch.module.NetworkModule`.

    Args:
        path: a `.safetensors` or `.pt` file; the architecture, or the network, is in it. Nothing
            is unpickled but tensors.

    Raises:
        CheckpointError: it is missing, broken, or written by something else.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise CheckpointError(f"{path}: no such file")
    file = open_weights(path)
    if NETWORK_KEY in file.metadata:
        from converters.models.network_torch import module

        return module.load(path)
    arch = recorded_arch(path, file.metadata, len(file))
    if arch is None:
        raise CheckpointError(
            f"{path}: no architecture in it: was it written by "
            "tools/convert_checkpoint.py --to torch?"
        )
    try:
        return from_state(arch, dict(file))
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path}: cannot be read: {reason}") from error
