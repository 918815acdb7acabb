"""A network as of 2018: recorded by tools/record_legacy.py, rebuilt by tools/check_legacy.py."""
import tensorflow as tf

slim = tf.contrib.slim


def arg_scope(weight_decay=1e-4):
    with slim.arg_scope([slim.conv2d, slim.separable_conv2d, slim.conv2d_transpose],
                        activation_fn=tf.nn.relu, normalizer_fn=slim.batch_norm,
                        weights_regularizer=tf.contrib.layers.l2_regularizer(weight_decay)) as scope:
        return scope


def squeeze_and_excite(net, channels):
    gates = tf.reduce_mean(net, [1, 2], keep_dims=True)
    gates = slim.conv2d(gates, channels // 2, 1, normalizer_fn=None, scope='squeeze')
    gates = slim.conv2d(gates, channels, 1, activation_fn=tf.sigmoid, normalizer_fn=None,
                        scope='excite')
    return net * gates


def net(images, num_classes=5, is_training=False, keep_prob=1.0):
    end_points = {}
    with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training):
        net = slim.conv2d(images, 8, 3, stride=2, scope='conv1')
        net = slim.separable_conv2d(net, 12, 3, 1, stride=2, scope='separable')
        end_points['separable'] = net
        net = slim.conv2d_transpose(net, 8, 3, stride=2, scope='transposed')
        end_points['transposed'] = net
        with tf.variable_scope('se'):
            net = squeeze_and_excite(net, 8)
        net = tf.image.resize_bilinear(net, [6, 6], align_corners=True)
        net = slim.max_pool2d(net, 2, scope='pool')
        net = slim.dropout(net, keep_prob, scope='dropout')
        net = slim.flatten(net)
        net = slim.fully_connected(net, num_classes, activation_fn=None, scope='logits')
    end_points['predictions'] = slim.softmax(net)
    return net, end_points
