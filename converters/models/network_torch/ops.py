"""What TensorFlow computes and torch has no function for.

Tensors are channels-first. Sizes are ints, or symbolic ones while a module is exported: nothing
here branches on them.
"""

from __future__ import annotations

import math
import struct

from slim_resnet.frameworks import require

torch = require("torch")
F = torch.nn.functional


def pad_same(x, kernel, stride, dilation=(1, 1), value=0.0):
    """Pads [batch, channels, height, width] as TensorFlow's SAME does: more behind than before."""
    pads = []
    for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True):
        total = torch.sym_max((k - 1) * d + 1 - s + -size % s, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads, value=value)


def avg_pool_same(x, kernel, stride):
    """Average pooling with SAME padding, which does not count."""
    inside = torch.ones_like(x[:1, :1])
    total = F.avg_pool2d(pad_same(x, kernel, stride), kernel, stride)
    return total / F.avg_pool2d(pad_same(inside, kernel, stride), kernel, stride)


def cut_transposed(x, size, kernel, stride, same, bias=None):
    """Cuts a whole transposed convolution to (height, width), as TensorFlow's padding means it.

    Where it is smaller than that, zeros (and the bias) follow. Without a size it is as large as
    its input times the stride.
    """
    if size is None:
        size = [n + max(s - k, 0) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    pads = []
    for n, wanted, k, s in zip(x.shape[2:], size, kernel, stride, strict=True):
        total = torch.sym_max((wanted + s - 1) // s * s - s + k - wanted, 0) if same else 0
        before = total // 2
        pads = [-before, wanted + before - n, *pads]
    padded = F.pad(x, pads)
    if bias is None:
        return padded
    outside = F.pad(torch.zeros_like(x[:1, :1]), pads, value=1.0)
    return padded + outside * bias[:, None, None]


def positions(size, new_size, dtype, device, align_corners, half_pixel_centers):
    """Where the pixels of a resized axis lie in the old one.

    TensorFlow computes them in float32, and so must who wants its result.
    """
    at = torch.arange(new_size, dtype=dtype, device=device)
    old = torch.scalar_tensor(size, dtype=dtype, device=device)
    new = torch.scalar_tensor(new_size, dtype=dtype, device=device)
    if align_corners:
        corners = (old - 1) / torch.clamp(new - 1, min=1)
        return at * torch.where(new > 1, corners, old / new)
    if half_pixel_centers:
        return (at + 0.5) * (old / new) - 0.5
    return at * (old / new)


def resize_bilinear(x, size, align_corners=False, half_pixel_centers=False):
    """tf.image.resize_bilinear to (height, width)."""
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    dtype = torch.promote_types(x.dtype, torch.float32)
    for dim, new_size in ((3, size[1]), (2, size[0])):
        last = x.shape[dim] - 1
        at = positions(last + 1, new_size, dtype, x.device, align_corners, half_pixel_centers)
        low = x.index_select(dim, at.floor().clamp(min=0).long())
        high = x.index_select(dim, at.ceil().long().clamp(max=last))
        weight = (at - at.floor()).to(x.dtype)
        x = low + (high - low) * (weight[:, None] if dim == 2 else weight)
    return x


def resize_nearest(x, size, align_corners=False, half_pixel_centers=False):
    """tf.image.resize_nearest_neighbor to (height, width)."""
    for dim, new_size in ((2, size[0]), (3, size[1])):
        last = x.shape[dim] - 1
        at = positions(
            last + 1, new_size, torch.float32, x.device, align_corners, half_pixel_centers
        )
        at = at + 0.5 if align_corners or half_pixel_centers else at
        x = x.index_select(dim, at.floor().long().clamp(max=last))
    return x


def resize_bicubic(x, size, align_corners=False, half_pixel_centers=False):
    """tf.image.resize_bicubic to (height, width): its weights come from a table of 1024 steps."""
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    for dim, new_size in ((3, size[1]), (2, size[0])):
        last = x.shape[dim] - 1
        at = positions(
            last + 1, new_size, torch.float32, x.device, align_corners, half_pixel_centers
        )
        first = at.floor().long() - 1
        taps = [(first + tap).clamp(min=0).clamp(max=last) for tap in range(4)]
        weights = cubic_weights(at - at.floor(), -0.5 if half_pixel_centers else -0.75)
        if half_pixel_centers:  # what lies outside does not count
            weights = weights * torch.stack([tap == first + n for n, tap in enumerate(taps)])
            weights = weights / weights.sum(0)
        weights = weights.to(x.dtype)
        parts = [
            x.index_select(dim, tap) * (weight[:, None] if dim == 2 else weight)
            for tap, weight in zip(taps, weights.unbind(0), strict=True)
        ]
        x = parts[0] + parts[1] + parts[2] + parts[3]
    return x


def cubic_weights(offset, a):
    """The weights [4, n] of the pixels around each of n positions, by TensorFlow's table."""
    near = torch.round(offset * 1024) / 1024
    inner = [((a + 2) * x - (a + 3)) * x * x + 1 for x in (near, 1 - near)]
    outer = [((a * x - 5 * a) * x + 8 * a) * x - 4 * a for x in (near + 1, 2 - near)]
    return torch.stack([outer[0], *inner, outer[1]])


def pad_mirrored(x, dim, before, after, edge_twice):
    """tf.pad with REFLECT, or SYMMETRIC (`edge_twice`: the edge is repeated), of one dimension."""
    size = x.shape[dim]
    at = torch.arange(-before, size + after, device=x.device)
    if edge_twice:
        at = torch.where(at < 0, -1 - at, at)
        at = torch.where(at >= size, 2 * size - 1 - at, at)
    else:
        at = at.abs()
        at = torch.where(at >= size, 2 * size - 2 - at, at)
    return x.index_select(dim, at)


def depth_to_space(x, block):
    """tf.nn.depth_to_space; `pixel_shuffle` has the channels in another order."""
    n, c, h, w = x.shape
    x = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block**2, h * block, w * block)


def space_to_depth(x, block):
    """tf.nn.space_to_depth; `pixel_unshuffle` has the channels in another order."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, block**2 * c, h // block, w // block)


def space_to_batch(x, block, paddings):
    """tf.space_to_batch_nd of height and width; `paddings` as `F.pad` takes them."""
    x = F.pad(x, paddings)
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block[0], block[0], w // block[1], block[1])
    return x.permute(3, 5, 0, 1, 2, 4).reshape(-1, c, h // block[0], w // block[1])


def batch_to_space(x, block, crops):
    """tf.batch_to_space_nd of height and width; `crops` as `F.pad` would take them."""
    n, c, h, w = x.shape
    x = x.reshape(*block, n // (block[0] * block[1]), c, h, w).permute(2, 3, 4, 0, 5, 1)
    x = x.reshape(-1, c, h * block[0], w * block[1])
    return F.pad(x, [-crop for crop in crops])


def prelu(x, alpha):
    """max(x, 0) + alpha * min(x, 0), alpha broadcast."""
    return torch.clamp(x, min=0) + alpha * torch.clamp(x, max=0)


def divide(a, b):
    """tf.div: real for floating point, towards zero for integers."""
    if a.is_floating_point() or b.is_floating_point():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


def cumsum(x, dim, exclusive, reverse):
    """tf.cumsum along a dimension."""
    x = x.flip(dim) if reverse else x
    if exclusive:
        zero = torch.zeros_like(x.narrow(dim, 0, 1))
        x = torch.cat((zero, x), dim).narrow(dim, 0, x.shape[dim])
    total = torch.cumsum(x, dim)
    return total.flip(dim) if reverse else total


def top_k(x, k, dim):
    """tf.nn.top_k along a dimension: of equal values the first come first."""
    if torch.compiler.is_exporting():  # ONNX has no stable sort; its TopK orders equal values so
        return torch.topk(x, k, dim)
    values, places = torch.sort(x, dim=dim, descending=True, stable=True)
    return values.narrow(dim, 0, k), places.narrow(dim, 0, k)


def gather(x, index, dim):
    """tf.gather along a dimension, with an index of any rank."""
    taken = x.index_select(dim, index.reshape(-1))
    return taken.reshape(*x.shape[:dim], *index.shape, *x.shape[dim + 1 :])


def as_tensor(values, device):
    """Numbers (nested tuples of them) as a tensor: int64, float32 or bool."""
    if isinstance(values, tuple):
        return torch.stack([as_tensor(value, device) for value in values])
    if isinstance(values, bool):
        dtype = torch.bool
    else:
        dtype = torch.float32 if isinstance(values, float | torch.SymFloat) else torch.int64
    return torch.scalar_tensor(values, dtype=dtype, device=device)


def full(shape, value, device):
    """A tensor of one number: int64, float32 or bool."""
    return as_tensor(value, device).expand(shape)


def arange(start, limit, delta, device):
    """tf.range."""
    return torch.arange(start, limit, delta, device=device)


def float32(value):
    """A Python number rounded to what TensorFlow's float32 holds."""
    if isinstance(value, torch.SymFloat):  # while exporting: known no better
        return value
    return struct.unpack("f", struct.pack("f", value))[0]


def floor(value):
    """A size rounded down, as a float."""
    return torch.sym_float(math.floor(value))


def ceil(value):
    """A size rounded up, as a float."""
    return torch.sym_float(math.ceil(value))
