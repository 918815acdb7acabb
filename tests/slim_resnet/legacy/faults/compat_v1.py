"""A script of 2019: what Keras 3 has no more, reached through tensorflow.compat.v1."""
import numpy as np
import tensorflow.compat.v1 as tf


class Doubled(tf.layers.Conv2D):

    def call(self, inputs):
        return 2.0 * self._convolution_op(inputs, self.kernel)


tf.disable_v2_behavior()
images = np.linspace(-1, 1, 5 * 5 * 2, dtype=np.float32).reshape(1, 5, 5, 2)
filled = tf.constant_initializer(np.linspace(-1, 1, 3 * 3 * 2 * 3))
net = Doubled(3, 3, use_bias=False, kernel_initializer=filled)(tf.constant(images))
net = tf.layers.batch_normalization(net, training=True)
cell = tf.nn.rnn_cell.BasicLSTMCell(2)
with tf.variable_scope('rnn', initializer=tf.constant_initializer(0.5)):
    outputs, _ = tf.nn.dynamic_rnn(cell, tf.reshape(net, [1, 9, 3]), dtype=tf.float32)
dense = tf.keras.layers.Dense(2, kernel_initializer='ones')(outputs)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    print(np.round(session.run(dense), 4).tolist())
print([v.name for v in tf.trainable_variables()])
