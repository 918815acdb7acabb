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
from converters.models.targets import Opened, to_slim
from converters.recognise.recognised import Recognised
from slim_resnet.files import atomic_files, atomic_new_folder, check_target


def write_checkpoint(
    ckpt: Recognised, prefix: str | os.PathLike, options: Options | None = None
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

    def __init__(self, ckpt: Recognised):
        self._ckpt = ckpt
        self._names = [name for name in ckpt if not ckpt.file.dtype(name).hasobject]
        self._averages = ckpt.model_arrays() if ckpt.averaged else {}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._averages[name] if name in self._averages else self._ckpt[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _everything(ckpt: Recognised) -> set[str]:
    """All variables but those that their moving averages replace."""
    return set(_Everything(ckpt)) - (set(ckpt.model_variables) if ckpt.averaged else set())


def _check_constants(ckpt: Recognised, options: Options) -> None:
    if not fits_protobuf(ckpt):
        raise ValueError(
            f"{ckpt.path}: its {ckpt.weights_nbytes / 1e9:.1f} GB of weights have no place in a "
            "graph, which is a message of 2 GiB at most: use --to saved_model, without --fold"
        )


def _check_saved_model(ckpt: Recognised, options: Options) -> None:
    (_check_constants if options.fold else accept)(ckpt, options)


def write_frozen_graph(ckpt: Recognised, path: str, options: Options) -> None:
    """A TF 1 GraphDef, weights inside as constants, with the inputs and outputs of `to_slim`.

    Images are [batch, height, width, channels]. Folded batch norms: see
    `slim_resnet.inference.fold_batch_norms`.
    """
    with to_slim(ckpt) as opened:
        from slim_resnet import inference

        frozen = inference.freeze(opened.session, _nodes(opened.outputs), fold=options.fold)
    pathlib.Path(path).write_bytes(frozen.SerializeToString(deterministic=True))


def _nodes(outputs: Mapping[str, object]) -> list[str]:
    return list(dict.fromkeys(tensor.op.name for tensor in outputs.values()))


def write_saved_model(ckpt: Recognised, folder: str, options: Options) -> None:
    """A TF 1 SavedModel, tag `serve`, with the signature of `write_frozen_graph`.

    Folded, it holds constants and no variables.
    """
    with to_slim(ckpt) as opened, _folded(opened) if options.fold else _as_it_is(opened) as model:
        from slim_resnet import tf115
        from slim_resnet.compat import tf

        with model.session.graph.as_default():
            ends = dict(model.inputs), dict(model.outputs)
            signature = tf.saved_model.predict_signature_def(*ends)
            builder = tf.saved_model.Builder(os.fspath(folder))
            builder.add_meta_graph_and_variables(
                model.session,
                [tf.saved_model.tag_constants.SERVING],
                {tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature},
                strip_default_attrs=True,  # so that older TensorFlows read it
            )
            builder.save()
        tf115.make_saved_model_loadable(folder)


def _as_it_is(opened: Opened) -> contextlib.AbstractContextManager[Opened]:
    return contextlib.nullcontext(opened)


@contextlib.contextmanager
def _folded(opened: Opened) -> Iterator[Opened]:
    """The frozen graph of a model, batch norms folded."""
    from slim_resnet import inference
    from slim_resnet.compat import tf

    frozen = inference.freeze(opened.session, _nodes(opened.outputs))
    names = {name: tensor.name for name, tensor in {**opened.inputs, **opened.outputs}.items()}
    with tf.Graph().as_default(), tf.Session() as session:
        made = tf.import_graph_def(frozen, name="", return_elements=list(names.values()))
        tensors = dict(zip(names, made, strict=True))
        inputs = {name: tensors[name] for name in opened.inputs}
        outputs = {name: tensors[name] for name in opened.outputs}
        yield Opened(session, inputs, outputs, {})


FORMATS = (
    Format(
        "slim",
        "",
        write_checkpoint,
        runner="slim",
        named="a prefix",
        hidden=partial(atomic_files, last=".index"),
        model="slim",
        place=Place(_everything, always=True),
    ),
    Format(
        "frozen",
        ".pb",
        write_frozen_graph,
        runner="frozen",
        model="slim",
        check=_check_constants,
        foldable=True,
        freezes=True,
    ),
    Format(
        "saved_model",
        "",
        write_saved_model,
        runner="saved_model",
        named="a folder",
        hidden=atomic_new_folder,
        model="slim",
        check=_check_saved_model,
        foldable=True,
        freezes=True,
    ),
)
