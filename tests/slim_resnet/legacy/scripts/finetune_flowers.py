"""Fine-tunes a ResNet-50 on the flowers images with TF-Slim.

    python finetune_flowers.py --checkpoint_path=resnet_v1_50.ckpt --train_dir=/tmp/train
"""
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os
import sys
import time

import numpy as np
import tensorflow as tf
from tensorflow.contrib import slim
from tensorflow.contrib.slim.nets import resnet_v1
from tensorflow.python.platform import tf_logging as logging

tf.app.flags.DEFINE_string('train_dir', '/tmp/tfmodel/', 'Where checkpoints and event logs go.')
tf.app.flags.DEFINE_string('checkpoint_path', None, 'The checkpoint from which to fine-tune.')
tf.app.flags.DEFINE_string('checkpoint_exclude_scopes', 'resnet_v1_50/logits',
                           'Comma-separated list of scopes of variables to exclude.')
tf.app.flags.DEFINE_string('trainable_scopes', None,
                           'Comma-separated list of scopes to train. By default all.')
tf.app.flags.DEFINE_string('log_dir', None, 'not used any more')
tf.app.flags.DEFINE_integer('num_classes', 5, 'Number of classes.')
tf.app.flags.DEFINE_integer('batch_size', 8, 'The number of samples in each batch.')
tf.app.flags.DEFINE_integer('image_size', 64, 'Train image size')
tf.app.flags.DEFINE_integer('max_number_of_steps', 1000, 'The maximum number of training steps.')
tf.app.flags.DEFINE_float('learning_rate', 0.01, 'Initial learning rate.')
tf.app.flags.DEFINE_float('weight_decay', 0.00004, 'The weight decay on the model weights.')
tf.app.flags.DEFINE_boolean('ignore_missing_vars', False, '')

FLAGS = tf.app.flags.FLAGS


def _get_images():
  # stands for the TFRecords of the flowers data set
  rng = np.random.RandomState(0)
  labels = rng.randint(0, FLAGS.num_classes, 40).astype(np.int64)
  images = rng.rand(40, FLAGS.image_size, FLAGS.image_size, 3).astype(np.float32)
  images += labels[:, None, None, None] / 5.
  image, label = tf.train.slice_input_producer(
      [tf.constant(images), tf.constant(labels)], shuffle=True, seed=3)
  return tf.train.batch([image, label], batch_size=FLAGS.batch_size,
                        num_threads=1, capacity=5 * FLAGS.batch_size)


def _get_init_fn():
  if FLAGS.checkpoint_path is None:
    return None

  # Warn the user if a checkpoint exists in the train_dir. Then we'll be
  # ignoring the checkpoint anyway.
  if tf.train.latest_checkpoint(FLAGS.train_dir):
    tf.logging.info(
        'Ignoring --checkpoint_path because a checkpoint already exists in %s'
        % FLAGS.train_dir)
    return None

  exclusions = []
  if FLAGS.checkpoint_exclude_scopes:
    exclusions = [scope.strip()
                  for scope in FLAGS.checkpoint_exclude_scopes.split(',')]

  variables_to_restore = []
  for var in slim.get_model_variables():
    excluded = False
    for exclusion in exclusions:
      if var.op.name.startswith(exclusion):
        excluded = True
        break
    if not excluded:
      variables_to_restore.append(var)

  if tf.gfile.IsDirectory(FLAGS.checkpoint_path):
    checkpoint_path = tf.train.latest_checkpoint(FLAGS.checkpoint_path)
  else:
    checkpoint_path = FLAGS.checkpoint_path

  tf.logging.info('Fine-tuning from %s, %d of %d variables' % (
      os.path.basename(checkpoint_path), len(variables_to_restore), len(slim.get_model_variables())))

  return slim.assign_from_checkpoint_fn(
      checkpoint_path,
      variables_to_restore,
      ignore_missing_vars=FLAGS.ignore_missing_vars)


def _get_variables_to_train():
  if FLAGS.trainable_scopes is None:
    return tf.trainable_variables()
  else:
    scopes = [scope.strip() for scope in FLAGS.trainable_scopes.split(',')]

  variables_to_train = []
  for scope in scopes:
    variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope)
    variables_to_train.extend(variables)
  return variables_to_train


def train_step_fn(session, *args, **kwargs):
  total_loss, should_stop = slim.learning.train_step(session, *args, **kwargs)
  train_step_fn.losses.append(total_loss)
  return [total_loss, should_stop]
train_step_fn.losses = []


def main(_):
  tf.logging.set_verbosity(tf.logging.INFO)
  if not tf.gfile.Exists(FLAGS.train_dir):
    tf.gfile.MakeDirs(FLAGS.train_dir)
  with tf.Graph().as_default():
    tf.set_random_seed(1234)
    global_step = slim.create_global_step()
    images, labels = _get_images()

    with slim.arg_scope(resnet_v1.resnet_arg_scope(weight_decay=FLAGS.weight_decay)):
      logits, end_points = resnet_v1.resnet_v1_50(
          images, num_classes=FLAGS.num_classes, is_training=True)
    logits = tf.squeeze(logits, [1, 2])

    one_hot_labels = slim.one_hot_encoding(labels, FLAGS.num_classes)
    slim.losses.softmax_cross_entropy(logits, one_hot_labels)
    total_loss = slim.losses.get_total_loss()

    tf.summary.scalar('losses/Total_Loss', total_loss)
    for end_point in end_points:
      x = end_points[end_point]
      tf.summary.scalar('sparsity/' + end_point, tf.nn.zero_fraction(x))
    for variable in slim.get_model_variables():
      tf.summary.histogram(variable.op.name, variable)

    learning_rate = tf.train.exponential_decay(
        FLAGS.learning_rate, global_step, 20, 0.94, staircase=True)
    tf.summary.scalar('learning_rate', learning_rate)
    optimizer = tf.train.MomentumOptimizer(learning_rate, momentum=0.9)
    train_op = slim.learning.create_train_op(
        total_loss, optimizer, variables_to_train=_get_variables_to_train())

    start = time.time()
    final_loss = slim.learning.train(
        train_op,
        logdir=FLAGS.train_dir,
        train_step_fn=train_step_fn,
        init_fn=_get_init_fn(),
        number_of_steps=FLAGS.max_number_of_steps,
        log_every_n_steps=1,
        save_summaries_secs=3600,
        save_interval_secs=3600)
    logging.info('Took %.1f sec', time.time() - start)
    print('Losses %s' % ' '.join('%.3f' % l for l in train_step_fn.losses))
    print('Finished training. Last batch loss %.4f' % final_loss)


if __name__ == '__main__':
  tf.app.run()
