"""ResNeXt (arXiv:1611.05431) built as slim would have built it.

The nets of `resnet_v1` with a grouped 3x3 convolution in every unit; scopes, variable names and
end points are the same, `conv2/weights` is [3, 3, width / cardinality, width]::

    from slim_resnet import resnext_v1
    from slim_resnet.compat import slim, tf

    images = tf.placeholder(tf.float32, [None, 224, 224, 3])
    with slim.arg_scope(resnext_v1.resnet_arg_scope()):
        net, end_points = resnext_v1.resnext_v1_50(images, 1000, is_training=False)
"""

from __future__ import annotations

from slim_resnet import resnet_utils
from slim_resnet.arch import REGISTRY
from slim_resnet.arch.parts import Stage, UnitOptions, stage_width
from slim_resnet.compat import slim
from slim_resnet.generator import generator_fn, network_fn
from slim_resnet.resnet_v1 import bottleneck_unit

resnet_arg_scope = resnet_utils.resnet_arg_scope

_SLIM = UnitOptions()


@slim.add_arg_scope
def bottleneck(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    cardinality=32,
    rate=1,
    outputs_collections=None,
    scope=None,
    *,
    form="grouped",
    use_bounded_activations=False,
    unit_rate=1,
    options=_SLIM,
):
    """Bottleneck unit whose 3x3 convolution has `cardinality` groups, Fig. 3(c) of the paper.

    Args:
        inputs: a tensor [batch, height, width, channels].
        depth: channels of the unit's output.
        depth_bottleneck: channels of the 3x3 convolution, all groups together (128 for 32x4d).
        stride: the unit's stride, on the 3x3 convolution and on the shortcut.
        cardinality: the number of groups.
        rate: the rate of atrous convolution.
        outputs_collections: collection to which the output is added.
        scope: optional variable scope.
        form: "grouped", or an equivalent form of Fig. 3 with other variables: "concat" or
            "branches" (see `slim_resnet.arch.variables`).
        use_bounded_activations: see `resnet_v1.bottleneck`.
        unit_rate: multiplies `rate`, for this unit alone (DeepLab's multi-grid).
        options: an `arch.parts.UnitOptions`.

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].

    Raises:
        ValueError: `cardinality` does not divide `depth_bottleneck`; the message names both.
    """
    return bottleneck_unit(
        inputs, depth, depth_bottleneck, stride, rate * unit_rate, outputs_collections, scope,
        cardinality=cardinality,
        form=form,
        use_bounded_activations=use_bounded_activations,
        options=options,
    )  # fmt: skip


resnext_v1 = generator_fn(
    "resnext_v1", __name__, [bottleneck], "Generator of ResNeXt networks from a list of blocks."
)


def resnext_v1_block(
    scope,
    base_depth,
    num_units,
    stride,
    *,
    cardinality=32,
    base_width=4,
    convention="slim",
    form="grouped",
):
    """A `Block` of ResNeXt units.

    Args:
        scope: the scope of the block.
        base_depth: planes; the unit's output has four times as many channels.
        num_units: the number of units.
        stride: the stride of the block, in its last unit.
        cardinality: the number of groups.
        base_width: channels of a group at 64 planes (the "4d" of 32x4d).
        convention: "torchvision" puts the stride into the first unit instead.
        form: the form of the units, see `bottleneck`.

    Returns:
        A `resnet_utils.Block`.
    """
    width = stage_width(base_depth, cardinality, base_width)
    stage = Stage(num_units, 4 * base_depth, width, stride)
    return resnet_utils.stage_block(
        scope, bottleneck, stage, convention, cardinality=cardinality, form=form
    )


def _network_fn(name):
    arch = REGISTRY[name]
    return network_fn(arch, resnext_v1, bottleneck, cardinality=arch.cardinality)


resnext_v1_50 = _network_fn("resnext_v1_50")
resnext_v1_101 = _network_fn("resnext_v1_101")
resnext_v1_152 = _network_fn("resnext_v1_152")
resnext_v1_101_32x8d = _network_fn("resnext_v1_101_32x8d")
resnext_v1_101_64x4d = _network_fn("resnext_v1_101_64x4d")
