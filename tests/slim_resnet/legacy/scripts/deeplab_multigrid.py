import argparse
import os
import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim
from tensorflow.contrib.slim.nets import resnet_utils
from tensorflow.contrib.layers.python.layers import utils
from tensorflow.contrib.framework import arg_scope, add_arg_scope
from tensorflow.python.ops import math_ops

_BATCH_NORM_DECAY = 0.9997


@add_arg_scope
def bottleneck(inputs,
               depth,
               depth_bottleneck,
               stride,
               unit_rate=1,
               rate=1,
               outputs_collections=None,
               scope=None):
  """Bottleneck residual unit variant with BN after convolutions, and a rate of its own."""
  with tf.variable_scope(scope, 'bottleneck_v1', [inputs]) as sc:
    depth_in = utils.last_dimension(inputs.get_shape(), min_rank=4)
    if depth == depth_in:
      shortcut = resnet_utils.subsample(inputs, stride, 'shortcut')
    else:
      shortcut = slim.conv2d(inputs, depth, [1, 1], stride=stride,
                             activation_fn=None, scope='shortcut')

    residual = slim.conv2d(inputs, depth_bottleneck, [1, 1], stride=1,
                           scope='conv1')
    residual = resnet_utils.conv2d_same(residual, depth_bottleneck, 3, stride,
                                        rate=rate*unit_rate, scope='conv2')
    residual = slim.conv2d(residual, depth, [1, 1], stride=1,
                           activation_fn=None, scope='conv3')
    output = tf.nn.relu(shortcut + residual)
    return utils.collect_named_outputs(outputs_collections, sc.name, output)


def root_block_fn_for_beta_variant(net, width):
  net = resnet_utils.conv2d_same(net, width, 3, stride=2, scope='conv1_1')
  net = resnet_utils.conv2d_same(net, width, 3, stride=1, scope='conv1_2')
  net = resnet_utils.conv2d_same(net, width * 2, 3, stride=1, scope='conv1_3')
  return net


def resnet_v1_beta_block(scope, base_depth, num_units, stride, multi_grid=None):
  if multi_grid is None:
    multi_grid = [1] * num_units
  return resnet_utils.Block(scope, bottleneck, [{
      'depth': base_depth * 4,
      'depth_bottleneck': base_depth,
      'stride': 1,
      'unit_rate': multi_grid[i]
  } for i in range(num_units - 1)] + [{
      'depth': base_depth * 4,
      'depth_bottleneck': base_depth,
      'stride': stride,
      'unit_rate': multi_grid[num_units - 1]
  }])


def resnet_beta(inputs, width, output_stride, multi_grid, reuse=None, scope='resnet_v1_50'):
  blocks = [
      resnet_v1_beta_block('block1', base_depth=width, num_units=3, stride=2),
      resnet_v1_beta_block('block2', base_depth=width * 2, num_units=4, stride=2),
      resnet_v1_beta_block('block3', base_depth=width * 4, num_units=6, stride=2),
      resnet_v1_beta_block('block4', base_depth=width * 8, num_units=3, stride=1,
                           multi_grid=multi_grid),
  ]
  with tf.variable_scope(scope, 'resnet_v1', [inputs], reuse=reuse) as sc:
    end_points_collection = sc.original_name_scope + '_end_points'
    with arg_scope([slim.conv2d, bottleneck, resnet_utils.stack_blocks_dense],
                   outputs_collections=end_points_collection):
      with arg_scope([slim.batch_norm], is_training=False):
        net = root_block_fn_for_beta_variant(inputs, width)
        net = slim.max_pool2d(net, 3, stride=2, padding='SAME', scope='pool1')
        net = resnet_utils.stack_blocks_dense(net, blocks, output_stride / 4)
        end_points = utils.convert_collection_to_dict(end_points_collection)
        return net, end_points


def atrous_spatial_pyramid_pooling(net, depth, reuse=None):
  with tf.variable_scope('aspp', reuse=reuse):
    feature_map_size = tf.shape(net)
    image_level_features = tf.reduce_mean(net, [1, 2], name='image_level_global_pool', keep_dims=True)
    image_level_features = slim.conv2d(image_level_features, depth, [1, 1], scope='image_level_conv_1x1')
    image_level_features = tf.image.resize_bilinear(
        image_level_features, (feature_map_size[1], feature_map_size[2]))
    at_pool1x1 = slim.conv2d(net, depth, [1, 1], scope='conv_1x1_0')
    at_pool3x3_1 = slim.conv2d(net, depth, [3, 3], rate=6, scope='conv_3x3_1')
    at_pool3x3_2 = slim.conv2d(net, depth, [3, 3], rate=12, scope='conv_3x3_2')
    at_pool3x3_3 = slim.conv2d(net, depth, [3, 3], rate=18, scope='conv_3x3_3')
    net = tf.concat((image_level_features, at_pool1x1, at_pool3x3_1,
                     at_pool3x3_2, at_pool3x3_3), axis=3)
    return slim.conv2d(net, depth, [1, 1], scope='conv_1x1_output')


def deeplab_v3(inputs, args):
  with arg_scope(resnet_utils.resnet_arg_scope(weight_decay=args.l2_regularizer,
                                               batch_norm_decay=_BATCH_NORM_DECAY)):
    net, end_points = resnet_beta(inputs - [123.15, 115.90, 103.06], args.width,
                                  args.output_stride, args.multi_grid)
    with tf.variable_scope('DeepLab_v3'):
      with arg_scope([slim.batch_norm], is_training=False):
        net = atrous_spatial_pyramid_pooling(net, args.width * 8)
      net = slim.conv2d(net, args.number_of_classes, [1, 1], activation_fn=None,
                        normalizer_fn=None, scope='logits')
      size = tf.shape(inputs)[1:3]
      net = tf.image.resize_bilinear(net, size, name='upsampled_logits')
  return net, end_points


parser = argparse.ArgumentParser()
envarg = parser.add_argument_group('Eval params')
envarg.add_argument('--model', type=str, default='./model', help='folder of the checkpoint')
envarg.add_argument('--output', type=str, default='./predictions.npy')
envarg.add_argument('--output_stride', type=int, default=16)
envarg.add_argument('--width', type=int, default=64)
envarg.add_argument('--crop_size', type=int, default=513)
envarg.add_argument('--number_of_classes', type=int, default=21)
envarg.add_argument('--l2_regularizer', type=float, default=0.0001)
envarg.add_argument('--multi_grid', type=int, nargs=3, default=[1, 2, 4])
args = parser.parse_args()

images = np.random.RandomState(1).randint(0, 256, (1, args.crop_size, args.crop_size, 3))
batch = tf.placeholder(tf.float32, [None, None, None, 3], name='images')
logits_tf, end_points = deeplab_v3(batch, args)
predictions_tf = tf.argmax(logits_tf, axis=3)
miou, update_op = tf.contrib.metrics.streaming_mean_iou(
    predictions_tf, predictions_tf, num_classes=args.number_of_classes)

config = tf.ConfigProto(allow_soft_placement=True)
config.gpu_options.allow_growth = True
with tf.Session(config=config) as sess:
  sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
  variables_to_restore = slim.get_variables_to_restore(exclude=['global_step'])
  saver = tf.train.Saver(variables_to_restore)
  checkpoint = tf.train.latest_checkpoint(args.model)
  if checkpoint:
    saver.restore(sess, checkpoint)
    print('Model checkpoint', os.path.basename(checkpoint), 'restored!')
  else:
    # no weights: random statistics, so that it is not all zero
    for v in slim.get_model_variables():
      if 'moving' in v.op.name or 'gamma' in v.op.name:
        v.load(np.random.RandomState(2).uniform(.5, 1.5, v.shape.as_list()).astype(np.float32), sess)
    saver.save(sess, os.path.join(args.model, 'model.ckpt'))
  logits, block4, _ = sess.run(
      [logits_tf, end_points['resnet_v1_50/block4'], update_op], {batch: images})
  print('variables', len(variables_to_restore))
  print('block4', block4.shape, 'logits', logits.shape, 'mean IoU', sess.run(miou))
  np.save(args.output, logits[:, ::4, ::4])
