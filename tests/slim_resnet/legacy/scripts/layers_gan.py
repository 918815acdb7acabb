# -*- coding: utf-8 -*-
# simple GAN on 2-d points, contrib.layers style
import os
import sys
import numpy as np
import tensorflow as tf
import tensorflow.contrib.layers as layers
from tensorflow.contrib.layers.python.layers import initializers, regularizers

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ["CUDA_VISIBLE_DEVICES"] = ""

mb_size = 32
Z_dim = 4
iters = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
np.random.seed(0)


def lrelu(x, leak=0.2, name="lrelu"):
    with tf.variable_scope(name):
        f1 = 0.5 * (1 + leak)
        f2 = 0.5 * (1 - leak)
        return f1 * x + f2 * abs(x)


def generator(z, is_training, reuse=False):
    with tf.variable_scope("generator", reuse=reuse):
        net = layers.fully_connected(
            z, 16, activation_fn=lrelu, normalizer_fn=layers.batch_norm,
            normalizer_params={'is_training': is_training, 'decay': .9, 'updates_collections': None},
            weights_initializer=tf.contrib.layers.xavier_initializer())
        net = layers.fully_connected(net, 2, activation_fn=None, scope='out')
        return net


def discriminator(x, reuse=False):
    with tf.variable_scope("discriminator") as scope:
        if reuse:
            scope.reuse_variables()
        net = tf.expand_dims(tf.expand_dims(x, 1), 1)
        net = layers.conv2d(net, 16, 1, activation_fn=lrelu,
                            weights_initializer=initializers.variance_scaling_initializer(factor=2.0),
                            weights_regularizer=regularizers.l2_regularizer(1e-3))
        net = layers.flatten(net)
        net = layers.dropout(net, 0.9)
        w = tf.get_variable('w', [16, 1], initializer=tf.contrib.layers.variance_scaling_initializer())
        b = tf.Variable(tf.constant(0.0, shape=[1]), name='b')
        return tf.matmul(net, w) + b


X = tf.placeholder(tf.float32, [None, 2])
Z = tf.placeholder(tf.float32, [None, Z_dim])
train_phase = tf.placeholder_with_default(True, [])

G_sample = generator(Z, train_phase)
D_real = discriminator(X)
D_fake = discriminator(G_sample, reuse=True)

d_loss_real = tf.contrib.losses.sigmoid_cross_entropy(D_real, tf.ones_like(D_real))
d_loss_fake = tf.contrib.losses.sigmoid_cross_entropy(D_fake, tf.zeros_like(D_fake))
reg = tf.contrib.losses.get_regularization_losses()
D_loss = d_loss_real + d_loss_fake + tf.add_n(reg)
G_loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(
    logits=D_fake, labels=tf.ones_like(D_fake)))

t_vars = tf.trainable_variables()
theta_D = [v for v in t_vars if v.name.startswith('discriminator')]
theta_G = [v for v in t_vars if 'generator/' in v.name]
print(len(theta_D), 'of the discriminator,', len(theta_G), 'of the generator,', len(reg), 'regularized')

D_solver = tf.train.AdamOptimizer(1e-3, beta1=0.5).minimize(D_loss, var_list=theta_D)
G_solver = layers.optimize_loss(G_loss, tf.train.get_or_create_global_step(), learning_rate=1e-3,
                                optimizer='Adam', variables=theta_G)

def sample_Z(m, n):
    return np.random.uniform(-1., 1., size=[m, n]).astype(np.float)

init_op = tf.group(tf.global_variables_initializer(), tf.local_variables_initializer())
sess = tf.InteractiveSession()
init_op.run()
history = np.zeros([iters, 2], dtype=np.float)
done = np.zeros([iters], dtype=np.bool)
for it in xrange(iters) if sys.version_info[0] < 3 else range(iters):
    X_mb = np.random.randn(mb_size, 2).astype(np.float32) + [2.0, -1.0]
    _, D_loss_curr = sess.run([D_solver, D_loss], feed_dict={X: X_mb, Z: sample_Z(mb_size, Z_dim)})
    G_loss_curr = sess.run(G_solver, feed_dict={Z: sample_Z(mb_size, Z_dim)})
    history[it] = D_loss_curr, G_loss_curr
    done[it] = True

samples = G_sample.eval({Z: sample_Z(200, Z_dim), train_phase: False})
print('Iter: {}; all done: {}; finite: {}'.format(iters, np.alltrue(done), np.isfinite(history).all()))
print('samples', samples.shape, isinstance(done[0], np.bool_), np.product(samples.shape))
