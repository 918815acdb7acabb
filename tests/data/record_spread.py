"""How far TensorFlow 1.15's own training moves when its initial weights change in their last bit.

Runs under TensorFlow 1.15 (Python 3.7), beside the `traj.npz` of a checkpoint made by it::

    python tests/data/record_spread.py tests/data/slim_v1 v1
    python tests/data/record_spread.py tests/data/slim_v2 v2

and writes `spread.npz` there: `losses` [13, 5], the float64 total loss before each of the five
steps of `traj.npz`; the first row from its weights as they are, the others from weights times
1 + 1e-15 x normal noise. One thread, so that sums are taken in one order.
"""

import sys

import numpy as np
import tensorflow as tf
from tensorflow.contrib import slim
from tensorflow.contrib.slim.nets import resnet_utils, resnet_v1, resnet_v2

NETS = {"v1": (resnet_v1, resnet_v1.resnet_v1), "v2": (resnet_v2, resnet_v2.resnet_v2)}
STAGES = ((4, 3, 2), (8, 4, 2), (16, 6, 2), (32, 3, 1))  # depth_bottleneck, units, stride
SEEDS = 13


def block(module, number, depth, units, stride):
    strides = [1] * (units - 1) + [stride]
    rows = [{"depth": 4 * depth, "depth_bottleneck": depth, "stride": s} for s in strides]
    return resnet_utils.Block(f"block{number}", module.bottleneck, rows)


def training(version, images, labels):
    """The step, and the loss with a cross entropy that `tf.losses` does not round to float32."""
    module, build = NETS[version]
    blocks = [block(module, i, *stage) for i, stage in enumerate(STAGES, 1)]
    scope = resnet_utils.resnet_arg_scope(weight_decay=1e-4, batch_norm_decay=0.9)
    with slim.arg_scope(scope), slim.arg_scope([slim.batch_norm], fused=False):
        net, _ = build(
            images, blocks, 10, is_training=True, global_pool=True, scope=f"resnet_{version}_50"
        )
    logits = tf.squeeze(net, [1, 2])
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    exact = tf.reduce_mean(each) + tf.losses.get_regularization_loss()
    optimizer = tf.train.MomentumOptimizer(0.01, 0.9)
    gradients = optimizer.compute_gradients(tf.losses.get_total_loss())
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        return exact, optimizer.apply_gradients(gradients)


def main(folder, version):
    record = np.load(folder + "/traj.npz")
    initial = {k[5:]: record[k].astype(np.float64) for k in record.files if k.startswith("init|")}
    images = tf.placeholder(tf.float64, [None, 32, 32, 3])
    labels = tf.placeholder(tf.int64, [None])
    exact, step = training(version, images, labels)
    variables = {v.op.name: v for v in slim.get_model_variables()}
    batches = list(zip(record["bx"], record["by"]))  # noqa: B905 (Python 3.7)
    losses = np.zeros((SEEDS, len(batches)))
    one_thread = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf.Session(config=one_thread) as session:
        for seed in range(SEEDS):
            session.run(tf.global_variables_initializer())
            noise = np.random.RandomState(seed)
            for name, value in initial.items():
                scale = 1 + (seed > 0) * 1e-15 * noise.standard_normal(value.shape)
                variables[name].load(value * scale, session)
            for i, (x, y) in enumerate(batches):
                losses[seed, i], _ = session.run([exact, step], {images: x, labels: y})
    np.savez(folder + "/spread.npz", losses=losses)


if __name__ == "__main__":
    main(*sys.argv[1:])
