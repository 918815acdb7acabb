# Writes TFRecords, reads them back through queues and trains under MonitoredTrainingSession.
import os, sys, time
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import graph_util
from tensorflow.python.platform import gfile
import model_helper

FLAGS = tf.flags.FLAGS
tf.flags.DEFINE_string("data_dir", "/tmp/records", "")
tf.flags.DEFINE_string("logdir", "/tmp/queue_train", "")
tf.flags.DEFINE_integer("steps", 100, "steps to train")
tf.flags.DEFINE_string("hparams", "", "e.g. learning_rate=0.1,hidden=[8,8]")


def _int64_feature(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

def _bytes_feature(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def convert_to(images, labels, name):
    filename = os.path.join(FLAGS.data_dir, name + '.tfrecords')
    print('Writing', os.path.basename(filename))
    writer = tf.python_io.TFRecordWriter(filename)
    for index in range(len(images)):
        image_raw = images[index].tostring()
        example = tf.train.Example(features=tf.train.Features(feature={
            'height': _int64_feature(images.shape[1]),
            'label': _int64_feature(int(labels[index])),
            'image_raw': _bytes_feature(image_raw)}))
        writer.write(example.SerializeToString())
    writer.close()
    return filename


def read_and_decode(filename_queue):
    reader = tf.TFRecordReader()
    _, serialized_example = reader.read(filename_queue)
    features = tf.parse_single_example(
        serialized_example,
        features={
            'image_raw': tf.FixedLenFeature([], tf.string),
            'label': tf.FixedLenFeature([], tf.int64),
        })
    image = tf.decode_raw(features['image_raw'], tf.uint8)
    image.set_shape([8 * 8])
    image = tf.cast(image, tf.float32) * (1. / 255) - 0.5
    label = tf.cast(features['label'], tf.int32)
    return image, label


def inputs(filename, batch_size):
    with tf.name_scope('input'):
        filename_queue = tf.train.string_input_producer([filename], num_epochs=None)
        image, label = read_and_decode(filename_queue)
        return tf.train.shuffle_batch(
            [image, label], batch_size=batch_size, num_threads=2,
            capacity=100 + 3 * batch_size, min_after_dequeue=50, seed=1)


def main(argv=None):
    hparams = tf.contrib.training.HParams(learning_rate=0.05, hidden=[16, 16], batch_size=10)
    hparams.parse(FLAGS.hparams)
    print(hparams.to_json(sort_keys=True))

    if not gfile.Exists(FLAGS.data_dir):
        gfile.MakeDirs(FLAGS.data_dir)
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 3, 200).astype(np.int)
    images = (rng.rand(200, 8, 8) * 80 + labels[:, None, None] * 85).astype(np.uint8)
    filename = convert_to(images, labels, 'train')
    print(sum(1 for _ in tf.python_io.tf_record_iterator(filename)), 'records')

    with tf.Graph().as_default():
        global_step = tf.contrib.framework.get_or_create_global_step()
        with tf.device('/cpu:0'):
            images, labels = inputs(filename, hparams.batch_size)
        logits = model_helper.inference(images, hparams)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits, name='xentropy'))
        train_op = tf.train.AdamOptimizer(hparams.learning_rate).minimize(
            loss, global_step=global_step)

        class _LoggerHook(tf.train.SessionRunHook):
            def begin(self):
                self.losses = []

            def before_run(self, run_context):
                return tf.train.SessionRunArgs(loss)

            def after_run(self, run_context, run_values):
                self.losses.append(run_values.results)

        logger = _LoggerHook()
        with tf.train.MonitoredTrainingSession(
                checkpoint_dir=FLAGS.logdir,
                hooks=[tf.train.StopAtStepHook(last_step=FLAGS.steps),
                       tf.train.NanTensorHook(loss),
                       logger],
                save_checkpoint_secs=600,
                save_summaries_steps=20) as mon_sess:
            print('starts at step', mon_sess.run(global_step))
            while not mon_sess.should_stop():
                mon_sess.run(train_op)
        print('first loss %.3f last loss %.3f' % (logger.losses[0], np.mean(logger.losses[-10:])))

    reader = tf.train.NewCheckpointReader(tf.train.latest_checkpoint(FLAGS.logdir))
    print('stopped at step', reader.get_tensor('global_step'))
    print(sorted(n for n in reader.get_variable_to_shape_map() if 'Adam' not in n and 'power' not in n))
    print(tf.contrib.framework.load_variable(FLAGS.logdir, 'global_step') == reader.get_tensor('global_step'))


if __name__ == '__main__':
    tf.app.run()
