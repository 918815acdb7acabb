"""The GANs of research/slim, which nets_factory lacks, for record_slim_nets.py (Python 3.7)."""

import functools
from typing import Any, Callable, NamedTuple, Tuple  # noqa: UP035 - Python 3.7

_PIX2PIX_WIDTHS = (64, 128, 256, 512, 512)  # the first of its eight: images may be smaller


class Gan(NamedTuple):
    """A network with the shape of what it takes.

    Attributes:
        build: images, is_training -> (output, end points).
        shape: of a batch, its first dimension None where the graph need not know it.
        note: what it is.
    """

    build: Callable[..., Tuple[Any, dict]]  # noqa: UP006
    shape: Tuple[Any, ...]  # noqa: UP006
    note: str


def _cyclegan(images, is_training, upsampling):
    from nets import cyclegan

    upsample = functools.partial(cyclegan.cyclegan_upsample, method=upsampling)
    return cyclegan.cyclegan_generator_resnet(images, upsample_fn=upsample, is_training=is_training)


def _pix2pix_generator(images, is_training, upsampling):
    """Without its dropout, which draws at inference, too: nothing could be compared."""
    import tf_slim as slim
    from nets import pix2pix

    blocks = [pix2pix.Block(width, 0) for width in _PIX2PIX_WIDTHS]
    with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        return pix2pix.pix2pix_generator(
            images, 3, blocks=blocks, upsample_method=upsampling, is_training=is_training
        )


def _pix2pix_discriminator(images, is_training):
    import tf_slim as slim
    from nets import pix2pix

    with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
        return pix2pix.pix2pix_discriminator(images, [64, 128, 256, 512], is_training=is_training)


def _dcgan_discriminator(images, is_training):
    from nets import dcgan

    return dcgan.discriminator(images, is_training=is_training)


def _dcgan_generator(noise, is_training):
    from nets import dcgan

    return dcgan.generator(noise, is_training=is_training)


GANS = {
    **{
        "cyclegan_" + way: Gan(
            functools.partial(_cyclegan, upsampling=way), (None, 64, 64, 3), "real width, 64x64"
        )
        for way in ("bilinear_upsample_conv", "conv2d_transpose", "nn_upsample_conv")
    },
    "dcgan_discriminator": Gan(_dcgan_discriminator, (None, 64, 64, 3), "real width, 64x64"),
    "dcgan_generator": Gan(_dcgan_generator, (None, 12), "real width, of 12 numbers of noise"),
    **{
        "pix2pix_" + way: Gan(
            functools.partial(_pix2pix_generator, upsampling=way), (2, 64, 64, 3),
            "five blocks of real width, without dropout, 64x64, a batch of 2",
        )
        for way in ("conv2d_transpose", "nn_upsample_conv")
    },
    "pix2pix_discriminator": Gan(_pix2pix_discriminator, (None, 64, 64, 3), "real width, 64x64"),
}  # fmt: skip
