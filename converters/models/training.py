"""Fine-tuning a converted model by slim's recipe: its weight decay, momentum and batch norm.

Weight decay: slim adds `weight_decay * sum(w**2) / 2` to the loss, for the weights of convolutions
and of the logits only, so that each gets the gradient `weight_decay * w`. Biases, betas and gammas
have none.

Momentum: `tf.train.MomentumOptimizer` and `torch.optim.SGD` (dampening 0) keep `m = momentum * m +
gradient` and subtract `lr * m`; `keras.optimizers.SGD` keeps `lr * m` instead. The three are the
same while the learning rate is constant; after a change of it Keras alone carries the old rate in
its velocity.

Batch norm: every framework normalises with the biased variance of the batch, but what enters the
moving variance differs. slim's fused batch norm (float32, its default) and PyTorch store the
unbiased one, n / (n - 1) times the biased one for n = batch * height * width values a channel, so
PyTorch goes on as slim did. Keras 3, and slim's batch norm with `fused=False`, store the biased
one, so Keras's moving variance ends (n - 1) / n times as large: next to nothing at 7x7 and batch
32, a quarter less at 1x1 and batch 4.
"""

from __future__ import annotations

from converters.models.naming import table
from slim_resnet.frameworks import require


def sgd_param_groups(net, weight_decay: float) -> list[dict]:
    """The parameters of a converted PyTorch module, with slim's decay on those that slim decays.

    `torch.optim.SGD` adds `weight_decay * w` to the gradient of `w`, which is the gradient of
    slim's `l2_regularizer(weight_decay)`: the same number goes here. On all parameters alike, as
    `SGD(net.parameters(), weight_decay=...)` has it, it would pull batch norms to zero, too::

        optimizer = torch.optim.SGD(sgd_param_groups(net, 1e-4), lr=0.01, momentum=0.9)

    Args:
        net: a `converters.models.torch_model.ResNet`.
        weight_decay: slim's, 1e-4 in its `resnet_arg_scope`.

    Returns:
        Two groups for an optimizer of `torch.optim`: the weights of convolutions and of the logits
        with `weight_decay`, all else with 0.
    """
    decayed = {row.torch for row in table(net.arch) if row.slim.endswith("/weights")}
    named = list(net.named_parameters())
    return [
        {"params": [p for name, p in named if name in decayed], "weight_decay": weight_decay},
        {"params": [p for name, p in named if name not in decayed], "weight_decay": 0.0},
    ]


def set_keras_weight_decay(model, weight_decay: float) -> None:
    """Gives a converted Keras model slim's weight decay, as regularizers of its kernels.

    They add to the loss what slim's do. The `weight_decay` of Keras's optimizers is another thing:
    it is decoupled from the gradient, so that momentum does not see it, and takes in batch norms
    and biases. Call this before `model.compile`; a saved model keeps it::

        set_keras_weight_decay(model, 1e-4)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)

    Args:
        model: from `to_keras`, or loaded from the `.keras` file that was made of it.
        weight_decay: slim's, 1e-4 in its `resnet_arg_scope`; it replaces an earlier one.

    Raises:
        MissingFrameworkError: Keras, or the backend it is set to, is not installed.
    """
    keras = require("keras")
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            # Keras's L2 is l2 * sum(w**2). The variable's is what training reads, the layer's is
            # what its config saves.
            regularizer = keras.regularizers.L2(weight_decay / 2)
            layer.kernel_regularizer = layer.kernel.regularizer = regularizer
