"""Atrous convolution by way of the batch, recognised.

Where a rate is given, slim computes SpaceToBatchND, an unpadded convolution of stride 1 and
BatchToSpaceND; newer code calls one Conv2D with `dilations`. The two are the same function:
SpaceToBatchND pads the image and deals its pixels, by row and column modulo the block (the rate),
to block x block smaller images. Pixels that a dilated kernel brings together lie a multiple of the
rate apart, so they are neighbours in one and the same small image, and the plain convolution of
each small image is the dilated convolution at its pixels. BatchToSpaceND puts these back and crops.

The image's end is padded until the block divides its size (SpaceToBatchND fails otherwise), and the
result is cropped by just as much, so the effective padding is what remains: `paddings - crops`, as
long as that is the same for every image.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from slim_resnet.compat import tf


class Atrous(NamedTuple):
    """A convolution over `inputs` (image, kernel) whose `attributes` replace those of `conv`."""

    conv: Any
    inputs: list
    attributes: dict[str, Any]


class _Chain(NamedTuple):
    """SpaceToBatchND, Conv2D and BatchToSpaceND in a row, all of one block."""

    split: Any
    conv: Any
    merge: Any
    block: list[int]


def find(ops: Iterable) -> dict[Any, Atrous]:
    """Every atrous convolution among `ops` that runs over the batch, by its BatchToSpaceND.

    A chain of ops that is not provably a dilated convolution is left out.
    """
    chains = [chain for op in ops if op.type == "BatchToSpaceND" and (chain := _chain(op))]
    return {
        chain.merge: Atrous(
            chain.conv,
            [chain.split.inputs[0], *chain.conv.inputs[1:]],
            {"dilations": [1, *chain.block, 1], **_padding(chain, padding)},
        )
        for chain, padding in zip(chains, _effective_paddings(chains), strict=True)
        if padding is not None
    }


def _chain(merge) -> _Chain | None:
    """The chain that `merge` ends, if it is one."""
    conv = merge.inputs[0].op
    split = conv.inputs[0].op if conv.type == "Conv2D" else conv
    if split.type != "SpaceToBatchND":
        return None
    blocks = [tf.get_static_value(op.inputs[1]) for op in (split, merge)]
    plain = (
        conv.get_attr("padding") == b"VALID"
        and conv.get_attr("data_format") == b"NHWC"
        and conv.get_attr("strides") == conv.get_attr("dilations") == [1, 1, 1, 1]
    )
    if not plain or any(block is None or block.shape != (2,) for block in blocks):
        return None
    if not np.array_equal(*blocks):
        return None
    return _Chain(split, conv, merge, blocks[0].tolist())


def _effective_paddings(chains: list[_Chain]) -> list[np.ndarray | None]:
    """The effective padding [[top, bottom], [left, right]] of each chain; None: it has none.

    The graph computes its paddings from the image's size with sums and remainders by the block.
    Such arithmetic repeats with the block, so what holds for two blocks' worth of sizes holds for
    all. Every chain gets sizes of its own: one that looked at another's image would be found out.
    """
    if not chains:
        return []
    found: list[list] = [[] for _ in chains]
    with tf.Session(graph=chains[0].merge.graph) as session:
        for step in range(2 * max(max(chain.block) for chain in chains)):
            sizes = [[1, step + i + 1, step + i + 2, 1] for i in range(len(chains))]
            try:
                runs = session.run(*_run_arguments(chains, sizes))
            except tf.errors.OpError:  # a padding depends on more than the size of the image
                return [None] * len(chains)
            for trials, (paddings, crops) in zip(found, runs, strict=True):
                trials.append(paddings - crops if not crops[:, 0].any() else None)
    return [_agreed(trials) for trials in found]


def _run_arguments(chains: list[_Chain], sizes: list[list[int]]) -> tuple[list, dict]:
    """The paddings and crops of all chains to fetch, and the shapes to feed."""
    fetches = [(chain.split.inputs[2], chain.merge.inputs[2]) for chain in chains]
    feeds = {
        op.outputs[0]: size
        for chain, size in zip(chains, sizes, strict=True)
        for op in chain.split.inputs[0].consumers()
        if op.type == "Shape"
    }
    return fetches, feeds


def _agreed(trials: list) -> np.ndarray | None:
    first = trials[0]
    if first is None or (first < 0).any():
        return None
    agree = all(trial is not None and np.array_equal(trial, first) for trial in trials)
    return first if agree else None


def _padding(chain: _Chain, padding: np.ndarray) -> dict[str, Any]:
    """The attributes of a Conv2D of stride 1 that pads by `padding`."""
    if not padding.any():
        return {"padding": "VALID"}
    kernel = chain.conv.inputs[1].shape.as_list()[:2]
    totals = [(k - 1) * rate for k, rate in zip(kernel, chain.block, strict=True)]
    # At stride 1 the padding of SAME does not depend on the size of the image.
    if padding.tolist() == [[total // 2, total - total // 2] for total in totals]:
        return {"padding": "SAME"}
    return {"padding": "EXPLICIT", "explicit_paddings": [0, 0, *padding.ravel().tolist(), 0, 0]}
