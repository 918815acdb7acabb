"""Whose weights are read and written: the libraries, their models, and what those compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from converters.models.naming import Transform, Weight
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.facts import TOLD
from slim_resnet.arch.parts import CLAMPED_EPSILON


@dataclass(frozen=True)
class Library:
    """Where weights come from or go to.

    Attributes:
        column: the column of `naming.table` with its names: "torch", "keras" or
            "keras_applications".
        models: name in our registry -> the library's model of that network; None: our own models,
            of any network.
        facts: family -> what its models compute otherwise than slim's, as `Arch.replace` takes it.
    """

    column: str
    models: Mapping[str, str] | None = None
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def convention(self) -> str | None:
        """The convention of its models; None: none, or either."""
        return next((facts.get("convention") for facts in self.facts.values()), None)

    @property
    def has_se(self) -> bool:
        """Whether any of its models has squeeze-and-excitation."""
        return self.models is None or any(arch_lib.get(name).has_se for name in self.models)

    def own(self, arch: Arch) -> Arch:
        """`arch` with the facts of the library's models."""
        return arch.replace(**self.facts.get(arch.family, {}))

    def retold(self, arch: Arch) -> Arch:
        """`arch` with those of them that no weights tell."""
        facts = self.facts.get(arch.family, {}).items()
        return arch.replace(**{name: value for name, value in facts if name in TOLD})

    @property
    def framework(self) -> str:
        """Whose layouts its weights have: "torch" or "keras"."""
        return self.column.partition("_")[0]

    def name(self, row: Weight) -> str:
        return getattr(row, self.column)

    def transform(self, row: Weight) -> Transform:
        return getattr(row, f"to_{self.framework}")


_TORCHVISION = {
    "resnet_v1_18": "resnet18",
    "resnet_v1_34": "resnet34",
    "resnet_v1_50": "resnet50",
    "resnet_v1_101": "resnet101",
    "resnet_v1_152": "resnet152",
    "resnext_v1_50": "resnext50_32x4d",
    "resnext_v1_101_32x8d": "resnext101_32x8d",
    "resnext_v1_101_64x4d": "resnext101_64x4d",
    "wide_resnet_v1_50_2": "wide_resnet50_2",
    "wide_resnet_v1_101_2": "wide_resnet101_2",
}
# timm's models of these networks add modules without parameters only (act1, aa, drop_block, ...):
# their weights have torchvision's names.
_TIMM = _TORCHVISION | {
    "resnet_v1_200": "resnet200",
    "resnext_v1_101": "resnext101_32x4d",
    "resnet_v1_50_d": "resnet50d",
    "resnet_v1_101_d": "resnet101d",
    "se_resnet_v1_50": "seresnet50",
    "se_resnext_v1_50": "seresnext50_32x4d",
    "se_resnext_v1_101": "seresnext101_32x4d",
}

_FIRST_UNIT = dict.fromkeys(("resnet_v1", "resnext_v1"), {"convention": "torchvision"})

_KERAS = {
    **{f"resnet_v1_{depth}": f"ResNet{depth}" for depth in (50, 101, 152)},
    **{f"resnet_v2_{depth}": f"ResNet{depth}V2" for depth in (50, 101, 152)},
}
# Of Keras's `applications/resnet.py` (Keras 2.2.5 and later), whose epsilon is really that.
_KERAS_BLOCKS = {
    "root_pool": "zeros",
    "batch_norm_epsilon": CLAMPED_EPSILON,
    "batch_norm_decay": 0.99,
}
_KERAS_FACTS = {
    "resnet_v1": {
        **_KERAS_BLOCKS,
        "stride_unit": "first",
        "stride_conv": "conv1",
        "conv_bias": "all",
    },
    "resnet_v2": _KERAS_BLOCKS,
}

LIBRARIES = {
    "torch": Library("torch"),
    "torchvision": Library("torch", _TORCHVISION, _FIRST_UNIT),
    "timm": Library("torch", _TIMM, _FIRST_UNIT),
    "keras": Library("keras"),
    "keras_applications": Library("keras_applications", _KERAS, _KERAS_FACTS),
}
