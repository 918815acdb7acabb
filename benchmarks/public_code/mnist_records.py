"""Writes seeded images as slim's MNIST records: mnist_records.py FOLDER. Runs under both."""

import os
import sys

import numpy as np
import tensorflow as tf


def feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def main(folder):
    rng = np.random.RandomState(3)
    pixels = tf.placeholder(tf.uint8, [28, 28, 1])
    encoded = tf.image.encode_png(pixels)
    with tf.Session() as session:
        for split in ("train", "test"):
            path = os.path.join(folder, f"mnist_{split}.tfrecord")
            if os.path.exists(path):
                continue
            with tf.python_io.TFRecordWriter(path) as writer:
                for _ in range(80):
                    label = rng.randint(10)
                    image = rng.randint(0, 100, (28, 28, 1)) + 15 * label
                    values = {
                        "image/encoded": session.run(encoded, {pixels: image.astype(np.uint8)}),
                        "image/format": b"png",
                        "image/class/label": label,
                        "image/height": 28,
                        "image/width": 28,
                    }
                    features = {key: feature(value) for key, value in values.items()}
                    example = tf.train.Example(features=tf.train.Features(feature=features))
                    writer.write(example.SerializeToString())


if __name__ == "__main__":
    main(sys.argv[1])
