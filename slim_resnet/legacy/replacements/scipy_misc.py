"""`scipy.misc`'s images, which left SciPy with 1.2: read, written, scaled and turned by Pillow.

Written anew to give the pixels that SciPy 1.1 gave; `imresize` and `imsave` stretch what is not
uint8 to 0..255, as it did.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "cubic": Image.Resampling.BICUBIC,
}


def bytescale(data, cmin=None, cmax=None, high: int = 255, low: int = 0) -> np.ndarray:
    """Stretches values from `cmin`..`cmax` (by default the data's own) to `low`..`high`, uint8."""
    if data.dtype == np.uint8:
        return data
    if not 0 <= low <= high <= 255:
        raise ValueError("0 <= low <= high <= 255 does not hold")
    cmin = data.min() if cmin is None else cmin
    cmax = data.max() if cmax is None else cmax
    if cmax < cmin:
        raise ValueError("`cmax` should be larger than `cmin`.")
    span = float(cmax - cmin) or 1.0
    scaled = (data - cmin) * (float(high - low) / span) + low
    return (scaled.clip(low, high) + 0.5).astype(np.uint8)


def imread(name, flatten: bool = False, mode: str | None = None) -> np.ndarray:
    """Reads an image: [H, W] or [H, W, C], uint8; `flatten` gives gray floats."""
    with Image.open(name) as image:
        return fromimage(image, flatten, mode)


def fromimage(im, flatten: bool = False, mode: str | None = None) -> np.ndarray:
    """The pixels of a Pillow image; see `imread`."""
    if mode is not None and mode != im.mode:
        im = im.convert(mode)
    elif mode is None and im.mode == "P":  # palettes are looked up
        im = im.convert("RGBA" if "transparency" in im.info else "RGB")
    if flatten:
        im = im.convert("F")
    elif im.mode == "1":
        im = im.convert("L")
    return np.array(im)


def toimage(
    arr, high=255, low=0, cmin=None, cmax=None, pal=None, mode=None, channel_axis=None
) -> Image.Image:
    """A Pillow image of [H, W], or of three dimensions of which one is 3 or 4, the channels.

    Raises:
        ValueError: another shape, a mode that does not go with it, or complex values.
    """
    data = np.asarray(arr)
    if np.iscomplexobj(data):
        raise ValueError("Cannot convert a complex-valued array.")
    if data.ndim == 2:
        return _gray(data, high, low, cmin, cmax, pal, mode)
    if data.ndim != 3 or not {3, 4} & set(data.shape):
        raise ValueError("'arr' does not have a suitable array shape for any mode.")
    return _colours(data, high, low, cmin, cmax, mode, channel_axis)


def _gray(data, high, low, cmin, cmax, pal, mode) -> Image.Image:
    if mode == "F":
        return Image.fromarray(data.astype(np.float32))
    if mode not in (None, "1", "I", "L", "P"):
        raise ValueError(f"Mode {mode!r} does not go with an array of two dimensions.")
    if mode in ("1", "I"):
        cmin = data.min() if cmin is None else cmin
        cmax = data.max() if cmax is None else cmax
        stretched = (data * 1.0 - cmin) * (high - low) / (cmax - cmin) + low
        return Image.fromarray(stretched > high if mode == "1" else stretched.astype(np.int32))
    image = Image.fromarray(bytescale(data, cmin, cmax, high, low))
    if pal is not None or mode == "P":
        gray = np.repeat(np.arange(256, dtype=np.uint8), 3)
        image = image.copy()
        image.putpalette(np.asarray(gray if pal is None else pal, np.uint8).tobytes())
    return image


def _colours(data, high, low, cmin, cmax, mode, channel_axis) -> Image.Image:
    channels = {"RGB": 3, "YCbCr": 3, "RGBA": 4, "CMYK": 4}
    sizes = [3, 4] if mode is None else [channels[mode]]
    if channel_axis is None:
        fitting = [axis for size in sizes for axis in _channel_order(data.shape, size)]
        if not fitting:
            raise ValueError("Could not find channel dimension.")
        channel_axis = fitting[0]
    elif data.shape[channel_axis] not in sizes:
        raise ValueError("Channel axis dimension is not valid.")
    pixels = np.moveaxis(bytescale(data, cmin, cmax, high, low), channel_axis, -1)
    mode = mode or ("RGB" if pixels.shape[-1] == 3 else "RGBA")
    shape = (pixels.shape[1], pixels.shape[0])
    return Image.frombytes(mode, shape, np.ascontiguousarray(pixels).tobytes())


def _channel_order(shape: tuple[int, ...], size: int) -> list[int]:
    """The axis that has `size` elements: the first that does."""
    return [axis for axis in range(3) if shape[axis] == size][:1]


def imsave(name, arr, format: str | None = None) -> None:
    """Writes [H, W], or [H, W, 3 or 4], as an image."""
    image = toimage(arr, channel_axis=2)
    image.save(name) if format is None else image.save(name, format)


def imresize(arr, size, interp: str = "bilinear", mode: str | None = None) -> np.ndarray:
    """Scales an image: by `size` per cent (int) or times (float), or to (height, width)."""
    image = toimage(arr, mode=mode)
    if isinstance(size, (int, np.signedinteger)):
        target = tuple((np.array(image.size) * (size / 100.0)).astype(int))
    elif isinstance(size, (float, np.floating)):
        target = tuple((np.array(image.size) * size).astype(int))
    else:
        target = (size[1], size[0])
    return fromimage(image.resize(tuple(map(int, target)), resample=_RESAMPLING[interp]))


def imrotate(arr, angle, interp: str = "bilinear") -> np.ndarray:
    """Turns an image counterclockwise, by degrees; its size stays."""
    return fromimage(toimage(arr).rotate(angle, resample=_RESAMPLING[interp]))
