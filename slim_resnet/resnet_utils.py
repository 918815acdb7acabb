"""Building blocks of slim's ResNets: `tf_slim.nets.resnet_utils` on today's TensorFlow.

Names, signatures, defaults, scopes, end points and errors are those of tf-slim; what the model
garden's later copy added is accepted by keyword. New here: `groups`, units written as the plain
tuples of the first slim, and errors that name the block and the unit.
"""

from __future__ import annotations

import collections
import dataclasses
import inspect

from slim_resnet.arch.parts import (
    BATCH_NORM_DECAY,
    BATCH_NORM_EPSILON,
    CONVENTIONS,
    WEIGHT_DECAY,
    UnitOptions,
    check_convention,
    unit_strides,
)
from slim_resnet.compat import slim, tf
from slim_resnet.layers import grouped_conv2d

_UNIT_KEYS = ("depth", "depth_bottleneck", "stride")


class Block(collections.namedtuple("Block", ["scope", "unit_fn", "args"])):
    """A named tuple describing a ResNet block.

    Its parts are:
      scope: the scope of the block.
      unit_fn: the residual unit, a function from a tensor and one element of `args` to a tensor.
      args: a list with one element per unit: a dict of keywords of `unit_fn`, or a plain tuple
        (depth, depth_bottleneck, stride); all of one kind.
    """


def stage_block(scope, unit_fn, stage, convention="slim", **unit_args):
    """The `Block` of an `arch.Stage`.

    Args:
        scope: the scope of the block.
        unit_fn: the residual unit.
        stage: an `arch.Stage`.
        convention: where the stage's stride sits.
        **unit_args: more keywords of `unit_fn`, the same for every unit.

    Returns:
        A `Block` with one dict per unit.
    """
    check_convention(convention)
    return _block(scope, unit_fn, stage, CONVENTIONS[convention]["stride_unit"], unit_args)


def arch_blocks(arch, unit_fn, **unit_args):
    """The `Block`s of an `Arch`, named block1, block2, ..."""
    blocks = []
    for i, stage in enumerate(arch.stages, start=1):
        options = dataclasses.replace(arch.unit_options, se_depth=stage.se_depth)
        args = unit_args if options == UnitOptions() else {**unit_args, "options": options}
        block = _block(f"block{i}", unit_fn, stage, arch.stride_unit, args)
        if arch.shortcut == "block_projection":
            block.args[0]["options"] = dataclasses.replace(options, project=True)
        blocks.append(block)
    return blocks


def _block(scope, unit_fn, stage, stride_unit, unit_args) -> Block:
    args = {"depth": stage.depth, "depth_bottleneck": stage.depth_bottleneck, **unit_args}
    strides = unit_strides(stage.num_units, stage.stride, stride_unit)
    units = [{**args, "stride": stride} for stride in strides]
    for unit, rate in zip(units, stage.unit_rates, strict=False):  # () where all are 1
        unit["unit_rate"] = rate
    return Block(scope, unit_fn, units)


def subsample(inputs, factor, scope=None):
    """Keeps every `factor`-th row and column, from the first on.

    Args:
        inputs: a tensor [batch, height_in, width_in, channels].
        factor: the subsampling factor.
        scope: optional variable scope.

    Returns:
        A tensor [batch, ceil(height_in / factor), ceil(width_in / factor), channels]; `inputs`
        itself when `factor` is 1.
    """
    if factor == 1:
        return inputs
    return slim.max_pool2d(inputs, [1, 1], stride=factor, scope=scope)


def shortcut(
    inputs,
    depth,
    stride,
    kind="projection",
    *,
    source=None,
    project=False,
    average=False,
    **conv_args,
):
    """The shortcut of a residual unit, in the scope 'shortcut'.

    Args:
        inputs: a tensor [batch, height, width, channels].
        depth: channels of the unit's output.
        stride: the unit's stride.
        kind: what to do when the depth changes: "projection" (1x1 convolution), "pad" (subsample
            and add zero channels, option A of arXiv:1512.03385), "average_pad" (2x2 average
            pooling and zero channels).
        source: what a projection reads instead of `inputs` (the pre-activation of v2).
        project: a projection also where the depth stays.
        average: a projection has its stride in a 2x2 average pooling before it (ResNet-D, section
            4.2 of arXiv:1812.01187), so that it reads every pixel.
        **conv_args: keywords of the projection's `slim.conv2d`.

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].

    Raises:
        ValueError: there is no such kind.
    """
    depth_in = slim.utils.last_dimension(inputs.get_shape(), min_rank=4)
    if depth == depth_in and not project:
        return subsample(inputs, stride, "shortcut")
    if project or kind == "projection":
        source = inputs if source is None else source
        if average and stride > 1:
            source = slim.avg_pool2d(
                source, [2, 2], stride=stride, padding="SAME", scope="shortcut_pool"
            )
            stride = 1
        return slim.conv2d(source, depth, [1, 1], stride=stride, scope="shortcut", **conv_args)
    if kind == "pad":
        net = subsample(inputs, stride, "shortcut")
    elif kind == "average_pad":
        net = slim.avg_pool2d(inputs, [2, 2], stride=stride, padding="SAME", scope="shortcut")
    else:
        raise ValueError(f"unknown shortcut {kind!r}: use projection, pad or average_pad")
    zeros = (depth - depth_in) // 2
    return tf.pad(net, [[0, 0], [0, 0], [0, 0], [zeros, zeros]])


def squeeze_and_excite(net, reduced_depth, scope="se"):
    """Multiplies every channel by what a small network makes of all channels' averages.

    Section 3 of arXiv:1709.01507; its two fully connected layers are 1x1 convolutions.

    Args:
        net: a tensor [batch, height, width, channels].
        reduced_depth: channels between the two layers.
        scope: the variable scope.

    Returns:
        A tensor of the shape of `net`.
    """
    depth = slim.utils.last_dimension(net.get_shape(), min_rank=4)
    plain = {"normalizer_fn": None, "biases_initializer": tf.zeros_initializer()}
    with tf.variable_scope(scope, "se", [net]):
        gates = tf.reduce_mean(net, [1, 2], name="squeeze", keepdims=True)
        gates = slim.conv2d(
            gates, reduced_depth, [1, 1], activation_fn=tf.nn.relu, scope="reduce", **plain
        )
        gates = slim.conv2d(gates, depth, [1, 1], activation_fn=tf.sigmoid, scope="expand", **plain)
        return tf.multiply(net, gates, name="scale")


def conv2d_same(
    inputs,
    num_outputs,
    kernel_size,
    stride,
    rate=1,
    scope=None,
    *,
    groups=1,
    padding="symmetric",
):
    """Strided convolution that pads (kernel - 1) // 2 first, whatever the size of the input.

    The same as a stride 1 convolution with SAME padding followed by `subsample`; TensorFlow's own
    strided SAME pads even sizes at the bottom and right only, and so computes something else.

    Args:
        inputs: a tensor [batch, height_in, width_in, channels].
        num_outputs: the number of output channels.
        kernel_size: an int, the kernel's height and width.
        stride: an int, the output stride.
        rate: an int, the rate of atrous convolution.
        scope: optional variable scope.
        groups: groups of channels convolved separately (cardinality).
        padding: "symmetric" is what this function is for; "same" and "valid" are TensorFlow's.

    Returns:
        A tensor [batch, ceil(height_in / stride), ceil(width_in / stride), num_outputs].
    """
    if stride > 1 and padding == "symmetric":
        pad_total = (kernel_size - 1) * rate
        pad = [pad_total // 2, pad_total - pad_total // 2]
        inputs = tf.pad(inputs, [[0, 0], pad, pad, [0, 0]])
        padding = "valid"
    args = dict(stride=stride, rate=rate, scope=scope)
    args["padding"] = "VALID" if padding == "valid" else "SAME"
    if groups == 1:
        return slim.conv2d(inputs, num_outputs, kernel_size, **args)
    return grouped_conv2d(inputs, num_outputs, kernel_size, groups, **args)


@slim.add_arg_scope
def stack_blocks_dense(
    net,
    blocks,
    output_stride=None,
    outputs_collections=None,
    *,
    store_non_strided_activations=False,
):
    """Stacks ResNet blocks and controls the density of the output features.

    Each unit lives in the scope 'BLOCK/unit_N'. Once the stride reaches `output_stride`, further
    strides become rates of atrous convolution (arXiv:1606.00915).

    Args:
        net: a tensor [batch, height, width, channels].
        blocks: a list of `Block`.
        output_stride: the ratio of input to output resolution; it must be the product of the unit
            strides up to some unit. None: all strides are applied.
        outputs_collections: the collection to which the blocks' outputs are added.
        store_non_strided_activations: apply the stride of a block's last unit after the block's
            output has been collected, so that end points keep the higher resolution.

    Returns:
        The output tensor, of stride `output_stride`.

    Raises:
        ValueError: `output_stride` cannot be reached, or a unit's args are neither what `unit_fn`
            takes nor tuples (depth, depth_bottleneck, stride); the message names block and unit.
    """
    current_stride = 1
    rate = 1
    for block in blocks:
        units = _unit_args(block)
        with tf.variable_scope(block.scope, "block", [net]) as sc:
            block_stride = 1
            if store_non_strided_activations:
                block_stride = units[-1].get("stride", 1)
                units[-1] = dict(units[-1], stride=1)
            for i, unit in enumerate(units, start=1):
                _check_reachable(current_stride, output_stride)
                with tf.variable_scope(f"unit_{i}", values=[net]):
                    if current_stride == output_stride:
                        net = block.unit_fn(net, rate=rate, **dict(unit, stride=1))
                        rate *= unit.get("stride", 1)
                    else:
                        net = block.unit_fn(net, rate=1, **unit)
                        current_stride *= unit.get("stride", 1)
            net = slim.utils.collect_named_outputs(outputs_collections, sc.name, net)
            if current_stride == output_stride:
                rate *= block_stride
            else:
                net = subsample(net, block_stride)
                current_stride *= block_stride
    if output_stride is not None and current_stride != output_stride:
        raise ValueError("The target output_stride cannot be reached.")
    return net


def _check_reachable(current_stride, output_stride) -> None:
    if output_stride is not None and current_stride > output_stride:
        raise ValueError("The target output_stride cannot be reached.")


def _unit_args(block: Block) -> list[dict]:
    """The keywords of each unit of `block`, from dicts or plain tuples, checked."""
    kinds = {isinstance(unit, dict) for unit in block.args}
    if len(kinds) > 1:
        first = isinstance(block.args[0], dict)
        odd = next(i for i, u in enumerate(block.args, 1) if isinstance(u, dict) != first)
        raise ValueError(
            f"{block.scope}/unit_{odd}: the units of a block are all dicts or all tuples, not a mix"
        )
    signature = _signature(block.unit_fn)
    return [_one_unit(block.scope, i, unit, signature) for i, unit in enumerate(block.args, 1)]


def _one_unit(scope, index, unit, signature) -> dict:
    if not isinstance(unit, dict):
        if len(unit) != len(_UNIT_KEYS):
            raise ValueError(
                f"{scope}/unit_{index}: {tuple(unit)!r} has {len(unit)} elements, a unit is "
                f"({', '.join(_UNIT_KEYS)})"
            )
        unit = dict(zip(_UNIT_KEYS, unit, strict=True))
    if signature is not None:
        try:
            signature.bind(None, rate=1, **unit)
        except TypeError as error:
            raise ValueError(
                f"{scope}/unit_{index}: {error}; the unit's args are {dict(unit)!r}"
            ) from None
    return dict(unit)


def _signature(unit_fn):
    try:
        return inspect.signature(unit_fn)
    except (TypeError, ValueError):  # a callable without one: it will complain itself
        return None


def bias_and_batch_norm(inputs, **kwargs):
    """A `normalizer_fn`: `biases` of the convolution itself, then `slim.batch_norm`."""
    biases = slim.model_variable(
        "biases",
        shape=inputs.shape[-1:],
        dtype=inputs.dtype.base_dtype,
        initializer=tf.zeros_initializer(),
    )
    return slim.batch_norm(tf.nn.bias_add(inputs, biases), **kwargs)


def resnet_arg_scope(
    weight_decay=WEIGHT_DECAY,
    batch_norm_decay=BATCH_NORM_DECAY,
    batch_norm_epsilon=BATCH_NORM_EPSILON,
    batch_norm_scale=True,
    *,
    activation_fn=tf.nn.relu,
    use_batch_norm=True,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    batch_norm_center=True,
    conv_bias=False,
):
    """The default arg scope of slim's ResNets.

    Args:
        weight_decay: L2 weight decay of the convolutions' weights.
        batch_norm_decay: decay of the moving averages.
        batch_norm_epsilon: added to the variance.
        batch_norm_scale: whether batch norms have a `gamma`.
        activation_fn: activation of the convolutions.
        use_batch_norm: whether convolutions are followed by a batch norm.
        batch_norm_updates_collections: where the updates of the moving averages go.
        batch_norm_center: whether batch norms have a `beta`.
        conv_bias: whether convolutions have biases before their batch norm.

    Returns:
        An arg scope; SAME padding of the root's max pool is part of it.
    """
    batch_norm_params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "scale": batch_norm_scale,
        "center": batch_norm_center,
        "updates_collections": batch_norm_updates_collections,
    }
    normalizer_fn = bias_and_batch_norm if conv_bias else slim.batch_norm
    with (
        slim.arg_scope(
            [slim.conv2d],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=normalizer_fn if use_batch_norm else None,
            normalizer_params=batch_norm_params,
        ),
        slim.arg_scope([slim.batch_norm], **batch_norm_params),
        slim.arg_scope([slim.max_pool2d], padding="SAME") as arg_sc,
    ):
        return arg_sc
