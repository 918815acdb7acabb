"""Proof: two sides run on the same images, compared at every end point."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from converters.formats.format import Format
from converters.models.targets import to_keras, to_slim, to_torch
from converters.recognise.recognised import Recognised
from slim_resnet.arch.architecture import Arch
from slim_resnet.files import atomic_path
from slim_resnet.frameworks import require

TARGETS = ("torch", "keras")

# Largest difference over largest value that two correct builds may show. float64 rounding is below
# 1e-14 here, so what exceeds its bound is a wrong structure; float32 hides small ones.
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}

# An even and an odd size: padding mistakes show in one or the other.
IMAGE_SIZES = ((64, 64), (97, 113))

EndPoints = dict[str, np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """One end point of one target on one image size, against the slim graph."""

    target: str
    image_size: tuple[int, int]
    end_point: str
    max_abs_error: float
    max_rel_error: float  # over the largest absolute value of the slim graph's


@dataclass(frozen=True)
class Report:
    """What a verification found; `comparisons` are in the order of the network."""

    source: str
    arch: str
    convention: str
    dtype: str
    tolerance: float
    comparisons: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        return bool(self.comparisons) and self.first_divergence is None

    @property
    def max_rel_error(self) -> float:
        return max((c.max_rel_error for c in self.comparisons), default=float("nan"))

    @property
    def first_divergence(self) -> Comparison | None:
        """The first end point, from the input on, that differs by more than the tolerance."""
        return next((c for c in self.comparisons if not c.max_rel_error <= self.tolerance), None)

    def worst(self) -> list[tuple[str, tuple[int, int], int, Comparison]]:
        """(target, image size, number of end points, worst comparison) of each run."""
        runs: dict[tuple, list[Comparison]] = {}
        for c in self.comparisons:
            runs.setdefault((c.target, c.image_size), []).append(c)
        return [
            (target, size, len(found), max(found, key=lambda c: c.max_rel_error))
            for (target, size), found in runs.items()
        ]

    def to_dict(self) -> dict:
        """Everything in types that JSON knows."""
        first = self.first_divergence
        return {
            "passed": self.passed,
            "max_rel_error": self.max_rel_error,
            "first_divergence": first and dataclasses.asdict(first),
            **dataclasses.asdict(self),
        }

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes everything to `path`, whole or not at all."""
        _write_json(path, self.to_dict())


def write_reports(path: str | os.PathLike, reports: Iterable[Report]) -> None:
    """Writes several reports to one JSON file, by dtype."""
    _write_json(path, {report.dtype: report.to_dict() for report in reports})


def _write_json(path: str | os.PathLike, value: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def verify(
    ckpt: Recognised,
    targets: Iterable[str] = TARGETS,
    dtype: str = "float64",
    image_sizes: Iterable[tuple[int, int]] = IMAGE_SIZES,
    *,
    batch_size: int = 2,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> Report:
    """Runs the slim graph and the converted models on the same images and compares them.

    Args:
        ckpt: from `load_checkpoint`.
        targets: of "torch" and "keras".
        dtype: "float64" proves the structure; "float32" is what users will run.
        image_sizes: (height, width) in pixels.
        batch_size: images per run.
        seed: of the images, drawn from a standard normal distribution.
        progress: called with a line for each step.

    Returns:
        A `Report` with a comparison for every target, size and end point.

    Raises:
        MissingFrameworkError: TensorFlow, or a target, is not installed.
        ValueError: an unknown target or dtype.
    """
    targets = tuple(targets)
    if dtype not in TOLERANCE or not set(targets) <= set(TARGETS):
        raise ValueError(
            f"dtype is one of {sorted(TOLERANCE)}, targets are of {TARGETS}: "
            f"got {dtype!r}, {targets}"
        )
    rng = np.random.default_rng(seed)
    images = [rng.standard_normal((batch_size, *size, 3)).astype(dtype) for size in image_sizes]
    progress(f"slim graph, {dtype}")
    expected = slim_end_points(ckpt, images)
    comparisons = []
    for target in targets:
        progress(f"{target}, {dtype}")
        actual = _RUNNERS[target](ckpt, images)
        for batch, left, right in zip(images, expected, actual, strict=True):
            comparisons += _compare(target, batch.shape[1:3], ckpt.arch, left, right)
    return Report(
        source=ckpt.path,
        arch=ckpt.arch.describe(),
        convention=ckpt.arch.convention,
        dtype=dtype,
        tolerance=TOLERANCE[dtype],
        comparisons=tuple(comparisons),
    )


def prove(
    ckpt: Recognised,
    format: Format,
    path: str,
    *,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[Report, ...]:
    """float64 decides; float32 is what users will run."""
    ckpt.check_sums()
    # All but Keras's files hold what our torch module computes.
    model = "keras" if format.model == "keras" else "torch"
    return tuple(
        verify(ckpt, [model], dtype, progress=progress) for dtype in ("float64", "float32")
    )


def _compare(
    target: str, size: tuple[int, int], arch: Arch, expected: EndPoints, actual: EndPoints
) -> list[Comparison]:
    return [
        Comparison(target, tuple(size), name, *_errors(expected[name], actual[name]))
        for name in output_names(arch)
    ]


def _errors(expected: np.ndarray, actual: np.ndarray) -> tuple[float, float]:
    """Largest difference, and the same over the largest expected value; inf if shapes differ."""
    if expected.ndim == 4 and actual.ndim == 2:  # logits: [batch, 1, 1, classes] in slim
        expected = expected.squeeze((1, 2))
    if expected.shape != actual.shape:
        return math.inf, math.inf
    error = float(np.abs(actual - expected).max())
    largest = float(np.abs(expected).max())
    if error == 0:
        return 0.0, 0.0
    return error, error / largest if largest else math.inf


def output_names(arch: Arch) -> tuple[str, ...]:
    """What is compared: every end point and, for a net without logits, the pooled features."""
    return arch.end_points if arch.logits else (*arch.end_points, "pool5")


def slim_end_points(ckpt: Recognised, images: list[np.ndarray]) -> list[EndPoints]:
    """The end points of the slim graph on each batch [batch, height, width, 3], in its dtype."""
    with to_slim(ckpt, images[0].dtype.name) as model:
        return [model.run(batch) for batch in images]


def torch_end_points(ckpt: Recognised, images: list[np.ndarray]) -> list[EndPoints]:
    """The end points of the PyTorch module, back in NHWC."""
    torch = require("torch")
    net = to_torch(ckpt).to(getattr(torch, images[0].dtype.name))
    found = []
    with torch.inference_mode():
        for batch in images:
            x = torch.from_numpy(batch).permute(0, 3, 1, 2)
            outputs = dict(net.end_points(x))
            if not ckpt.arch.logits:
                outputs["pool5"] = net(x)
            found.append({name: _to_nhwc(value.numpy()) for name, value in outputs.items()})
    return found


def _to_nhwc(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def keras_end_points(ckpt: Recognised, images: list[np.ndarray]) -> list[EndPoints]:
    """The end points of the Keras model."""
    keras = require("keras")
    from converters.models import keras_model

    model = to_keras(ckpt, dtype=images[0].dtype.name)
    names = keras_model.end_point_layers(ckpt.arch.grouped)
    outputs = {name: model.get_layer(layer).output for name, layer in names.items()}
    if not ckpt.arch.logits:
        outputs["pool5"] = model.output
    probe = keras.Model(model.input, list(outputs.values()))
    found = []
    for batch in images:
        values = probe(batch, training=False)
        found.append(
            {name: keras.ops.convert_to_numpy(v) for name, v in zip(outputs, values, strict=True)}
        )
    return found


_RUNNERS = {"torch": torch_end_points, "keras": keras_end_points}
