"""What is timed: candidates as data. Bad input is found here, before any process starts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from converters.benchmark.operation_counts import FORWARD, Size, feature_size, flops
from converters.formats.libraries import model_name
from converters.formats.library_table import LIBRARIES
from slim_resnet.arch.architecture import Arch

DTYPES = ("float32", "float64", "bfloat16")
LAYOUTS = ("contiguous", "channels_last")


@dataclass(frozen=True)
class Engine:
    """A way to run a network.

    Attributes:
        varies: what it exists in several variants of: "form" (of the graph's ResNeXt units),
            "layout" (of PyTorch's tensors), or None.
        trains: whether it has gradients.
    """

    varies: str | None
    trains: bool = True


ENGINES = {
    "slim": Engine("form"),
    "slim-frozen": Engine("form", trains=False),
    "torch": Engine("layout"),
    "torchvision": Engine("layout"),
    "keras": Engine(None),
}


@dataclass(frozen=True)
class Job:
    """A candidate: one network, on one engine, at one kind of work.

    Attributes:
        engine: a key of `ENGINES`.
        arch: the network; its form is that of the slim graph.
        batch_size: images at a time.
        size: height and width of the images.
        work: one of `flops.WORKS`.
        dtype: one of `DTYPES`; bfloat16 is mixed precision: weights and results in float32.
        layout: one of `LAYOUTS`.
    """

    engine: str
    arch: Arch
    batch_size: int
    size: Size
    work: str = FORWARD
    dtype: str = "float32"
    layout: str = "contiguous"

    @property
    def label(self) -> str:
        """The engine, and its variant where that is not the plain one."""
        variant = {"form": self.arch.form, "layout": self.layout, None: None}
        varied = variant[ENGINES[self.engine].varies]
        return (
            self.engine
            if varied in ("grouped", "contiguous", None)
            else (f"{self.engine}, {varied}")
        )

    @property
    def flops(self) -> int:
        """Floating point operations of the whole batch."""
        return self.batch_size * flops(self.arch, self.size, self.work)


def plan(
    arch: Arch,
    engines: Sequence[str],
    *,
    batch_size: int,
    size: Size | None = None,
    work: str = FORWARD,
    dtype: str = "float32",
    forms: Sequence[str] = (),
    layouts: Sequence[str] = LAYOUTS,
) -> list[Job]:
    """The candidates of one table.

    Args:
        arch: the network.
        engines: keys of `ENGINES`, in the table's order.
        batch_size: images at a time.
        size: height and width of the images; None: what the network was designed for.
        work: one of `flops.WORKS`; engines without gradients take no part in training.
        dtype: one of `DTYPES`.
        forms: of the slim graphs; none: that of `arch`.
        layouts: of PyTorch's models.

    Returns:
        At least one job; no two have the same label.

    Raises:
        ValueError: an unknown engine or layout; a batch, size or form that the network cannot have;
            or torchvision asked for a network that it does not have.
    """
    size = size or (arch.default_image_size,) * 2
    _check_names("engine", engines, ENGINES)
    _check_names("layout", layouts, LAYOUTS)
    _check_size(arch, batch_size, size, work)
    if "torchvision" in engines:
        _check_torchvision(arch)
    variants = {
        "form": [{"arch": arch.replace(form=form)} for form in forms or [arch.form]],
        "layout": [{"layout": layout} for layout in layouts],
        None: [{}],
    }
    jobs = [
        dataclasses.replace(Job(name, arch, batch_size, size, work, dtype), **variant)
        for name in dict.fromkeys(engines)
        if work == FORWARD or ENGINES[name].trains
        for variant in variants[ENGINES[name].varies]
    ]
    if not jobs:
        raise ValueError(f"{', '.join(engines)} has no variables to train: add another engine")
    return jobs


def _check_names(what: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}: use {', '.join(known)}")


def _check_size(arch: Arch, batch_size: int, size: Size, work: str) -> None:
    height, width = size
    if min(batch_size, *size) < 1:
        raise ValueError(f"{batch_size} images of {height}x{width}: use 1 or more of each")
    if work != FORWARD and batch_size * math.prod(feature_size(arch, size)) == 1:
        raise ValueError(
            f"one image of {height}x{width} is one pixel at the end of {arch.name}, which has "
            "no variance for a batch norm to train on: use a larger batch or size"
        )


def _check_torchvision(arch: Arch) -> None:
    if model_name(arch, "torchvision") is None:
        models = ", ".join(LIBRARIES["torchvision"].models)
        raise ValueError(f"torchvision has no {arch.name}, only {models}: leave this engine out")
    if arch.convention != LIBRARIES["torchvision"].convention:
        raise ValueError(
            f"torchvision's {arch.name} computes something else than the convention "
            f"{arch.convention!r}: use --convention torchvision, or leave this engine out"
        )
