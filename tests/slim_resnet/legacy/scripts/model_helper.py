import tensorflow as tf
import tensorflow.contrib.layers as layers


def inference(images, hparams):
    net = images
    for i, units in enumerate(hparams.hidden):
        net = layers.fully_connected(net, units, scope='hidden%d' % (i + 1))
    return layers.linear(net, 3, scope='softmax_linear')
