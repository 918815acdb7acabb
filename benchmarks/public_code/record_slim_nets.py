#!/usr/bin/env python3
"""Records every network of slim's nets_factory as TensorFlow 1.15 computes it.

  PYTHON3.7 record_slim_nets.py --code models/research/slim --output cases [--nets NAME ...]

`models` is a checkout of TensorFlow's models of 2020, where research/slim has mobilenet_v3; its
code is used as it is. It wants TensorFlow 1.15 and tf_slim 1.1.0; nothing of this project is
imported.

Each network becomes a folder nf_NAME as converters/batch/cases.py says: a checkpoint with its
graph, images, and the logits, auxiliary logits and predictions of them. Weights are drawn by their
names (`drawn`), widths are the real ones, images are small where the network takes such. Beside
the entries of `networks_map` there are `GANS`, and `OPTIONS`, training graphs among them: what is
recorded of these is what their inference graph computes with the same weights. A folder that is
there is kept, so that what was stopped goes on.

Exit code: 0 all recorded, 1 some not (why is said, and the others are recorded), 2 wrong arguments.
"""

import argparse
import functools
import json
import os
import shutil
import sys
import zlib
from typing import Any, Dict, NamedTuple, Tuple  # noqa: UP035 - Python 3.7

import numpy as np
from slim_gans import GANS

NUM_CLASSES = 11
BATCH = 2
FRAMES = 16  # of the networks of videos
VIDEOS = ("i3d", "s3dg")
CHANNELS = {"lenet": 1}  # else 3
MORE_OUTPUTS = ("AuxLogits", "Predictions", "predictions")  # end points, where they are there
# Sizes of the images by how a network's name begins; others are shown its `default_image_size`.
SMALL = {
    "inception_resnet_v2": (139, 139),
    "inception_v2": (128, 128),
    "inception_v3": (139, 139),
    "inception_v4": (139, 139),
    "mobilenet": (96, 96),
    "nasnet_large": (97, 97),
    "nasnet_mobile": (97, 113),
    "pnasnet_large": (97, 97),
    "pnasnet_mobile": (97, 113),
    "resnet": (65, 81),
    "i3d": (64, 64),
    "s3dg": (64, 64),
}
# Factors of moving variances: without them activations grow (residual sums, max pools) or shrink
# (gates) so much with each layer that the predictions no longer tell images apart.
VARIANCES = {
    "inception_v1": 1.3,
    "minimalistic": 2,
    "pnasnet_mobile": 4,
    "nasnet_cifar": 2.5,
    "pnasnet_large": 3,
    "nasnet": 2,
    "mobilenet_edgetpu": 2,
    "resnet_v1": 3,
    "resnet_v2_": 3,
    "s3dg": 0.75,
}


class Case(NamedTuple):
    """What is recorded.

    Attributes:
        net: the entry of `networks_map`, or of `GANS`.
        kwargs: of an entry's function, beside num_classes and is_training.
        size: of the images, (height, width); (): `SMALL`'s, or the network's own.
        known: whether the graph knows that size.
        training: whether the graph of the checkpoint is one that trains.
    """

    net: str
    kwargs: Dict[str, Any] = {}  # noqa: UP006
    size: Tuple[int, ...] = ()  # noqa: UP006
    known: bool = True
    training: bool = False


OPTIONS = {
    "inception_v1_global_pool": Case("inception_v1", {"global_pool": True}, (97, 129), False),
    "inception_v1_train": Case("inception_v1", training=True),
    "inception_v3_dynamic": Case(
        "inception_v3", {"global_pool": True, "create_aux_logits": False}, known=False
    ),
    "inception_v3_train": Case("inception_v3", training=True),
    "mobilenet_v1_025_train": Case("mobilenet_v1_025", training=True),
    "mobilenet_v2_035_train": Case("mobilenet_v2_035", training=True),
    "mobilenet_v2_features": Case("mobilenet_v2", {"finegrain_classification_mode": True}),
    "mobilenet_v3_large_224": Case("mobilenet_v3_large", {"depth_multiplier": 0.35}, (224, 224)),
    "mobilenet_v3_small_dm": Case("mobilenet_v3_small", {"depth_multiplier": 0.35}, (97, 113)),
    "mobilenet_v3_small_train": Case("mobilenet_v3_small", training=True),
    "resnet_v1_50_train": Case("resnet_v1_50", training=True),
    "resnet_v2_50_train": Case("resnet_v2_50", training=True),
    "vgg_a_fcn": Case(
        "vgg_a", {"fc_conv_padding": "SAME", "spatial_squeeze": False}, (97, 129), known=False
    ),
    "vgg_a_global_pool": Case("vgg_a", {"global_pool": True}),
    "vgg_a_train": Case("vgg_a", training=True),
}


def main():
    args = parse()
    sys.path.insert(0, os.path.abspath(args.code))
    try:
        from nets import nets_factory
    except ImportError as error:
        print(f"{args.code}: {error}; it needs TensorFlow 1.15, tf_slim 1.1.0", file=sys.stderr)
        return 2

    cases = {name: Case(name) for name in nets_factory.networks_map}
    cases.update({n: case for n, case in OPTIONS.items() if case.net in cases})
    cases.update({name: Case(name) for name in GANS})
    unknown = sorted(set(args.nets) - set(cases))
    if unknown:
        print(f"no networks: {unknown}; there are {', '.join(cases)}", file=sys.stderr)
        return 2
    return record_all({name: cases[name] for name in args.nets or cases}, args.output)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--code", required=True, help="research/slim, the folder that holds nets/")
    parser.add_argument("--output", required=True, help="the folder of the cases' folders")
    parser.add_argument("--nets", nargs="+", default=[], metavar="NAME", help="default: all")
    args = parser.parse_args()
    if not os.path.isfile(os.path.join(args.code, "nets", "nets_factory.py")):
        parser.error(f"--code: there is no nets/nets_factory.py in {args.code}")
    return args


def record_all(cases, output):
    """Records what is not there yet; 1 where one of them could not be."""
    failed = 0
    for name, case in cases.items():
        folder = os.path.join(output, "nf_" + name)
        if os.path.exists(folder):
            continue
        hidden = os.path.join(output, ".nf_" + name)
        shutil.rmtree(hidden, ignore_errors=True)
        os.makedirs(hidden)
        try:
            said = record(name, case, hidden)
            os.rename(hidden, folder)
        except Exception as error:  # of one network; the others are recorded
            shutil.rmtree(hidden)
            failed, said = 1, f"not recorded: {type(error).__name__}: {error}"
        print(f"{name}: {said}", flush=True)
    return failed


def record(name, case, folder):
    """Writes a case into a folder; in a line, what is in it."""
    import tensorflow.compat.v1 as tf

    checkpoint = os.path.join(folder, "model.ckpt")
    with tf.Graph().as_default(), tf.Session() as session:
        images, outputs = build(case, training=False)
        load_drawn(session, case.net)
        shown = images_of(name, shown_shape(case))
        found = session.run(outputs, {images: shown})
        if not case.training:
            tf.train.Saver().save(session, checkpoint)
    check_worth(found)
    if case.training:
        save_training(case, checkpoint)
    arrays = {f"output{i}": array for i, array in enumerate(found.values())}
    np.savez(os.path.join(folder, "ref.npz"), images=shown, **arrays)
    told = {
        "checkpoint": "model.ckpt",
        "ref": "ref.npz",
        "inputs": {"images": "images"},
        "outputs": {name: f"output{i}" for i, name in enumerate(found)},
        "note": note(case, shown.shape),
    }
    with open(os.path.join(folder, "case.json"), "w") as file:
        json.dump(told, file, indent=1)
    return ", ".join(f"{n} {np.abs(array).max():.1e}" for n, array in found.items())


def build(case, training):
    """A case's placeholder, and its outputs: name of an operation -> tensor."""
    import tensorflow.compat.v1 as tf

    images = tf.placeholder(tf.float32, known_shape(case), "images")
    logits, end_points = network_of(case.net, training)(images, **case.kwargs)
    more = [end_points[key] for key in MORE_OUTPUTS if key in end_points]
    return images, {tensor.op.name: tensor for tensor in [logits] + more}


def network_of(net, training):
    """A function of images, and of a case's kwargs, that gives an output and end points."""
    from nets import nets_factory

    if net in GANS:
        return functools.partial(GANS[net].build, is_training=training)
    decay = 1e-4 if training else 0.0
    return nets_factory.get_network_fn(net, NUM_CLASSES, decay, training)


def save_training(case, checkpoint):
    """Saves the graph of a training, with the weights of the inference graph."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        _, outputs = build(case, training=True)
        logits = next(iter(outputs.values()))
        tf.losses.sparse_softmax_cross_entropy(np.arange(BATCH), logits)
        step = tf.train.get_or_create_global_step()
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
            optimizer.minimize(tf.losses.get_total_loss(), step)
        load_drawn(session, case.net)
        tf.train.Saver().save(session, checkpoint)


def load_drawn(session, net):
    """Gives each variable of the graph what is drawn for its name."""
    import tensorflow.compat.v1 as tf

    variance = next((factor for word, factor in VARIANCES.items() if word in net), 1)
    values = {}
    for variable in tf.global_variables():
        value = drawn(variable.op.name, variable.shape.as_list(), variance)
        initial = variable.initializer.inputs[1]
        values[initial] = value.astype(initial.dtype.as_numpy_dtype)
    session.run([variable.initializer for variable in tf.global_variables()], values)


def drawn(name, shape, variance=1):
    """The values of a variable, float32, which its name decides.

    Kernels are normal with variance 2 / fan-in (He et al. 2015), gammas and moving variances
    uniform in [0.5, 1.5], others, such as biases, normal(0, 0.1).

    Args:
        name: of the variable.
        shape: of it; a depthwise kernel is [height, width, channels, multiplier].
        variance: factor of moving variances.
    """
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    kind = name.rpartition("/")[2]
    if kind in ("gamma", "moving_variance"):
        factor = variance if kind == "moving_variance" else 1
        return (factor * rng.uniform(0.5, 1.5, shape)).astype(np.float32)
    if len(shape) < 2:
        return np.asarray(rng.normal(0, 0.1, shape)).astype(np.float32)
    inputs = shape[:2] if kind == "depthwise_weights" else shape[:-1]
    return rng.normal(0, np.sqrt(2 / np.prod(inputs)), shape).astype(np.float32)


def shown_shape(case):
    """The shape of the batch that a network is shown."""
    from nets import nets_factory

    if case.net in GANS:
        return [BATCH] + list(GANS[case.net].shape[1:])
    size = case.size or next((size for n, size in SMALL.items() if case.net.startswith(n)), ())
    size = size or (nets_factory.networks_map[case.net].default_image_size,) * 2
    return [BATCH] + [FRAMES] * (case.net in VIDEOS) + list(size) + [CHANNELS.get(case.net, 3)]


def known_shape(case):
    """What the graph knows of that shape."""
    if case.net in GANS:
        return list(GANS[case.net].shape)
    _, *before, height, width, channels = shown_shape(case)
    return [None, *before, *((height, width) if case.known else (None, None)), channels]


def images_of(name, shape):
    """A batch of images in [-1, 1], which the case's name decides."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    return rng.uniform(-1, 1, shape).astype(np.float32)


def check_worth(outputs):
    """Raises ValueError where outputs would prove little: not finite, or alike for all images."""
    for name, array in outputs.items():
        largest = np.abs(array).max()
        spread = np.ptp(array, axis=0).max()
        if not np.isfinite(largest) or spread < 1e-3 * largest:
            raise ValueError(f"{name} (up to {largest:.1e}): images differ by {spread:.1e}")


def note(case, shape):
    """What a case is, in a line."""
    if case.net in GANS:
        return GANS[case.net].note
    parts = ["training graph"] * case.training + ["real width"]
    parts += [f"{key} {value}" for key, value in case.kwargs.items()]
    parts += ["x".join(map(str, shape[1:-1])) + " of unknown size" * (not case.known)]
    return (case.net + ": " if case in OPTIONS.values() else "") + ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
