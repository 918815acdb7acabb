"""What TensorFlow 1 opens: a checkpoint for a plain `Saver`, frozen graphs, SavedModels."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from converters.files.checkpoint.writer import write_bundle
from converters.formats.format import Format, Options, Place, accept, fits_protobuf
from converters.models.slim_model import INPUT, SlimModel
from converters.recognise.checkpoint import SlimCheckpoint
from slim_resnet.files import atomic_files, atomic_new_folder, check_target


def write_checkpoint(
    ckpt: SlimCheckpoint, prefix: str | os.PathLike, options: Options | None = None
) -> None:
    """Writes every variable of `ckpt` as a V2 checkpoint that a plain `Saver` restores.

    With the moving averages as weights, the network's variables hold those. Strings, such as the
    object graph that TensorFlow 2 puts into a checkpoint, are left out.

    Args:
        ckpt: from `load_checkpoint`, `transcode` or `libraries.from_state`.
        prefix: the path of the checkpoint, without suffix.
        options: nothing of them matters: the optimizer is in it anyway.

    Raises:
        CheckpointError: a weight holds NaN or infinity.
        OSError: the folder does not exist, or the files cannot be written.
    """
    check_target(prefix)
    write_bundle(prefix, _Everything(ckpt))


class _Everything(Mapping[str, np.ndarray]):
    """The variables of a checkpoint that can be written, read when asked for."""

    def __init__(self, ckpt: SlimCheckpoint):
        self._ckpt = ckpt
        self._names = [name for name in ckpt if not ckpt.file.dtype(name).hasobject]
        averages = ckpt.stored() if ckpt.averaged else {}
        self._averages = {ckpt.full_name(name): value for name, value in averages.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._averages[name] if name in self._averages else self._ckpt[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _everything(ckpt: SlimCheckpoint) -> set[str]:
    """All variables but those that their moving averages replace."""
    model = {ckpt.full_name(variable.name) for variable in ckpt.arch.variables}
    return set(_Everything(ckpt)) - (model if ckpt.averaged else set())


def _check_constants(ckpt: SlimCheckpoint, options: Options) -> None:
    if not fits_protobuf(ckpt):
        raise ValueError(
            f"{ckpt.path}: its {ckpt.weights_nbytes / 1e9:.1f} GB of weights have no place in a "
            "graph, which is a message of 2 GiB at most: use --to saved_model, without --fold"
        )


def _check_saved_model(ckpt: SlimCheckpoint, options: Options) -> None:
    (_check_constants if options.fold else accept)(ckpt, options)


def write_frozen_graph(ckpt: SlimCheckpoint, path: str, options: Options) -> None:
    """A TF 1 GraphDef, weights inside as constants: `images` -> `logits` and `prob`.

    Images are [batch, height, width, channels]; a network without classes has the output
    `features`. Folded batch norms: see `slim_resnet.inference.fold_batch_norms`.
    """
    with SlimModel(ckpt) as model:
        from slim_resnet import inference

        frozen = inference.freeze(model.session, list(model.outputs), fold=options.fold)
    pathlib.Path(path).write_bytes(frozen.SerializeToString(deterministic=True))


def write_saved_model(ckpt: SlimCheckpoint, folder: str, options: Options) -> None:
    """A TF 1 SavedModel, tag `serve`, with the signature of `write_frozen_graph`.

    Folded, it holds constants and no variables.
    """
    opened = _folded if options.fold else _session
    with opened(ckpt) as (session, outputs):
        from slim_resnet.compat import tf

        signature = tf.saved_model.predict_signature_def(
            {INPUT: session.graph.get_tensor_by_name(f"{INPUT}:0")}, outputs
        )
        with session.graph.as_default():
            builder = tf.saved_model.Builder(os.fspath(folder))
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
    with SlimModel(ckpt) as model:
        yield model.session, model.outputs


@contextlib.contextmanager
def _folded(ckpt: SlimCheckpoint):
    """The same of the frozen graph, batch norms folded."""
    with SlimModel(ckpt) as model:
        from slim_resnet import inference
        from slim_resnet.compat import tf

        frozen = inference.freeze(model.session, list(model.outputs))
    with tf.Graph().as_default(), tf.Session() as session:
        names = [f"{name}:0" for name in model.outputs]
        tensors = tf.import_graph_def(frozen, name="", return_elements=names)
        yield session, dict(zip(model.outputs, tensors, strict=True))


FORMATS = (
    Format(
        "slim",
        "",
        write_checkpoint,
        hidden=partial(atomic_files, last=".index"),
        model="slim",
        place=Place(_everything, always=True),
    ),
    Format(
        "frozen",
        ".pb",
        write_frozen_graph,
        model="slim",
        check=_check_constants,
        foldable=True,
        freezes=True,
    ),
    Format(
        "saved_model",
        "",
        write_saved_model,
        hidden=atomic_new_folder,
        model="slim",
        check=_check_saved_model,
        foldable=True,
        freezes=True,
    ),
)
