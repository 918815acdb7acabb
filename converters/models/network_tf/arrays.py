"""Windows, sizes, reductions, and what moves values about."""

from __future__ import annotations

from converters.models.network_tf.step import Function, Step, aligned, tf

raw = tf.raw_ops


def _max_pool(step: Step):
    (x,), padding = step.inputs, step.options["padding"]
    if padding not in ("SAME", "VALID"):
        x = tf.pad(x, [(0, 0), *padding, (0, 0)], constant_values=x.dtype.min)
        padding = "VALID"
    window = step.options["kernel"], step.options["strides"]
    return tf.nn.max_pool2d(x, *window, padding, name=step.name)


def _avg_pool(step: Step):
    (x,), padding = step.inputs, step.options["padding"]
    if padding not in ("SAME", "VALID"):
        x, padding = tf.pad(x, [(0, 0), *padding, (0, 0)]), "VALID"
    window = step.options["kernel"], step.options["strides"]
    return tf.nn.avg_pool2d(x, *window, padding, name=step.name)


_RESIZES = {
    "bilinear": raw.ResizeBilinear,
    "nearest": raw.ResizeNearestNeighbor,
    "bicubic": raw.ResizeBicubic,
}


def _resize(step: Step):
    """Images; TensorFlow has bilinear and bicubic resizing in float32 only."""
    size = tf.cast(step.option("size"), tf.int32)
    flags = {name: step.options[name] for name in ("align_corners", "half_pixel_centers")}
    resize = _RESIZES[step.options["method"]]
    if step.dtype == tf.float32 or step.options["method"] == "nearest":
        return resize(images=step.inputs[0], size=size, name=step.name, **flags)
    return tf.cast(resize(images=step.inputs[0], size=size, **flags), step.dtype, name=step.name)


def _pad(step: Step):
    (x, *_), mode, value = step.inputs, step.options["mode"], step.options["value"]
    paddings = step.option("paddings")
    return tf.pad(x, paddings, mode, constant_values=value, name=step.name)


def _depth_to_space(step: Step):
    return tf.nn.depth_to_space(step.inputs[0], step.options["block"], name=step.name)


def _space_to_depth(step: Step):
    return tf.nn.space_to_depth(step.inputs[0], step.options["block"], name=step.name)


def _space_to_batch(step: Step):
    paddings = step.option("paddings")
    return tf.space_to_batch_nd(step.inputs[0], step.options["block"], paddings, name=step.name)


def _batch_to_space(step: Step):
    crops = step.option("crops")
    return tf.batch_to_space_nd(step.inputs[0], step.options["block"], crops, name=step.name)


def _reduction(function) -> Function:
    def reduce(step: Step):
        axes, keepdims = step.options["axes"], step.options["keepdims"]
        return function(step.inputs[0], axes, keepdims, name=step.name)

    return reduce


def _arg(function) -> Function:
    return lambda step: function(step.inputs[0], step.options["axis"], name=step.name)


def _cumsum(step: Step):
    return tf.cumsum(step.inputs[0], name=step.name, **step.options)


def _concat(step: Step):
    return tf.concat(aligned(step.inputs), step.options["axis"], name=step.name)


def _split(step: Step):
    sizes = list(step.options["sizes"])
    parts = len(sizes) if len(set(sizes)) == 1 else sizes
    return tf.split(step.inputs[0], parts, step.options["axis"], name=step.name)


def _stack(step: Step):
    return tf.stack(aligned(step.inputs), step.options["axis"], name=step.name)


def _unstack(step: Step):
    return tf.unstack(step.inputs[0], step.options["num"], step.options["axis"], name=step.name)


def _reshape(step: Step):
    return tf.reshape(step.inputs[0], step.option("shape"), name=step.name)


def _flatten(step: Step):
    (x,) = step.inputs
    rest = x.shape[1:].num_elements()
    shape = tf.stack([tf.shape(x)[0], -1]) if rest is None else [-1, rest]
    return tf.reshape(x, shape, name=step.name)


def _strided_slice(step: Step):
    rows, shrink, new = (step.options[name] for name in ("slices", "shrink", "new"))
    begins, ends, strides = zip(*rows, strict=True)

    def taken(name: str | None):
        return tf.strided_slice(
            step.inputs[0],
            [begin or 0 for begin in begins],
            [end or 0 for end in ends],
            strides,
            begin_mask=_mask(begin is None for begin in begins),
            end_mask=_mask(end is None for end in ends),
            shrink_axis_mask=_mask(axis in shrink for axis in range(len(rows))),
            name=name,
        )

    if not new:
        return taken(step.name)
    *first, last = sorted(new)
    x = taken(None)
    for axis in first:
        x = tf.expand_dims(x, axis)
    return tf.expand_dims(x, last, name=step.name)


def _mask(bits) -> int:
    return sum(1 << place for place, bit in enumerate(bits) if bit)


def _slice(step: Step):
    x, *further = step.inputs
    begin, size = (
        further.pop(0) if step.options[name] is None else step.options[name]
        for name in ("begin", "size")
    )
    begin, size = aligned([tf.convert_to_tensor(begin), tf.convert_to_tensor(size)])
    return tf.slice(x, begin, size, name=step.name)


def _gather(step: Step):
    indices = step.option("indices")
    return tf.gather(step.inputs[0], indices, axis=step.options["axis"], name=step.name)


def _fill(step: Step):
    value = tf.convert_to_tensor(step.options["value"])
    value = tf.cast(value, step.dtype) if value.dtype.is_floating else value
    return tf.fill(step.option("shape", 0), value, name=step.name)


def _range(step: Step):
    further = list(step.inputs)
    ends = [
        further.pop(0) if step.options[name] is None else tf.convert_to_tensor(step.options[name])
        for name in ("start", "limit", "delta")
    ]
    return tf.range(*aligned(ends), name=step.name)


LAYERS: dict[str, Function] = {
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "resize": _resize,
    "pad": _pad,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
    "space_to_batch": _space_to_batch,
    "batch_to_space": _batch_to_space,
    "mean": _reduction(tf.reduce_mean),
    "sum": _reduction(tf.reduce_sum),
    "max": _reduction(tf.reduce_max),
    "min": _reduction(tf.reduce_min),
    "prod": _reduction(tf.reduce_prod),
    "any": _reduction(tf.reduce_any),
    "all": _reduction(tf.reduce_all),
    "argmax": _arg(tf.argmax),
    "argmin": _arg(tf.argmin),
    "cumsum": _cumsum,
    "concat": _concat,
    "split": _split,
    "stack": _stack,
    "unstack": _unstack,
    "squeeze": lambda step: tf.squeeze(step.inputs[0], step.options["axes"], name=step.name),
    "expand_dims": lambda step: tf.expand_dims(
        step.inputs[0], step.options["axis"], name=step.name
    ),
    "reshape": _reshape,
    "flatten": _flatten,
    "transpose": lambda step: tf.transpose(
        step.inputs[0], step.options["permutation"], name=step.name
    ),
    "strided_slice": _strided_slice,
    "slice": _slice,
    "tile": lambda step: tf.tile(step.inputs[0], step.option("multiples"), name=step.name),
    "reverse": lambda step: tf.reverse(step.inputs[0], step.options["axes"], name=step.name),
    "gather": _gather,
    "broadcast_to": lambda step: tf.broadcast_to(
        step.inputs[0], step.option("shape"), name=step.name
    ),
    "fill": _fill,
    "range": _range,
    "shape": lambda step: tf.shape(step.inputs[0], name=step.name),
}
