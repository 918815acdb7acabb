"""Checkpoints of other people's ResNets, by their own code under TensorFlow 1.15: make.py CODE OUT

CODE is a folder that holds clones of the code bases, none of which is copied here: ethereon/caffe-
tensorflow as kaffe, ry/tensorflow-resnet as ry, google-research/simclr as simclr, tensorflow/models
(r1.13) as models_r1, taehoonlee/tensornets as tensornets, tensorpack/tensorpack as tensorpack. The
networks are made narrow (and shallow, where their functions take the number of units), and get
seeded weights; ref.npz holds an image (odd and even size) and the logits that TensorFlow gave.
"""

import builtins
import functools
import os
import subprocess
import sys
import types

CASES = {}
SIZES = {"caffe_tensorflow": [(224, 224)]}  # its last pool is 7x7
SHALLOW = [2, 1, 2, 1]


def case(function):
    CASES[function.__name__] = function
    return function


def narrowed(function, position, divide):
    """`function` with its number of channels divided; at least 4."""

    @functools.wraps(function)  # and what argument scopes know it by
    def call(*args, **kwargs):
        args = list(args)
        args[position] = max(4, args[position] // divide)
        return function(*args, **kwargs)

    return call


@case
def tensorpack_bottleneck(tf, x):
    return _tensorpack(tf, x, "resnet_bottleneck")


@case
def tensorpack_basic(tf, x):
    return _tensorpack(tf, x, "resnet_basicblock")


@case
def tensorpack_preact(tf, x):
    return _tensorpack(tf, x, "preact_bottleneck")


def _tensorpack(tf, x, block):
    use("tensorpack", "tensorpack/examples/ResNet")
    import resnet_model
    import tensorpack.models as layers
    from tensorpack.tfutils.argscope import argscope
    from tensorpack.tfutils.tower import TowerContext

    resnet_model.FullyConnected = narrowed(layers.FullyConnected, 2, 100)
    group = resnet_model.preact_group if "preact" in block else resnet_model.resnet_group
    group = narrowed(group, 3, 16)
    kinds = [layers.Conv2D, layers.MaxPooling, layers.GlobalAvgPooling, layers.BatchNorm]
    with TowerContext("", is_training=False), argscope(kinds, data_format="channels_last"):
        resnet_model.resnet_backbone(x, SHALLOW, group, getattr(resnet_model, block))
    return tf.get_default_graph().get_tensor_by_name("linear/output:0")


@case
def official_v1(tf, x):
    return _official(x, 50, 1)


@case
def official_v2(tf, x):
    return _official(x, 50, 2)


@case
def official_18(tf, x):
    return _official(x, 18, 1)


@case
def official_cifar(tf, x):
    return _official(x, 8, 1, (3, 1, None, None, [1, 1, 1], [1, 2, 2]))


def _official(x, size, version, geometry=(7, 2, 3, 2, SHALLOW, [1, 2, 2, 2])):
    use("models_r1")
    from official.r1.resnet import resnet_model

    model = resnet_model.Model(size, size >= 50, 7, 4, *geometry, version, "channels_last")
    return model(x, False)


@case
def simclr(tf, x):
    return _simclr(tf, x)


@case
def simclr_cifar(tf, x):
    return _simclr(tf, x, cifar_stem=True)


def _simclr(tf, x, **options):
    use("simclr")
    from absl import flags

    flags.DEFINE_string("train_mode", "finetune", "")
    flags.DEFINE_integer("fine_tune_after_block", -1, "")
    flags.DEFINE_boolean("global_bn", False, "")
    for name, value in {"batch_norm_decay": 0.9, "sk_ratio": 0.0, "se_ratio": 0.0}.items():
        flags.DEFINE_float(name, value, "")
    flags.FLAGS(["make"])
    import model_util
    import resnet

    conv2d = tf.layers.conv2d

    def narrow(filters, **kwargs):
        return conv2d(filters=max(4, filters // 16), **kwargs)

    for layers in (tf.layers, tf.compat.v1.layers):
        layers.conv2d = narrow
    with tf.variable_scope("base_model"):
        hidden = resnet.resnet_v1_generator(resnet.bottleneck_block, SHALLOW, 1, **options)(
            x, False
        )
    return model_util.supervised_head(hidden, 6, False)


@case
def tensornets(tf, x):
    use("tensornets")
    import tensornets
    from tensornets import resnets

    resnets.conv2d = narrowed(resnets.conv2d, 1, 16)
    resnets.conv = narrowed(resnets.conv, 1, 16)
    return tensornets.ResNet50(x, is_training=False, classes=7).op.inputs[0]


@case
def ry(tf, x):
    use("ry")
    for name in ("skimage", "skimage.io", "skimage.transform"):  # imported, and not needed
        sys.modules[name] = types.ModuleType(name)
    python2 = type("Python2Dictionary", (dict,), {"iteritems": dict.items})
    tf.app.flags.FLAGS.__dict__["__flags"] = python2()
    import resnet

    conv = resnet.conv

    def narrow(inputs, c):
        width = c["conv_filters_out"]
        c["conv_filters_out"] = max(4, width // 16)
        made = conv(inputs, c)
        c["conv_filters_out"] = width
        return made

    # its shortcuts compare channels with what a unit would have in full width
    resnet.conv = narrow
    block = resnet.block

    def narrow_block(inputs, c):
        width = c["block_filters_internal"]
        c["block_filters_internal"], resnet.conv = max(4, width // 16), conv
        made = block(inputs, c)
        c["block_filters_internal"], resnet.conv = width, narrow
        return made

    resnet.block = narrow_block
    return resnet.inference(x, False, num_classes=7, num_blocks=SHALLOW)


@case
def caffe_tensorflow(tf, x):
    use("kaffe", "kaffe/examples/imagenet/models")
    tf.Dimension.__truediv__ = tf.Dimension.__floordiv__  # it was written for Python 2
    builtins.basestring = str
    from kaffe.tensorflow import Network
    from resnet import ResNet50

    conv = Network.conv

    def narrow(self, k_h, k_w, channels, *args, **kwargs):
        return conv(self, k_h, k_w, max(4, channels // 16), *args, **kwargs)

    Network.conv = narrow
    fc = Network.fc
    Network.fc = lambda self, _, **kwargs: fc(self, 7, **kwargs)
    Network.softmax = lambda self, **_: self
    net = ResNet50({"data": x})
    return net.layers["fc1000"]


@case
def deeplab_beta(tf, x):
    """Not a scheme: its names are slim's, its root has three convolutions."""
    use("models_r1/research", "models_r1/research/slim")
    from deeplab.core import resnet_v1_beta

    root = resnet_v1_beta.root_block_fn_for_beta_variant
    resnet_v1_beta.root_block_fn_for_beta_variant = lambda net, *_: root(net, 1 / 16)
    block = resnet_v1_beta.resnet_utils.Block

    def narrow(scope, unit, units):
        widths = ("depth", "depth_bottleneck")
        return block(
            scope, unit, [{k: v // 16 if k in widths else v for k, v in u.items()} for u in units]
        )

    resnet_v1_beta.resnet_utils.Block = narrow
    with tf.contrib.slim.arg_scope(resnet_v1_beta.resnet_arg_scope()):
        logits, _ = resnet_v1_beta.resnet_v1_50_beta(x, 7, False, global_pool=True)
    return tf.squeeze(logits, [1, 2])


def use(*folders):
    for folder in folders:
        sys.path.insert(0, os.path.join(sys.argv[1], folder))


def seeded(variables, random):
    """Values that keep activations in range: He's for kernels, norms moved away from 0 and 1."""
    import numpy as np

    for variable in variables:
        name, shape = variable.op.name.lower(), variable.shape.as_list()
        value = random.normal(size=shape)
        if len(shape) > 1:
            value *= np.sqrt(2.0 / np.prod(shape[:-1]))
        elif "var" in name:
            value = 0.5 + np.abs(value)
        elif "gamma" in name or "scale" in name.rpartition("/")[2]:
            value = 1 + 0.2 * value
        else:
            value = 0.2 * value
        yield variable, value.astype(variable.dtype.base_dtype.as_numpy_dtype)


def picture(random, height, width):
    """Squares of 5 pixels, which take little room and lie across all strides."""
    import numpy as np

    colours = random.uniform(-1, 1, [1, -(-height // 5), -(-width // 5), 3])
    return np.kron(colours, np.ones([1, 5, 5, 1]))[:, :height, :width].astype(np.float32)


def make(name, out):
    import numpy as np
    import tensorflow as tf

    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    random = np.random.RandomState(20261128)
    sizes = SIZES.get(name, [(64, 96), (65, 81)])
    fixed = sizes[0] if len(sizes) == 1 else (None, None)
    x = tf.placeholder(tf.float32, [None, *fixed, 3], name="images")
    logits = CASES[name](tf, x)
    arrays = {}
    with tf.Session() as session:
        values = dict(seeded(tf.global_variables(), random))
        for variable, value in values.items():
            variable.load(value, session)
        saver = tf.train.Saver()
        prefix = os.path.join(folder, "model.ckpt")
        saver.save(session, prefix, write_state=False, write_meta_graph=False)
        saver.export_meta_graph(prefix + ".meta", strip_default_attrs=True)
        for number, (height, width) in enumerate(sizes):
            image = picture(random, height, width)
            arrays[f"x{number}"] = image
            arrays[f"y{number}"] = session.run(logits, {x: image})
    np.savez_compressed(os.path.join(folder, "ref.npz"), **arrays)
    print(name, logits.op.name, arrays["y0"][0], sum(v.size for v in values.values()))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        make(sys.argv[3], sys.argv[2])
    else:
        for each in CASES:  # modules of the same names, so one process each
            subprocess.run([sys.executable, __file__, *sys.argv[1:], each], check=True)
