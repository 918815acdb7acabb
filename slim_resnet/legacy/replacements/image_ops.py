"""`tf.contrib.image`'s projective transforms, on the op that TensorFlow kept.

A transform [a0, a1, a2, b0, b1, b2, c0, c1] takes the output's (x, y) to the input's
((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1; outside the input is 0.
"""

from __future__ import annotations

from slim_resnet.compat import tf


def rotate(images, angles, interpolation: str = "NEAREST", name: str | None = None):
    """Turns images around their centre.

    Args:
        images: [N, H, W, C], [H, W, C] or [H, W], of uint8, int32, int64, half, float or double.
        angles: radians, counterclockwise: one for all, or [N].
        interpolation: "NEAREST" or "BILINEAR".
        name: of the op.

    Returns:
        Images of the same shape and type.
    """
    with tf.name_scope(name, "rotate"):
        batch = _batch(tf.convert_to_tensor(images))
        height, width = (tf.cast(tf.shape(batch)[axis], tf.float32) for axis in (1, 2))
        transforms = angles_to_projective_transforms(angles, height, width)
        return transform(images, transforms, interpolation)


def translate(images, translations, interpolation: str = "NEAREST", name: str | None = None):
    """Moves images by (dx, dy) pixels: [2], or [N, 2]; see `rotate`."""
    with tf.name_scope(name, "translate"):
        transforms = translations_to_projective_transforms(translations)
        return transform(images, transforms, interpolation)


def transform(images, transforms, interpolation="NEAREST", output_shape=None, name=None):
    """Applies projective transforms: [8], or [N, 8].

    Args:
        images: see `rotate`.
        transforms: see the module.
        interpolation: "NEAREST" or "BILINEAR".
        output_shape: [height, width]; by default the input's.
        name: of the op.

    Returns:
        Images of the same rank and type.

    Raises:
        TypeError: the images have another rank, or one that is not known.
    """
    with tf.name_scope(name, "transform"):
        images = tf.convert_to_tensor(images)
        batch = _batch(images)
        shape = tf.shape(batch)[1:3] if output_shape is None else output_shape
        made = tf.raw_ops.ImageProjectiveTransformV2(
            images=batch,
            transforms=_rows(transforms, 1),
            output_shape=tf.convert_to_tensor(shape, tf.int32),
            interpolation=interpolation.upper(),
        )
        made.set_shape([batch.shape[0], *_static(batch, output_shape), batch.shape[3]])
        return made if batch is images else made[{2: (0, ..., 0), 3: 0}[images.shape.ndims]]


def angles_to_projective_transforms(angles, image_height, image_width, name: str | None = None):
    """[] or [N] angles, in radians -> [N, 8]; height and width are floats."""
    with tf.name_scope(name, "angles_to_projective_transforms"):
        angles = _rows(angles, 0)[:, None]
        cos, sin = tf.cos(angles), tf.sin(angles)
        right, bottom = image_width - 1, image_height - 1
        x = (right - (cos * right - sin * bottom)) / 2.0
        y = (bottom - (sin * right + cos * bottom)) / 2.0
        zeros = tf.zeros([tf.shape(angles)[0], 2])
        return tf.concat([cos, -sin, x, sin, cos, y, zeros], 1)


def translations_to_projective_transforms(translations, name: str | None = None):
    """[2] or [N, 2] pixels -> [N, 8]"""
    with tf.name_scope(name, "translations_to_projective_transforms"):
        moves = _rows(translations, 1)
        ones, zeros = tf.ones_like(moves[:, :1]), tf.zeros_like(moves[:, :1])
        x, y = -moves[:, :1], -moves[:, 1:]
        return tf.concat([ones, zeros, x, zeros, ones, y, zeros, zeros], 1)


def flat_transforms_to_matrices(transforms):
    """[8] or [N, 8] -> [N, 3, 3]"""
    flat = _rows(transforms, 1)
    return tf.reshape(tf.concat([flat, tf.ones_like(flat[:, :1])], 1), [-1, 3, 3])


def matrices_to_flat_transforms(transform_matrices):
    """[3, 3] or [N, 3, 3] -> [N, 8], whose ninth would be 1"""
    flat = tf.reshape(tf.convert_to_tensor(transform_matrices, tf.float32), [-1, 9])
    return (flat / flat[:, 8:])[:, :8]


def compose_transforms(*transforms):
    """The transform that does all of them, the last first."""
    composed = flat_transforms_to_matrices(transforms[0])
    for other in transforms[1:]:
        composed = tf.matmul(composed, flat_transforms_to_matrices(other))
    return matrices_to_flat_transforms(composed)


def _batch(images):
    rank = images.shape.ndims
    if rank not in (2, 3, 4):
        raise TypeError(f"Images should have rank between 2 and 4, not {rank}")
    return images if rank == 4 else images[{2: (None, ..., None), 3: None}[rank]]


def _static(batch, output_shape) -> list:
    """Height and width of what is made, as far as they are known."""
    if output_shape is None:
        return batch.shape.as_list()[1:3]
    known = tf.get_static_value(tf.convert_to_tensor(output_shape))
    return [None, None] if known is None else list(known)


def _rows(values, rank: int):
    """Float values of this rank, or one more: a row for each image."""
    values = tf.convert_to_tensor(values, tf.float32)
    return values[None] if values.shape.ndims == rank else values
