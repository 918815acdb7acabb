"""From an `Arch` to a TF1 graph: built, counted, written."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from slim_resnet import resnet_utils, resnet_v1, resnet_v2, resnext_v1
from slim_resnet.arch import Arch
from slim_resnet.compat import slim, tf
from slim_resnet.files import atomic_folder

# The generator and the residual unit of each family.
_FAMILIES = {
    "resnet_v1": (resnet_v1.resnet_v1, resnet_v1.bottleneck),
    "resnet_v2": (resnet_v2.resnet_v2, resnet_v2.bottleneck),
    "resnext_v1": (resnext_v1.resnext_v1, resnext_v1.bottleneck),
}


def build(
    arch: Arch,
    images,
    is_training=False,
    *,
    scope: str | None = None,
    reuse=None,
    global_pool: bool = True,
    **arg_scope,
):
    """Builds `arch` under slim's `resnet_arg_scope`.

    Args:
        arch: the architecture.
        images: a tensor [batch, height, width, 3], float32 or float64 (then without fused batch
            norm, which has no float64).
        is_training: whether batch norms use the batch's statistics.
        scope: the variable scope; None: the name of the architecture.
        reuse: whether to reuse the scope's variables.
        global_pool: False keeps the spatial dimensions, for dense prediction.
        **arg_scope: more arguments of `resnet_utils.resnet_arg_scope`.

    Returns:
        net [batch, 1, 1, classes] and the dict of end points, as slim's networks return them.
    """
    generator, unit_fn = _FAMILIES[arch.family]
    unit_args = {} if arch.cardinality == 1 else {"cardinality": arch.cardinality}
    arg_scope.setdefault("batch_norm_epsilon", arch.batch_norm_epsilon)
    arg_scope.setdefault("batch_norm_decay", arch.batch_norm_decay)
    fused = False if images.dtype == tf.float64 else None
    with (
        slim.arg_scope(resnet_utils.resnet_arg_scope(**arg_scope)),
        slim.arg_scope([slim.batch_norm], fused=fused),
    ):
        return generator(
            images,
            resnet_utils.arch_blocks(arch, unit_fn, **unit_args),
            arch.num_classes,
            is_training,
            global_pool,
            arch.output_stride,
            reuse=reuse,
            scope=scope or arch.name,
            root_depth=arch.root_depth,
            convention=arch.convention,
        )


def assign(session, values: dict) -> None:
    """Gives variables their values in one `session.run`.

    Args:
        session: a `tf.Session` of the default graph.
        values: variable -> array of its shape.
    """
    # Running the initialisers with their values fed adds no op to the graph and runs once; an
    # assign op and a run for each variable costs seconds on a large net.
    feed = {variable.initializer.inputs[1]: value for variable, value in values.items()}
    session.run([variable.initializer for variable in values], feed)


@dataclass(frozen=True)
class Row:
    """One block of a network, counted per image.

    `output` is (height, width, channels), None where the block is no end point (v2's postnorm);
    `parameters` are the trainable ones.
    """

    block: str
    output: tuple[int, ...] | None
    variables: int
    parameters: int
    multiply_adds: int


def summarize(end_points: dict, scope: str) -> list[Row]:
    """Counts what the default graph holds below `scope`, by block.

    Args:
        end_points: the dict that a network returned, built with a static image size.
        scope: the network's variable scope.

    Returns:
        A row for each of the network's components (conv1, block1, ..., logits), in order.
    """
    blocks = {v.op.name[len(scope) + 1 :].partition("/")[0]: None for v in tf.global_variables()}
    return [
        _row(block, end_points.get(f"{scope}/{block}"), f"{scope}/{block}/") for block in blocks
    ]


def _row(block: str, end_point, prefix: str) -> Row:
    return Row(
        block=block,
        output=None if end_point is None else tuple(end_point.shape.as_list()[1:]),
        variables=len(tf.global_variables(prefix)),
        parameters=sum(v.shape.num_elements() for v in tf.trainable_variables(prefix)),
        multiply_adds=_multiply_adds(prefix),
    )


def _multiply_adds(prefix: str) -> int:
    """Multiply-adds for one image of the convolutions below `prefix`."""
    operations = tf.get_default_graph().get_operations()
    total = 0
    for op in operations:
        if op.type == "Conv2D" and op.name.startswith(prefix):
            kernel = op.inputs[1].shape.as_list()
            total += math.prod(op.outputs[0].shape.as_list()[1:]) * math.prod(kernel[:3])
    return total


def write(output_dir: str | os.PathLike, *, init_checkpoint: bool = False) -> list[str]:
    """Writes the default graph: graph.pb, graph.pbtxt, model.meta and a TensorBoard event file.

    Args:
        output_dir: a folder, made if need be; files of the same name are replaced.
        init_checkpoint: also initialise the variables (by the graph's seed) and write model.ckpt.

    Returns:
        The names of the files written.
    """
    graph = tf.get_default_graph()
    with atomic_folder(output_dir) as folder:
        graph_def = graph.as_graph_def()
        (folder / "graph.pb").write_bytes(graph_def.SerializeToString())
        tf.io.write_graph(graph_def, str(folder), "graph.pbtxt", as_text=True)
        saver = tf.train.Saver(save_relative_paths=True)
        saver.export_meta_graph(str(folder / "model.meta"))
        tf.summary.FileWriter(str(folder), graph).close()
        if init_checkpoint:
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                saver.save(session, str(folder / "model.ckpt"), write_meta_graph=False)
        return sorted(path.name for path in folder.iterdir())
