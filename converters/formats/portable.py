"""Writers of files that need nothing of this project: torch.export, ONNX, TensorFlow 1, HDF5."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterable
from functools import partial

import numpy as np
from safetensors.numpy import save_file

from converters.formats.libraries import to_state
from converters.models.targets import to_torch
from converters.recognise.assumptions import metadata
from converters.recognise.checkpoint import SlimCheckpoint
from converters.recognise.recorded import ARCH_KEY
from slim_resnet.files import atomic_new_folder
from slim_resnet.frameworks import quiet_stderr, require

INPUT = "images"

# Any shape serves: all of it but the channels is dynamic.
_EXAMPLE_BATCH, _EXAMPLE_SIZE = 2, (65, 97)


def write_state_safetensors(ckpt: SlimCheckpoint, path: str, target: str) -> None:
    """The state dict of the `target`'s model of this network, as safetensors.

    Args:
        ckpt: the checkpoint.
        path: the file.
        target: "torchvision" or "timm".

    Raises:
        ValueError: the target has no model that computes what the checkpoint's does.
    """
    save_file(to_state(ckpt, target), path, metadata={"format": "pt", **metadata(ckpt)})


def write_state_pt(ckpt: SlimCheckpoint, path: str, target: str) -> None:
    """The same as a plain state dict of `torch.save`, which `load_state_dict` takes as it is."""
    torch = require("torch")
    state = {name: torch.tensor(value) for name, value in to_state(ckpt, target).items()}
    torch.save(state, path)


def write_pt2(ckpt: SlimCheckpoint, path: str) -> None:
    """A `torch.export` program: images [batch, 3, height, width] -> logits, of any size.

    `torch.export.load(path).module()` runs it where this project is not installed.
    """
    torch = require("torch")
    torch.export.save(_exported(ckpt), path, extra_files=metadata(ckpt))


def write_onnx(ckpt: SlimCheckpoint, path: str) -> None:
    """An ONNX model, weights inside: images [batch, 3, height, width] -> logits, of any size.

    Raises:
        MissingFrameworkError: PyTorch or onnxscript is not installed.
    """
    torch = require("torch")
    require("onnxscript")
    program = torch.onnx.export(
        _exported(ckpt),
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=[_output(ckpt)],
        dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),
    )
    program.model.metadata_props.update(metadata(ckpt))
    program.save(path, external_data=False)


def _exported(ckpt: SlimCheckpoint):
    """Our module as a `torch.export.ExportedProgram` with dynamic batch, height and width."""
    torch = require("torch")
    from torch.fx.experimental import _config

    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    # Otherwise the program refuses sizes at which a feature map, or the batch, has size 1.
    with _config.patch(backed_size_oblivious=True):
        images = torch.zeros(_EXAMPLE_BATCH, ckpt.arch.input_channels, *_EXAMPLE_SIZE)
        program = torch.export.export(to_torch(ckpt), (images,), dynamic_shapes=(dynamic,))
    for node in program.graph.nodes:  # they hold paths of the machine that converts
        node.meta.pop("stack_trace", None)
    return program


def _output(ckpt: SlimCheckpoint) -> str:
    return "logits" if ckpt.arch.logits else "features"


def write_hdf5(ckpt: SlimCheckpoint, path: str) -> None:
    """Slim's variables in HDF5: a group a scope, a dataset a variable; attributes say what it is.

    The network's own variables, in the form (`Arch.form`) that the checkpoint has. Slots of the
    optimizer have no place here: their names would lie below datasets.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update({**metadata(ckpt), ARCH_KEY: ckpt.arch.to_json()})
        for name, value in ckpt.stored().items():
            file.create_dataset(ckpt.full_name(name), data=value, dtype=np.float32)


def write_npz(ckpt: SlimCheckpoint, path: str, besides: Iterable[str] = ()) -> None:
    """Slim's variables as `np.savez` writes them, by their full names.

    Args:
        ckpt: the checkpoint; of it the network's own variables, in the form that it has.
        path: the file.
        besides: full names of other variables to write, such as slots of the optimizer.
    """
    arrays = {ckpt.full_name(name): value for name, value in ckpt.stored().items()}
    with open(path, "wb") as file:
        np.savez(file, **arrays, **{name: ckpt[name] for name in besides})


def write_frozen_graph(ckpt: SlimCheckpoint, path: str, fold: bool = False) -> None:
    """A TF 1 GraphDef, weights inside as constants: `images` -> `logits` and `prob`.

    Images are [batch, height, width, 3]; a network without classes has the output `features`.

    Args:
        ckpt: the checkpoint.
        path: the file.
        fold: whether batch norms go into the convolutions before them
            (`slim_resnet.inference.fold_batch_norms`); such a file is no checkpoint any more.
    """
    with _session(ckpt) as (session, outputs):
        from slim_resnet import inference

        frozen = inference.freeze(session, list(outputs), fold=fold)
    pathlib.Path(path).write_bytes(frozen.SerializeToString(deterministic=True))


def write_saved_model(ckpt: SlimCheckpoint, folder: str | os.PathLike, fold: bool = False) -> None:
    """A TF 1 SavedModel, tag `serve`, with the signature of `write_frozen_graph`.

    Args:
        ckpt: the checkpoint.
        folder: the folder to make; it is there when it is whole.
        fold: as of `write_frozen_graph`; the model then holds constants, no variables.

    Raises:
        OSError: `folder` is there already, or its parent is not.
    """
    opened = _folded_session if fold else _session
    with atomic_new_folder(folder) as temporary, opened(ckpt) as (session, outputs):
        from slim_resnet.compat import tf

        signature = tf.saved_model.predict_signature_def(
            {INPUT: session.graph.get_tensor_by_name(f"{INPUT}:0")}, outputs
        )
        builder = tf.saved_model.Builder(os.fspath(temporary))
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.tag_constants.SERVING],
            {tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature},
            strip_default_attrs=True,  # so that older TensorFlows read it
        )
        builder.save()


@contextlib.contextmanager
def _session(ckpt: SlimCheckpoint):
    """A session of the slim graph with the checkpoint's weights, and its outputs by name."""
    require("tensorflow")
    from slim_resnet import graph
    from slim_resnet.compat import tf

    arch, scope, stored = ckpt.arch, ckpt.scope or None, ckpt.stored()
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, None, None, arch.input_channels], name=INPUT)
        net, _ = graph.build(arch, images, scope=scope)
        values = {v: stored[name] for name, v in graph.variables(arch, scope).items()}
        if arch.global_pool:
            net = tf.reshape(net, [-1, net.shape[-1]], name=_output(ckpt))
        else:
            net = tf.identity(net, name=_output(ckpt))
        outputs = {_output(ckpt): net}
        if arch.logits:
            outputs["prob"] = tf.nn.softmax(net, name="prob")
        with quiet_stderr():
            session = tf.Session()
        with session:
            graph.assign(session, values)
            yield session, outputs


@contextlib.contextmanager
def _folded_session(ckpt: SlimCheckpoint):
    """The same of the frozen graph, batch norms folded."""
    with _session(ckpt) as (session, outputs):
        from slim_resnet import inference
        from slim_resnet.compat import tf

        frozen = inference.freeze(session, list(outputs))
    with tf.Graph().as_default(), tf.Session() as session:
        names = [f"{name}:0" for name in outputs]
        tensors = tf.import_graph_def(frozen, name="", return_elements=names)
        yield session, dict(zip(outputs, tensors, strict=True))


# (target, suffix) -> the function that writes a checkpoint to a path.
WRITERS = {
    **{
        (target, suffix): partial(write, target=target)
        for target in ("torchvision", "timm")
        for suffix, write in ((".safetensors", write_state_safetensors), (".pth", write_state_pt))
    },
    ("torch", ".pt2"): write_pt2,
    ("onnx", ".onnx"): write_onnx,
    ("hdf5", ".h5"): write_hdf5,
    ("frozen", ".pb"): write_frozen_graph,
}
