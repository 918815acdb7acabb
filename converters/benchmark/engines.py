"""Each engine's way to build a network and run it; runs in a worker, which loads one framework.

All hold the same seeded weights and see the same images. The objective of training is half the sum
of the squared logits, as in the classic benchmarks; gradients of all variables are computed and
batch norms update their moving averages, but no optimizer runs.
"""

from __future__ import annotations

import contextlib
from functools import partial

import numpy as np

from converters.benchmark.jobs import Job
from converters.benchmark.operation_counts import FORWARD
from converters.benchmark.worker import Calls
from converters.files import WeightsFile
from converters.formats import libraries as exchange
from converters.models import targets
from converters.recognise import forms
from converters.recognise.recognised import Recognised
from slim_resnet.frameworks import require
from slim_resnet.regression.record import seeded_images, seeded_value


def build(job: Job) -> Calls:
    """The candidate of a job.

    Returns:
        A function that works once, and one that returns what it computes: the logits, or the
        norm of all gradients.

    Raises:
        ImportError: a package is not installed; the message says how to install it.
    """
    return _BUILD[job.engine](job)


def environment(threads: int) -> dict[str, str]:
    """What a worker's frameworks are told: the number of threads, and to stay on the CPU."""
    return {
        **dict.fromkeys(
            ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), str(threads)
        ),
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        # PyTorch's threads would spin: ten times slower where another process holds a core.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def checkpoint(job: Job) -> Recognised:
    """The weights of a job's network, drawn by their names in the grouped form."""
    whole = {v.name: seeded_value(v.name, v.shape) for v in job.arch.grouped.variables}
    return Recognised(
        WeightsFile.of_arrays("seeded weights", forms.split(job.arch, whole)), job.arch, ""
    )


def images(job: Job) -> np.ndarray:
    """A batch [batch, height, width, 3], float32 unless the job computes in float64."""
    made = seeded_images((job.batch_size, *job.size, 3))
    return made.astype("float64") if job.dtype == "float64" else made


def _slim(job: Job) -> Calls:
    from slim_resnet.compat import tf

    batch = images(job)
    session, placeholder, logits = _session(job, batch.dtype)
    with session.graph.as_default():
        if job.work == FORWARD:
            run = session.make_callable(logits, [placeholder])
            return partial(run, batch), partial(run, batch)
        gradients = tf.gradients(tf.nn.l2_loss(logits), tf.trainable_variables())
        # Their operations, because a fetched tensor is copied.
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        train = session.make_callable([*(g.op for g in gradients), *updates], [placeholder])
        norm = session.make_callable(tf.global_norm(gradients), [placeholder])
    return partial(train, batch), partial(norm, batch)


def _slim_frozen(job: Job) -> Calls:
    from slim_resnet import inference

    batch = images(job)
    session, placeholder, logits = _session(job, batch.dtype)
    with session:
        graph_def = inference.freeze(session, [logits.op.name])
    names = [placeholder.name], logits.name
    run = inference.runner(graph_def, *names, config=_config(job))
    return partial(run, batch), partial(run, batch)


def _session(job: Job, dtype: np.dtype) -> tuple:
    """A session of the slim graph with the job's weights, its placeholder and its logits."""
    require("tensorflow")
    from slim_resnet import graph
    from slim_resnet.compat import tf

    with tf.Graph().as_default():
        placeholder = tf.placeholder(dtype, [None, *job.size, 3], "images")
        net, _ = graph.build(job.arch, placeholder, is_training=job.work != FORWARD)
        logits = tf.reshape(net, [-1, net.shape[-1]], "logits_2d")
        session = tf.Session(config=_config(job))
        values = checkpoint(job).stored()
        graph.assign(session, {v: values[k] for k, v in graph.variables(job.arch).items()})
    return session, placeholder, logits


def _config(job: Job):
    from tensorflow.core.protobuf import rewriter_config_pb2

    from slim_resnet.compat import tf

    config = tf.ConfigProto()
    if job.dtype == "bfloat16":
        rewrite = config.graph_options.rewrite_options
        rewrite.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config


def _keras(job: Job) -> Calls:
    tf = require("tensorflow")
    batch = tf.constant(images(job))
    model = targets.to_keras(checkpoint(job), batch.dtype.name)
    if job.dtype == "bfloat16":
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})

    @tf.function
    def forward(x):
        return model(x, training=False)

    @tf.function
    def train(x):
        with tf.GradientTape() as tape:
            loss = tf.nn.l2_loss(model(x, training=True))
        return tape.gradient(loss, model.trainable_variables)

    if job.work == FORWARD:
        return partial(forward, batch), lambda: forward(batch).numpy()
    return partial(train, batch), lambda: tf.linalg.global_norm(train(batch)).numpy()


def _torch(job: Job) -> Calls:
    require("torch")
    return _torch_calls(job, targets.to_torch(checkpoint(job)))


def _torchvision(job: Job) -> Calls:
    torch = require("torch")
    model = exchange.model_name(job.arch, "torchvision")
    net = getattr(torchvision_models(), model)()
    state = exchange.to_state(checkpoint(job), "torchvision")
    tensors = {name: torch.tensor(value) for name, value in state.items()}
    net.load_state_dict(tensors, strict=False)  # batch norms' counters keep their zeros
    return _torch_calls(job, net)


def _torch_calls(job: Job, net) -> Calls:
    torch = require("torch")
    layout = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    x = torch.from_numpy(images(job)).permute(0, 3, 1, 2)
    x = x.contiguous(memory_format=layout[job.layout])
    net = net.to(dtype=x.dtype, memory_format=layout[job.layout])
    parameters = list(net.parameters())

    def precision():
        mixed = job.dtype == "bfloat16"
        return torch.autocast("cpu", torch.bfloat16) if mixed else contextlib.nullcontext()

    def forward():
        with torch.inference_mode(), precision():
            return net(x)

    def train():
        with precision():
            logits = net(x)
        return torch.autograd.grad(logits.to(x.dtype).square().sum() / 2, parameters)

    if job.work == FORWARD:
        net.eval()
        return forward, lambda: forward().to(x.dtype).numpy()
    net.train()
    return train, lambda: torch.nn.utils.get_total_norm(train()).numpy()


def torchvision_models():
    """The module `torchvision.models`, even where its compiled ops do not fit this PyTorch.

    Raises:
        MissingFrameworkError: torchvision is not installed.
    """
    torch = require("torch")
    try:
        return require("torchvision.models")
    except RuntimeError:  # it misses two of the ops by name; no ResNet uses them
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        models = require("torchvision.models")
        models._slim_resnet_library = library  # keep the ops alive
        return models


_BUILD = {
    "slim": _slim,
    "slim-frozen": _slim_frozen,
    "torch": _torch,
    "torchvision": _torchvision,
    "keras": _keras,
}
