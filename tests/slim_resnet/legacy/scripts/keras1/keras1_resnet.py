'''Small residual network in Keras 1 style, TensorFlow backend. '''
from __future__ import print_function
import sys
import numpy as np
import tensorflow as tf
from keras.models import Model, load_model
from keras.layers import Input, merge, Activation, Flatten, ZeroPadding2D
from keras.layers.convolutional import Convolution2D, AveragePooling2D
from keras.layers.core import Dense, Dropout
from keras.layers.normalization import BatchNormalization
from keras.layers.merge import add
from keras.regularizers import l2
from keras.optimizers import SGD
from keras.engine.topology import Layer
from keras import backend as K
from keras.utils import np_utils

nb_epoch = 20
nb_classes = 3


class Scale(Layer):
    def build(self, input_shape):
        self.gamma = self.add_weight(name='gamma', shape=(int(input_shape[-1]),), initializer='one')
        super(Scale, self).build(input_shape)

    def call(self, x, mask=None):
        return x * self.gamma


def conv_block(x, nb_filter, stride=1):
    y = Convolution2D(nb_filter, 3, 3, subsample=(stride, stride), border_mode='same',
                      init='he_normal', W_regularizer=l2(1e-4), dim_ordering='tf', bias=False)(x)
    y = BatchNormalization(mode=0, axis=-1)(y)
    y = Activation('relu')(y)
    y = Convolution2D(nb_filter=nb_filter, nb_row=3, nb_col=3, border_mode='same')(y)
    if stride > 1:
        x = Convolution2D(nb_filter, 1, 1, subsample=(stride, stride))(x)
    return merge([y, x], mode='sum')


inp = Input(shape=(16, 16, 3))
x = ZeroPadding2D((1, 1))(inp)
x = Convolution2D(8, 3, 3, activation='relu')(x)
x = conv_block(x, 8)
x = conv_block(x, 16, stride=2)
x = add([x, Scale()(x)])
x = merge([x, x], mode='concat', concat_axis=-1)
x = AveragePooling2D((8, 8), border_mode='valid')(x)
x = Dropout(p=0.1)(Flatten()(x))
out = Dense(output_dim=nb_classes, activation='softmax')(x)
model = Model(input=inp, output=out)
model.compile(loss='categorical_crossentropy', metrics=['accuracy'],
              optimizer=SGD(lr=0.002, decay=1e-6, momentum=0.9, nesterov=True))
print(' '.join('x'.join(str(d) for d in w.shape) for w in model.get_weights()))

Y = np_utils.to_categorical(np.arange(12) % nb_classes, nb_classes)
X = np.random.RandomState(0).rand(12, 16, 16, 3) + Y[:, None, None, :]
history = model.fit(X, Y, nb_epoch=nb_epoch, batch_size=4, verbose=0).history
print(history['loss'][-1] < history['loss'][0], sorted(history), isinstance(model, Model))
model.save('resnet.h5')
again = load_model('resnet.h5', custom_objects={'Scale': Scale})
print(np.array_equal(again.predict(X), model.predict(X)))
print(K.get_session().run(tf.reduce_sum(tf.ones([2, 2]))))
