"""Modules that hold weights and that torch lacks."""

from __future__ import annotations

from slim_resnet.frameworks import require

torch = require("torch")
nn = torch.nn
F = torch.nn.functional


class _TensorFlowNorm:
    """A batch norm of TensorFlow's where torch's is another.

    Args:
        size: channels.
        scale: whether it has a weight (gamma).
        center: whether it has a bias (beta).
        biased: whether its moving variance is that of the batch, as unfused ones keep it; torch's
            (and fused ones) keep n / (n - 1) times that.
        options: of torch's batch norm.
    """

    def __init__(self, size, scale=True, center=True, biased=False, **options):
        super().__init__(size, **options)
        self.biased = biased
        if not scale:
            self.register_parameter("weight", None)
        if not center:
            self.register_parameter("bias", None)

    def forward(self, x):
        if not (self.training and self.biased):
            return super().forward(x)
        with torch.no_grad():
            axes = [0, *range(2, x.dim())]
            variance, mean = torch.var_mean(x, axes, correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            self.num_batches_tracked.add_(1)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


class BatchNorm1d(_TensorFlowNorm, nn.BatchNorm1d):
    """TensorFlow's batch norm of [batch, channels]."""


class BatchNorm2d(_TensorFlowNorm, nn.BatchNorm2d):
    """TensorFlow's batch norm of [batch, channels, height, width]."""


class BatchNorm3d(_TensorFlowNorm, nn.BatchNorm3d):
    """TensorFlow's batch norm of [batch, channels, depth, height, width]."""


class Bias(nn.Module):
    """Holds biases that are added outside of a layer."""

    def __init__(self, size: int):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(size))
