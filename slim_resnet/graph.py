"""From an `Arch` to a TF1 graph: built, counted, written."""

from __future__ import annotations

import importlib
import math
import os
from dataclasses import dataclass

from slim_resnet import resnet_utils, tf115
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import PROJECTIONS
from slim_resnet.assignment import assign as assign
from slim_resnet.compat import identity_equality, slim, tf
from slim_resnet.files import atomic_folder
from slim_resnet.layers import activation_fn


def build(
    arch: Arch,
    images,
    is_training=False,
    *,
    scope: str | None = None,
    reuse=None,
    global_pool: bool | None = None,
    **arg_scope,
):
    """Builds `arch` under its family's arg scope, slim's `resnet_arg_scope` for most.

    Args:
        arch: the architecture.
        images: a tensor [batch, height, width, channels], float32 or float64 (then without fused
            batch norm, which has no float64).
        is_training: whether batch norms use the batch's statistics.
        scope: the variable scope; None: the name of the architecture (the script's net: none).
        reuse: whether to reuse the scope's variables.
        global_pool: False keeps the spatial dimensions, for dense prediction; None: as `arch` says.
        **arg_scope: more arguments of the arg scope.

    Returns:
        net: as the network's function returns it.
        end_points: a dict; keys are the names in `arch.end_points` below the scope (None: below
            the name of the architecture).
    """
    traits = arch.traits
    global_pool = arch.global_pool if global_pool is None else global_pool
    fused = False if images.dtype == tf.float64 else None
    settings = load_function(traits.arg_scope)(**{**_arg_scope(arch), **arg_scope})
    with (
        identity_equality(),
        slim.arg_scope(settings),
        slim.arg_scope([slim.batch_norm], fused=fused),
    ):
        return load_function(traits.builder)(
            arch, images, is_training, variable_scope(arch, scope), reuse, global_pool
        )


def _arg_scope(arch: Arch) -> dict:
    """The arguments of an arg scope that differ from slim's, as the families' own take them."""
    settings = {
        "activation_fn": (activation_fn(arch.conv_activation), tf.nn.relu),
        "use_batch_norm": (arch.use_batch_norm, True),
        "batch_norm_scale": (arch.batch_norm_scale, True),
        "batch_norm_center": (arch.batch_norm_center, True),
        "conv_bias": (arch.conv_bias in ("units", "all"), False),
    }
    found = {name: value for name, (value, default) in settings.items() if value != default}
    found["batch_norm_epsilon"] = arch.batch_norm_epsilon
    found["batch_norm_decay"] = arch.batch_norm_decay
    return found


def build_blocks(arch: Arch, images, is_training, scope, reuse, global_pool):
    """What `build` calls for a family whose generator takes a list of blocks."""
    unit_args = {}
    if "cardinality" not in arch.traits.fixed:
        unit_args = {"cardinality": arch.cardinality, "form": arch.form}
    if arch.shortcut not in PROJECTIONS:
        unit_args["shortcut"] = arch.shortcut
    if arch.use_bounded_activations:
        unit_args["use_bounded_activations"] = True
    more = {}
    if arch.kind.preact:
        more["preactivation_fn"] = activation_fn(arch.unit_options.activation)
    return load_function(arch.traits.generator)(
        images,
        resnet_utils.arch_blocks(arch, load_function(arch.traits.unit_fns[arch.unit]), **unit_args),
        arch.num_classes,
        is_training,
        global_pool,
        arch.output_stride,
        arch.root_block,
        reuse=reuse,
        scope=scope,
        root=arch.root_options,
        logits_layer=arch.logits_layer,
        logits_bias=arch.logits_bias,
        **more,
    )


def load_function(name: str):
    """The function that a family names "module:function"."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(f"slim_resnet.{module}"), function)


def variable_scope(arch: Arch, scope: str | None) -> str | None:
    """The variable scope that `build` opens: a script's net has none of its own."""
    return scope or (None if arch.has_script_names else arch.name)


def variables(arch: Arch, scope: str | None = None) -> dict:
    """The variables that `build` made in the default graph: name in `arch.variables` -> variable.

    Raises:
        KeyError: the graph has no such variable.
    """
    scope = variable_scope(arch, scope)
    prefix = f"{scope}/" if scope else ""
    found = {v.op.name: v for v in tf.global_variables()}
    return {v.name: found[prefix + v.name] for v in arch.variables}


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


def summarize(arch: Arch, end_points: dict, scope: str | None = None) -> list[Row]:
    """Counts what `build` made in the default graph, by block.

    Args:
        arch: the architecture.
        end_points: the dict that `build` returned, for a static image size.
        scope: the scope given to `build`.

    Returns:
        A row for each of the network's components (conv1, block1, ..., logits), in order.
    """
    in_graph = variables(arch, scope)
    blocks: dict[str, list] = {}
    for variable in arch.variables:
        blocks.setdefault(variable.whole.partition("/")[0], []).append(variable)
    outer = scope or arch.name
    rows = []
    for block, members in blocks.items():
        end_point = end_points.get(f"{outer}/{block}")
        trainable = [v for v in members if v.trainable]
        rows.append(
            Row(
                block=block,
                output=None if end_point is None else tuple(end_point.shape.as_list()[1:]),
                variables=len(members),
                parameters=sum(in_graph[v.name].shape.num_elements() for v in trainable),
                multiply_adds=_multiply_adds({in_graph[v.name].op.name for v in trainable}),
            )
        )
    return rows


def _multiply_adds(weights: set[str]) -> int:
    """Multiply-adds for one image of the convolutions and matrix products with these `weights`."""
    total = 0
    for op in tf.get_default_graph().get_operations():
        if op.type in ("Conv2D", "MatMul") and _source(op.inputs[1]) in weights:
            *kernel, _ = op.inputs[1].shape.as_list()
            total += math.prod(op.outputs[0].shape.as_list()[1:]) * math.prod(kernel)
    return total


def _source(tensor) -> str:
    """The name of the variable that a tensor reads."""
    op = tensor.op
    while op.type in ("ReadVariableOp", "Identity", "Reshape"):
        op = op.inputs[0].op
    return op.name


def write(output_dir: str | os.PathLike, *, init_checkpoint: bool = False) -> list[str]:
    """Writes the default graph: graph.pb, graph.pbtxt, model.meta and a TensorBoard event file.

    TensorFlow 1.15 loads them, too.

    Args:
        output_dir: a folder, made if need be; files of the same name are replaced.
        init_checkpoint: also initialise the variables (by the graph's seed) and write model.ckpt.

    Returns:
        The names of the files written.
    """
    graph = tf.get_default_graph()
    with atomic_folder(output_dir) as folder:
        graph_def = graph.as_graph_def()
        tf115.make_loadable(graph_def)
        (folder / "graph.pb").write_bytes(graph_def.SerializeToString())
        tf.io.write_graph(graph_def, str(folder), "graph.pbtxt", as_text=True)
        saver = tf.train.Saver(save_relative_paths=True)
        meta_graph = saver.export_meta_graph()
        tf115.make_loadable(meta_graph)
        (folder / "model.meta").write_bytes(meta_graph.SerializeToString())
        tf.summary.FileWriter(str(folder), graph).close()
        if init_checkpoint:
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                saver.save(session, str(folder / "model.ckpt"), write_meta_graph=False)
        return sorted(path.name for path in folder.iterdir())
