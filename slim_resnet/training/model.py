"""The training graph: network, loss, optimizer and input, built in one place."""

from __future__ import annotations

from dataclasses import dataclass

from slim_resnet import graph as graph_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.compat import slim, tf
from slim_resnet.training import inputs
from slim_resnet.training.placement import ALONE, Placement
from slim_resnet.training.recipe import Recipe

CHECKS = ("the loss of this step", "the gradients of this step", "the statistics of this step")

_MOVING = ("moving_mean", "moving_variance")


@dataclass(frozen=True, eq=False)
class TrainingGraph:
    """What `build` made in the default graph.

    Attributes:
        images, labels: the batch of the step; both can be fed.
        end_points: the network's, by their names in `Arch.end_points`.
        variables: the network's, by their names in `Arch.variables`.
        step: int64, how many steps were done before this one.
        loss: what is minimised, weight decay included.
        cross_entropy: its first part, the mean over the batch.
        accuracy: of the batch, in training mode.
        learning_rate: of the step.
        gradients: (gradient, variable) pairs.
        updates: brings the moving statistics of the batch norms up to date, as a step does first.
        train_op: makes a step; it fails, and changes no variable that is trained, where the loss,
            a moving statistic or a gradient is not finite.
        hooks: those of the optimizer.
    """

    images: object
    labels: object
    end_points: dict
    variables: dict
    step: object
    loss: object
    cross_entropy: object
    accuracy: object
    learning_rate: object
    gradients: list
    updates: object
    train_op: object
    hooks: tuple


def build(arch: Arch, dataset, recipe: Recipe, placement: Placement = ALONE) -> TrainingGraph:
    """Builds everything that a training step needs in the default graph.

    Args:
        arch: the network; its number of classes is the dataset's.
        dataset: the training split, from `datasets.load`.
        recipe: how to train.
        placement: where the ops go, this worker's share of the images, what wraps the optimizer.

    Returns:
        A `TrainingGraph`.
    """
    tf.set_random_seed(recipe.seed)
    with tf.device(placement.device):
        made = _build(arch, dataset, recipe, placement)
        _summaries(made)
    return made


def _build(arch: Arch, dataset, recipe: Recipe, placement: Placement) -> TrainingGraph:
    global_step = tf.train.get_or_create_global_step()
    images, labels = _input(dataset, recipe, global_step, placement)
    layers = {} if _is_script(arch) else {"weight_decay": float(recipe.weight_decay)}
    net, end_points, updates = _clones(arch, images, recipe.clones, layers)
    logits = tf.reshape(net, [-1, arch.num_classes])
    cross_entropy, loss = _losses(arch, recipe, logits, labels)
    hits = tf.equal(tf.argmax(logits, 1), labels)
    step = tf.identity(global_step.read_value(), name="step")
    learning_rate = _learning_rate(recipe, step)
    optimizer, hooks = placement.wrap_optimizer(
        tf.train.MomentumOptimizer(learning_rate, recipe.momentum, use_nesterov=recipe.nesterov)
    )
    gradients = optimizer.compute_gradients(loss)
    if placement.synchronous and not placement.is_chief:
        updates = []
    updates = tf.group(updates)
    return TrainingGraph(
        images=images,
        labels=labels,
        end_points={name: end_points[f"{arch.name}/{name}"] for name in arch.end_points},
        variables=graph_lib.variables(arch),
        step=step,
        loss=loss,
        cross_entropy=cross_entropy,
        accuracy=tf.reduce_mean(tf.cast(hits, tf.float32)),
        learning_rate=learning_rate,
        gradients=gradients,
        updates=updates,
        train_op=_train_op(optimizer, gradients, loss, updates, step, recipe, placement),
        hooks=tuple(hooks),
    )


def _input(dataset, recipe: Recipe, global_step, placement: Placement):
    """The batch of the step; its iterator is initialised after the global step is restored."""
    batches = inputs.training_batches(dataset, recipe, global_step.read_value(), placement)
    iterator = tf.data.make_initializable_iterator(batches)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    images, labels = iterator.get_next()
    return tf.identity(images, name="images"), tf.identity(labels, name="labels")


def _clones(arch: Arch, images, count: int, layers: dict):
    """The network on each part of the batch; the first one's statistics are kept (model_deploy)."""
    parts = tf.split(images, count) if count > 1 else [images]
    made = []
    for part in parts:
        made.append(
            graph_lib.build(arch, part, is_training=True, reuse=bool(made) or None, **layers)
        )
        if len(made) == 1:
            updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    nets, end_points = zip(*made, strict=True)
    if count == 1:
        return nets[0], end_points[0], updates
    joined = {name: tf.concat([each[name] for each in end_points], 0) for name in end_points[0]}
    return tf.concat(nets, 0), joined, updates


def _is_script(arch: Arch) -> bool:
    """Whether weight decay is not in the layers: the CIFAR script adds it to the loss itself."""
    return arch.traits.weight_decay_in_loss


def _losses(arch: Arch, recipe: Recipe, logits, labels):
    """Mean cross entropy, and the total loss. Not of `tf.losses`, which round it to float32."""
    targets = tf.one_hot(labels, arch.num_classes, dtype=logits.dtype)
    smoothing = recipe.label_smoothing
    targets = targets * (1 - smoothing) + smoothing / arch.num_classes
    losses = tf.nn.softmax_cross_entropy_with_logits_v2(labels=targets, logits=logits)
    cross_entropy = tf.reduce_mean(losses)
    tf.losses.add_loss(cross_entropy)
    if _is_script(arch) and recipe.weight_decay:
        decay = tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
        tf.losses.add_loss(recipe.weight_decay * decay, tf.GraphKeys.REGULARIZATION_LOSSES)
    return cross_entropy, tf.losses.get_total_loss()


def _learning_rate(recipe: Recipe, step):
    """`Recipe.learning_rate_at`, as a tensor."""
    rates = [recipe.learning_rate * 0.1**i for i in range(len(recipe.boundaries) + 1)]
    # piecewise_constant changes after its boundary, not on it.
    before = [boundary - 1 for boundary in recipe.boundaries]
    rate = tf.train.piecewise_constant(step, before, rates) if before else tf.constant(rates[0])
    if recipe.warmup_steps:
        done = tf.cast(step + 1, tf.float32) / recipe.warmup_steps
        rate *= tf.minimum(1.0, done)
    return tf.identity(rate, name="learning_rate")


def _train_op(optimizer, gradients, loss, updates, step, recipe: Recipe, placement: Placement):
    """Checks first, so that a number that is not finite leaves the weights as they are.

    `step` is read before the global step counts on.
    """
    moving = [v for v in slim.get_model_variables() if v.op.name.endswith(_MOVING)]
    with tf.control_dependencies([updates]):
        statistics = [v.read_value() for v in moving]
    sums = (loss, _norm(gradient for gradient, _ in gradients), _norm(statistics))
    checks = [
        tf.debugging.check_numerics(value, message)
        for value, message in zip(sums, CHECKS, strict=True)
    ]
    with tf.control_dependencies([*checks, step]):
        # The gradients wait, not what applies them: of synchronous workers the chief applies
        # everybody's, at its own time.
        checked = [(tf.identity(gradient), variable) for gradient, variable in gradients]
    train_op = optimizer.apply_gradients(checked, tf.train.get_global_step())
    if recipe.ema is None or not placement.is_chief:
        return train_op
    averages = tf.train.ExponentialMovingAverage(recipe.ema)
    with tf.control_dependencies([train_op]):
        return averages.apply(tf.trainable_variables())


def _norm(tensors):
    return tf.linalg.global_norm(list(tensors))


def _summaries(made: TrainingGraph) -> None:
    for name in ("loss", "cross_entropy", "accuracy", "learning_rate"):
        tf.summary.scalar(f"training/{name}", getattr(made, name))
    for variable in slim.get_model_variables():
        if variable.op.name.endswith(_MOVING):
            tf.summary.histogram(f"statistics/{variable.op.name}", variable)
