"""ResNeXt for CIFAR: ResNeXt-29 of the paper, and the net of the widely copied TF 1 script.

`resnext_29_8x64d` and `resnext_29_16x64d` are those of section 5.2 of arXiv:1611.05431.

`resnext_cifar` is another network: a unit splits into branches (1x1 with the stride, 3x3), joins
them, and projects ("transition"); where the depth doubles, the shortcut is average pooling and zero
channels. Its variables have the script's names (`conv2d/kernel`, `conv2d_1/kernel`, ... in order of
creation), so that a checkpoint of the script restores with a plain `Saver`.
"""

from __future__ import annotations

import re

from slim_resnet import arch as arch_lib
from slim_resnet import forms, resnet_utils
from slim_resnet.arch import REGISTRY
from slim_resnet.arch.parts import UnitOptions
from slim_resnet.compat import slim, tf
from slim_resnet.generator import generate, generator_fn, network_fn
from slim_resnet.layers import activation_fn
from slim_resnet.resnext_v1 import bottleneck

resnet_arg_scope = resnet_utils.resnet_arg_scope


resnext_29 = generator_fn(
    "resnext_29",
    __name__,
    [bottleneck],
    "Generator of ResNeXt networks with the CIFAR root from a list of blocks.",
    default_image_size=32,
    stem="cifar",
)

resnext_29_8x64d = network_fn(REGISTRY["resnext_29_8x64d"], resnext_29, bottleneck, cardinality=8)
resnext_29_16x64d = network_fn(
    REGISTRY["resnext_29_16x64d"], resnext_29, bottleneck, cardinality=16
)


@slim.add_arg_scope
def split_unit(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    cardinality=8,
    rate=1,
    outputs_collections=None,
    scope=None,
    *,
    form="concat",
    unit_rate=1,
    options=UnitOptions(),  # noqa: B008 - frozen
):
    """The script's unit: split, transform, concatenate, transition, add, ReLU.

    Args:
        inputs: a tensor [batch, height, width, channels].
        depth: channels of the unit's output.
        depth_bottleneck: channels of all branches together.
        stride: the unit's stride, on the branches' 1x1 convolution.
        cardinality: the number of branches.
        rate: the rate of atrous convolution.
        outputs_collections: collection to which the output is added.
        scope: optional variable scope.
        form: "concat" as in the script, or "grouped".
        unit_rate: multiplies `rate`, for this unit alone.
        options: an `arch.parts.UnitOptions`.

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].
    """
    with tf.variable_scope(scope, "split_v1", [inputs]) as sc:
        shortcut = resnet_utils.shortcut(inputs, depth, stride, "average_pad")
        residual = forms.residual(
            inputs,
            depth,
            depth_bottleneck,
            stride,
            rate * unit_rate,
            cardinality,
            form,
            last={"activation_fn": None},
            stride_conv=options.stride_conv or "conv1",
            padding=options.padding,
        )
        activate = activation_fn(options.activation) or tf.identity
        output = activate(shortcut + residual)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


def resnext_cifar_arg_scope(
    batch_norm_decay=0.9, batch_norm_epsilon=1e-3, fused=None, *, activation_fn=tf.nn.relu
):
    """The script's settings: no weight decay in the layers, batch norms that update in place.

    The script adds its weight decay, over all trainable variables, to the loss itself.

    Args:
        batch_norm_decay: decay of the moving averages.
        batch_norm_epsilon: added to the variance.
        fused: whether batch norms are fused; None: where TensorFlow can.
        activation_fn: activation of the convolutions.

    Returns:
        An arg scope.
    """
    batch_norm = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "center": True,
        "scale": True,
        "updates_collections": None,
        "zero_debias_moving_mean": True,
        "fused": fused,
    }
    with (
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=tf.glorot_uniform_initializer(),
            normalizer_fn=slim.batch_norm,
            activation_fn=activation_fn,
        ),
        slim.arg_scope([slim.batch_norm], **batch_norm) as arg_sc,
    ):
        return arg_sc


def resnext_cifar(
    inputs,
    num_classes=10,
    is_training=True,
    reuse=None,
    scope=None,
    *,
    cardinality=8,
    depth=64,
    arch=None,
):
    """The network of the script, to be built under `resnext_cifar_arg_scope`.

    Args:
        inputs: a tensor [batch, height, width, 3].
        num_classes: the number of classes.
        is_training: whether batch norms use (and update with) the batch's statistics.
        reuse: whether to reuse the variables.
        scope: a variable scope around all of it; None: the script's names, as they are (in the
            grouped form: the name of the architecture).
        cardinality: the number of branches.
        depth: channels of a branch.
        arch: an `Arch` of this family instead of the three arguments before.

    Returns:
        net: logits [batch, num_classes].
        end_points: a dict from the names of components (those of the grouped form, below
            "resnext_cifar") to their outputs.
    """
    arch = arch or arch_lib.resnext_cifar(cardinality, depth, num_classes)
    inner, outer, getter = scope or arch.name, None, None
    if arch.has_script_names:  # the renaming takes the inner scope out again
        inner, outer, getter = arch.name, scope, _script_names(arch)
    outer = outer or tf.get_variable_scope()
    with tf.variable_scope(outer, reuse=reuse, custom_getter=getter) as sc:
        blocks = resnet_utils.arch_blocks(
            arch, split_unit, cardinality=arch.cardinality, form=arch.form
        )
        net, end_points = generate(
            inputs,
            blocks,
            num_classes=None,
            is_training=is_training,
            global_pool=True,
            output_stride=arch.output_stride,
            include_root_block=True,
            reuse=None,
            scope=inner,
            default_scope=inner,
            unit_fns=[split_unit],
            root=arch.root_options,
        )
        if arch.logits:
            kernel = slim.model_variable(
                f"{inner}/logits/weights",
                shape=arch.variables[-1].shape,
                dtype=net.dtype,
                initializer=tf.glorot_uniform_initializer(),
            )
            kernel = tf.reshape(kernel, arch.logits.weights_shape[2:])
            net = tf.matmul(tf.squeeze(net, [1, 2]), kernel, name="linear/MatMul")
            end_points[f"{sc.name}/{inner}/logits".lstrip("/")] = net
            end_points["predictions"] = tf.nn.softmax(net)
        return net, end_points


resnext_cifar.default_image_size = 32


def build(arch, images, is_training, scope, reuse, global_pool):
    """What `graph.build` calls for this family, in either form; it has the variable scope."""
    net, end_points = resnext_cifar(
        images, is_training=is_training, reuse=reuse, scope=scope, arch=arch
    )
    if scope and arch.has_script_names:  # one scope, as for every other network
        end_points = {
            name.replace(f"{scope}/{arch.name}/", f"{scope}/", 1): value
            for name, value in end_points.items()
        }
    return net, end_points


def _script_names(arch):
    """A custom getter that gives every variable its name in the script."""
    # Both list the parts of a whole in the order of the branches.
    by_whole = [sorted(vs, key=lambda v: v.whole) for vs in (arch.slim_variables, arch.variables)]
    names = {ours.name: scripts.name for ours, scripts in zip(*by_whole, strict=True)}

    def renaming_getter(getter, name, *args, **kwargs):
        before, _, below = name.rpartition(f"{arch.name}/")
        helper = re.search(r"([^/]+)/moving_mean/(biased|local_step)$", name)
        if below in names:
            name = before + names[below]
        elif helper:
            # zero-debias variables: the moving mean's name, in the scope of its batch norm
            name = f"{before}{helper[1]}/{helper[0]}"
        return getter(name, *args, **kwargs)

    return renaming_getter
