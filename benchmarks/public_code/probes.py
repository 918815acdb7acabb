"""Networks of public code bases, built by their own unedited code: what they compute, as numbers.

  python probes.py NAME                            under TensorFlow 1.15
  python -m slim_resnet.legacy probes.py NAME      under the shim

The folder of the code and this project's tools/ are on PYTHONPATH. Every variable gets the value
that its name seeds; the last line printed is JSON: output -> its shape and 16 of its values.
"""

import json
import os
import sys
import types

import numpy as np
import tensorflow as tf
from record_legacy import generator, graph_variables, seeded_value, variable_setter

PROBES = {}


def probe(function):
    PROBES[function.__name__] = function
    return function


def placeholder(*shape):
    return tf.placeholder(tf.float32, list(shape), name="probe_images")


def stand_in(name, **members):
    """A compiled module that the code imports and that the graph does not need."""
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)


def parse_flags(**values):
    """Has the flags of a script that is imported, not run."""
    flags = tf.app.flags.FLAGS
    if not flags.is_parsed():
        flags(["probe"])
    for name, value in values.items():
        setattr(flags, name, value)


@probe
def east():
    import model

    parse_flags(text_scale=512)
    images = placeholder(1, 64, 96, 3)
    score, geometry = model.model(images, is_training=False)
    ones = [tf.ones_like(tensor) for tensor in (score, geometry, score)]
    loss = model.loss(ones[0], score, ones[1], geometry, ones[2])
    return {"score": score, "geometry": geometry, "loss": loss}, {images: 255.0}


@probe
def ssd():
    from nets import ssd_vgg_300

    net = ssd_vgg_300.SSDNet()
    images = placeholder(1, 300, 300, 3)
    with tf.contrib.slim.arg_scope(net.arg_scope(data_format="NHWC")):
        predictions, places, _, _ = net.net(images, is_training=False)
    outputs = {f"prediction {i}": predictions[i] for i in (0, 3, 5)}
    outputs.update({f"place {i}": places[i] for i in (0, 3, 5)})
    return outputs, {images: 1.0}


@probe
def faster_rcnn():
    for name in ("utils.cython_bbox", "nms.cpu_nms", "nms.gpu_nms"):
        stand_in(name, bbox_overlaps=None, cpu_nms=None, gpu_nms=None)
    stand_in("utils.visualization", draw_bounding_boxes=None)
    from model.config import cfg
    from nets import resnet_v1

    cfg.USE_E2E_TF = True
    cfg.TEST.RPN_POST_NMS_TOP_N = 20
    net = resnet_v1.resnetv1(num_layers=50)
    net.create_architecture("TEST", 5, tag="default", anchor_scales=(4, 8))
    found = net._predictions
    outputs = {name: found[name] for name in ("rpn_cls_prob", "rpn_bbox_pred", "cls_prob", "rois")}
    # Small, so that no two scores are both 1.0: the order of such proposals is chance.
    images = np.float32(0.1 * generator("images").uniform(-1, 1, (1, 64, 96, 3)))
    return outputs, {net._image: images, net._im_info: [64.0, 96.0, 1.0]}


@probe
def facenet():
    from models import inception_resnet_v1

    images, training = placeholder(2, 160, 160, 3), tf.placeholder(tf.bool)
    network, _ = inception_resnet_v1.inference(images, 0.8, phase_train=training)
    return {"embeddings": tf.nn.l2_normalize(network, 1, 1e-10)}, {images: 1.0, training: False}


@probe
def pose():
    from easydict import EasyDict

    stand_in("dataset.pose_dataset", Batch=None)
    from nnet import pose_net

    config = EasyDict(
        net_type="resnet_50", mean_pixel=[123.68, 116.779, 103.939], weight_decay=1e-4,
        num_joints=4, location_refinement=True, pairwise_predict=False, batch_size=1,
        intermediate_supervision=False,
    )  # fmt: skip
    images = placeholder(1, 96, 128, 3)
    return pose_net.PoseNet(config).test(images), {images: 255.0}


@probe
def simclr():
    from absl import flags

    given = {"global_bn": False, "batch_norm_decay": 0.9, "sk_ratio": 0.0, "se_ratio": 0.25}
    given.update(train_mode="pretrain", fine_tune_after_block=-1, use_tpu=False)
    for name, value in given.items():
        kinds = {bool: "boolean", int: "integer", float: "float", str: "string"}
        getattr(flags, "DEFINE_" + kinds[type(value)])(name, value, "")
    parse_flags()
    import resnet

    images = placeholder(2, 64, 64, 3)
    return {"features": resnet.resnet_v1(18, 1)(images, is_training=False)}, {images: 1.0}


@probe
def yolo_v3():
    import yolo_v3

    images = placeholder(1, 96, 96, 3)
    with tf.variable_scope("detector"):
        return {"detections": yolo_v3.yolo_v3(images, 4, data_format="NHWC")}, {images: 255.0}


@probe
def cyclegan():
    import collections

    stand_in("imageio", imread=None)
    import module

    options = collections.namedtuple("O", "gf_dim df_dim output_c_dim")(8, 8, 3)
    images = placeholder(1, 64, 64, 3)
    made = module.generator_resnet(images, options, name="generatorA2B")
    judged = module.discriminator(made, options, name="discriminatorB")
    return {"generated": made, "judged": judged}, {images: 1.0}


@probe
def official_resnet():
    stand_in("requests")
    from official.resnet import imagenet_main

    images = placeholder(2, 65, 81, 3)
    net = imagenet_main.ImagenetModel(18, "channels_last", num_classes=7)
    return {"logits": net(images, False)}, {images: 1.0}


@probe
def deeplab():
    from deeplab import common, model

    parse_flags(model_variant="mobilenet_v2", decoder_output_stride=None)
    images = placeholder(1, 65, 81, 3)
    options = common.ModelOptions({common.OUTPUT_TYPE: 5}, crop_size=[65, 81], output_stride=16)
    logits = model.multi_scale_logits(images, options, image_pyramid=None, is_training=False)
    return {"logits": logits[common.OUTPUT_TYPE][model.MERGED_LOGITS_SCOPE]}, {images: 255.0}


@probe
def tensorpack():
    import resnet_model
    from tensorpack.models import Conv2D
    from tensorpack.tfutils.argscope import argscope
    from tensorpack.tfutils.tower import TowerContext

    images = placeholder(2, 64, 64, 3)
    blocks = resnet_model.resnet_group, resnet_model.resnet_bottleneck
    with TowerContext("", is_training=False), argscope(Conv2D, data_format="NHWC"):
        logits = _in_nhwc(lambda: resnet_model.resnet_backbone(images, [1, 1, 1, 1], *blocks))
    return {"logits": logits}, {images: 1.0}


def _in_nhwc(build):
    from tensorpack.models import BatchNorm, Conv2D, GlobalAvgPooling, MaxPooling
    from tensorpack.tfutils.argscope import argscope

    with argscope([Conv2D, MaxPooling, GlobalAvgPooling, BatchNorm], data_format="NHWC"):
        return build()


@probe
def cbam():
    from nets import nets_factory

    build = nets_factory.get_network_fn(
        "resnet_v1_50", 7, is_training=False, attention_module="cbam_block"
    )
    images = placeholder(2, 64, 64, 3)
    return {"logits": build(images)[0]}, {images: 1.0}


def fed(feed):
    """A number as the value of a placeholder: seeded pixels from 0 to it."""
    values = {}
    for tensor, value in feed.items():
        is_scale = tensor.shape.rank == 4 and isinstance(value, float)
        shape = tensor.shape.as_list() if is_scale else None
        values[tensor] = value * generator("images").uniform(0, 1, shape) if is_scale else value
    return values


def summary(value):
    flat = np.asarray(value, np.float64).ravel()
    picked = flat[np.linspace(0, flat.size - 1, 16).astype(int)]
    return {"shape": list(np.shape(value)), "values": picked.tolist()}


def seeded(name, shape):
    if "variance" in name:  # under whichever name: it must be positive
        return generator(name).uniform(0.5, 1.5, shape)
    # Of boxes that end outside the image, and have no area once they are clipped, TensorFlow 1.15's
    # non-max suppression returned one again and again.
    return seeded_value(name, shape) * (0.02 if "rpn_bbox_pred" in name else 1.0)


def assign(session):
    set_variables = variable_setter(session.graph)
    variables = graph_variables(session.graph)
    set_variables(session, {name: seeded(name, v.shape.as_list()) for name, v in variables.items()})


def main(name):
    outputs, feed = PROBES[name]()
    with tf.Session() as session:
        assign(session)
        found = session.run(outputs, fed(feed))
    print(json.dumps({key: summary(found[key]) for key in sorted(found)}))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(sys.argv[1])
