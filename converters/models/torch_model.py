"""An `Arch` as a `torch.nn.Module`, with torchvision's parameter names and slim's end points."""

from __future__ import annotations

import os

from converters.files import CheckpointError, open_weights
from converters.files.metadata_keys import NETWORK_KEY
from converters.models.training import sgd_param_groups
from converters.recognise.recorded import recorded_arch
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Conv, Unit
from slim_resnet.frameworks import require

__all__ = ["ResNet", "ResidualUnit", "from_state", "load", "sgd_param_groups"]

torch = require("torch")
nn = torch.nn
F = torch.nn.functional


def _ignore(name: str, value: torch.Tensor) -> None:
    """The tap of a plain forward pass."""


def _conv(spec: Conv) -> nn.Conv2d:
    return nn.Conv2d(
        spec.depth_in,
        spec.depth,
        spec.kernel,
        stride=spec.stride,
        padding=spec.padding,
        dilation=spec.rate,
        groups=spec.groups,
        bias=spec.bias,
    )


def _norm(depth: int, arch: Arch) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(
        depth, eps=arch.batch_norm_epsilon, momentum=round(1 - arch.batch_norm_decay, 12)
    )


def _identity(x: torch.Tensor, spec: Unit) -> torch.Tensor:
    """The input at the size and depth of the unit's output, without parameters."""
    pad = spec.shortcut
    if pad and pad.average:
        # TensorFlow's SAME: at an odd size the last window holds, and averages, one row less.
        x = F.avg_pool2d(x, 2, pad.stride, ceil_mode=True, count_include_pad=False)
    else:
        # slim's subsample: a 1x1 max pool keeps every stride-th pixel from the first on.
        x = x[:, :, :: spec.stride, :: spec.stride]
    return F.pad(x, (0, 0, 0, 0, pad.channels, pad.channels)) if pad else x


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
        if spec.projection:
            norm = [_norm(spec.projection.depth, arch)] if spec.projection.norm else []
            self.downsample = nn.Sequential(_conv(spec.projection), *norm)

    def forward(self, x: torch.Tensor, tap=_ignore) -> torch.Tensor:
        spec = self.spec
        net = F.relu(self.preact(x)) if spec.preact else x
        if spec.projection:
            shortcut = self.downsample(net)
            tap(spec.projection.scope, shortcut)
        else:
            shortcut = _identity(x, spec)
        for i, conv in enumerate(spec.convs, start=1):
            net = getattr(self, f"conv{i}")(net)
            if conv.norm:
                net = getattr(self, f"bn{i}")(net)
            if conv.activation:
                net = F.relu(net)
            tap(conv.scope, net)
        net = net + shortcut
        if spec.activation:
            net = F.relu(net)
        tap(spec.scope, net)
        return net


class ResNet(nn.Module):
    """A residual network: images [batch, 3, height, width] -> logits [batch, classes].

    Without classes it returns the pooled features [batch, channels]. In the `slim` convention the
    root pool pads as TensorFlow's SAME does; `nn.MaxPool2d(padding=1)` would not.
    """

    def __init__(self, arch: Arch):
        super().__init__()
        self.arch = arch
        self.conv1 = _conv(arch.root)
        if arch.root.norm:
            self.bn1 = _norm(arch.root.depth, arch)
        for block in range(1, len(arch.stages) + 1):
            units = [ResidualUnit(unit, arch) for unit in arch.units if unit.block == block]
            self.add_module(f"layer{block}", nn.Sequential(*units))
        if arch.postnorm:
            self.postnorm = _norm(arch.postnorm.depth, arch)
        if arch.logits:
            self.fc = nn.Linear(arch.logits.depth_in, arch.logits.depth, bias=arch.logits.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._run(x, _ignore)

    def end_points(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every end point of slim's graph, in its order, by its name below the network's scope.

        Args:
            x: images [batch, 3, height, width].

        Returns:
            name -> tensor [batch, channels, height, width]; "logits" is [batch, classes].
        """
        found: dict[str, torch.Tensor] = {}
        self._run(x, found.__setitem__)
        return found

    def _run(self, x: torch.Tensor, tap) -> torch.Tensor:
        net = self.conv1(x)
        if self.arch.root.norm:
            net = self.bn1(net)
        if self.arch.root.activation:
            net = F.relu(net)
        tap(self.arch.root.scope, net)
        if self.arch.has_root_pool:
            net = self._root_pool(net)
        for block in range(1, len(self.arch.stages) + 1):
            for unit in getattr(self, f"layer{block}"):
                net = unit(net, tap)
            tap(f"block{block}", net)
        if self.arch.postnorm:
            net = F.relu(self.postnorm(net))
        net = net.mean((2, 3))
        if self.arch.logits:
            net = self.fc(net)
            tap(self.arch.logits.scope, net)
        return net

    def _root_pool(self, x: torch.Tensor) -> torch.Tensor:
        if self.arch.convention == "torchvision":
            return F.max_pool2d(x, 3, stride=2, padding=1)
        # TensorFlow's SAME: one row and column behind, and one before only where the size is odd.
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
