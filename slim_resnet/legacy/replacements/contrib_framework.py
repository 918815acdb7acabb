"""`tf.contrib.framework`'s readers of checkpoints, whose parameters have other names today."""

from __future__ import annotations

from slim_resnet.compat import tf
from slim_resnet.legacy.replacements.keywords import renamed

init_from_checkpoint = renamed(tf.train.init_from_checkpoint, checkpoint_dir="ckpt_dir_or_file")
list_variables = renamed(tf.train.list_variables, checkpoint_dir="ckpt_dir_or_file")
load_checkpoint = renamed(tf.train.load_checkpoint, filepattern="ckpt_dir_or_file")
load_variable = renamed(tf.train.load_variable, checkpoint_dir="ckpt_dir_or_file")
