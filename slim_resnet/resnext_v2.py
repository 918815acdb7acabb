"""ResNeXt with pre-activation units: `resnet_v2` with a grouped 3x3 convolution in every unit."""

from __future__ import annotations

from slim_resnet import resnet_utils
from slim_resnet.arch import REGISTRY
from slim_resnet.arch.parts import Stage, UnitOptions, stage_width
from slim_resnet.compat import slim
from slim_resnet.generator import generator_fn, network_fn
from slim_resnet.resnet_v2 import bottleneck_unit

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
    unit_rate=1,
    options=_SLIM,
):
    """Pre-activation bottleneck unit; else as `resnext_v1.bottleneck`."""
    return bottleneck_unit(
        inputs,
        depth,
        depth_bottleneck,
        stride,
        rate * unit_rate,
        outputs_collections,
        scope,
        cardinality=cardinality,
        form=form,
        options=options,
    )


resnext_v2 = generator_fn(
    "resnext_v2",
    __name__,
    [bottleneck],
    "Generator of pre-activation ResNeXt networks from a list of blocks.",
    preactivation=True,
)


def resnext_v2_block(scope, base_depth, num_units, stride, *, cardinality=32, base_width=4):
    """A `Block` of units; arguments as in `resnext_v1.resnext_v1_block`."""
    width = stage_width(base_depth, cardinality, base_width)
    stage = Stage(num_units, 4 * base_depth, width, stride)
    return resnet_utils.stage_block(scope, bottleneck, stage, cardinality=cardinality)


resnext_v2_50 = network_fn(REGISTRY["resnext_v2_50"], resnext_v2, bottleneck, cardinality=32)
resnext_v2_101 = network_fn(REGISTRY["resnext_v2_101"], resnext_v2, bottleneck, cardinality=32)
