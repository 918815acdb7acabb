"""training_graph.py FOLDER [make]: goes on from a training's graph, with an operation of contrib."""
import sys

import numpy as np
import tensorflow as tf

slim = tf.contrib.slim
FOLDER = sys.argv[1]
IMAGES = np.linspace(-1, 1, 2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3)


def make():
    tf.set_random_seed(1)
    images = tf.placeholder(tf.float32, [None, 8, 8, 3], name='images')
    # Fine-tuning with frozen statistics: its gradients' shapes are others today.
    frozen = {'is_training': False, 'fused': True}
    net = slim.conv2d(images, 4, 3, normalizer_fn=slim.batch_norm, normalizer_params=frozen)
    logits = slim.fully_connected(slim.flatten(net), 3, activation_fn=None, scope='logits')
    loss = tf.losses.sparse_softmax_cross_entropy([0, 2], logits)
    step = tf.train.get_or_create_global_step()
    update = tf.train.MomentumOptimizer(0.01, 0.9).minimize(loss, global_step=step)
    tf.add_to_collection('update', update)
    warped = tf.contrib.resampler.resampler(images, tf.ones([2, 4, 2]))
    tf.add_to_collection('shown', tf.reduce_mean(warped, name='shown'))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(update, {images: IMAGES})
        tf.train.Saver().save(session, FOLDER + '/model.ckpt', step)


if sys.argv[2:] == ['make']:
    make()
    tf.reset_default_graph()
saver = tf.train.import_meta_graph(FOLDER + '/model.ckpt-1.meta')
with tf.Session() as session:
    saver.restore(session, FOLDER + '/model.ckpt-1')
    for _ in range(3):
        session.run(tf.get_collection('update')[0], {'images:0': IMAGES})
    print(session.run('logits/BiasAdd:0', {'images:0': IMAGES}).tolist())
    print(session.run(tf.train.get_global_step()))
