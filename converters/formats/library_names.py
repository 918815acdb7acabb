"""The network that names and shapes of another library's weights tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converters.files import CheckpointError
from converters.formats.library_table import Library
from converters.models.naming import Weight, table
from converters.recognise.reading import readings
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Stage

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Names:
    """What tells, in a column of `naming.table`, which network it is.

    Attributes:
        unit: the beginning of the names in a residual unit; its groups are block and unit.
        first: a weight that every network has, in its first unit.
        kinds: end of a name -> the network whose units have such a weight, rarest first.
        head: the beginning of the names of the last layer.
        stem: the weights of the convolutions of a deep stem; None: there are no deep stems.
        pooled: end of the name of a projection's weights that come after a pooling, of rank 4.
    """

    unit: re.Pattern[str]
    first: str
    kinds: Mapping[str, str]
    head: str
    stem: re.Pattern[str] | None = None
    pooled: str | None = None

    def facts(self, shapes: Shapes) -> dict[str, object]:
        """What names tell of a network besides its kind and number of units."""
        found: dict[str, object] = {}
        stem = [name for name in shapes if self.stem and self.stem.fullmatch(name)]
        if stem:
            found["deep_stem"] = (1,) * (len(stem) - 1)
        ends = [
            shape for name, shape in shapes.items() if self.pooled and name.endswith(self.pooled)
        ]
        if any(len(shape) == 4 for shape in ends):
            found["shortcut"] = "average_projection"
        return found


# By the column.
NAMES = {
    "torch": Names(
        re.compile(r"layer(\d{1,2})\.(\d{1,4})\."),
        "layer1.0.conv1.weight",
        {
            ".preact.weight": "resnet_v2_50",
            ".conv3.weight": "resnet_v1_50",
            ".conv2.weight": "resnet_v1_18",
        },
        "fc.",
        stem=re.compile(r"conv1\.\d+\.weight"),
        pooled=".downsample.1.weight",
    ),
    "keras_applications": Names(
        re.compile(r"conv(\d{1,2})_block(\d{1,4})_"),
        "conv2_block1_1_conv/kernel",
        {"_preact_bn/gamma": "resnet_v2_50", "_3_conv/kernel": "resnet_v1_50"},
        "predictions/",
    ),
}


def read_arch(path: str, shapes: Shapes, library: Library) -> Arch:
    """The network of weights under the names of a library's models.

    Args:
        path: the file, for errors.
        shapes: name -> shape, as the library has them.
        library: one with models.

    Returns:
        It with the facts of the library's models.

    Raises:
        CheckpointError: there is none.
    """
    names = NAMES[library.column]
    kind = next(
        (net for end, net in names.kinds.items() if any(n.endswith(end) for n in shapes)), None
    )
    units = {match.groups() for match in map(names.unit.match, shapes) if match}
    if kind is None or not units:
        raise CheckpointError(
            f"{path}: no {names.first} or the like in it, so its network is not told: is --from "
            "right? Names of your own need --rules"
        )
    counts = Counter(int(block) for block, _ in units)
    facts = names.facts(shapes)
    num_units = [counts[block] for block in sorted(counts)]
    rows = table(_skeleton(kind, num_units, library, facts))
    inner = {}
    for row in rows:
        name = library.name(row)
        if name in shapes:
            inner[row.slim] = _slim_shape(path, name, shapes[name], library, row)
    try:
        found = library.own(readings(inner, path)[0])
    except CheckpointError as error:
        told = str(error).removeprefix(f"{path}: ")
        raise CheckpointError(f"{path}: by its names it is no whole network: {told}") from error
    # Only names tell it, which slim's do not.
    return found.replace(shortcut=facts.get("shortcut", found.shortcut))


def _skeleton(
    kind: str, num_units: list[int], library: Library, facts: Mapping[str, object]
) -> Arch:
    """A network with every weight that one of so many units may have, of any width."""
    known = arch_lib.get(kind, num_classes=1, conv_bias="all")
    se_depth = 1 if library.has_se else None
    stages = (Stage(n, 512 << i, 4, 1, se_depth=se_depth) for i, n in enumerate(num_units))
    return known.replace(stages=tuple(stages), **facts)


def _slim_shape(
    path: str, name: str, shape: tuple[int, ...], library: Library, row: Weight
) -> tuple[int, ...]:
    try:  # a view of one zero has the shape and takes no memory
        return library.transform(row).inverse(np.broadcast_to(np.float32(0), shape)).shape
    except ValueError as error:
        raise CheckpointError(f"{path}: {name} has the shape {list(shape)}: {error}") from error
