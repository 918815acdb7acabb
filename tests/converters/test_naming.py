"""The table: complete, one to one, and reversible to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from converters.models.naming import CONV_TO_DENSE, CONV_TO_LINEAR, HWIO_TO_OIHW, IDENTITY, table
from slim_resnet import arch as arch_lib


@pytest.mark.parametrize("name", sorted(arch_lib.REGISTRY))
def test_the_table_is_one_to_one_and_complete(name):
    arch = arch_lib.get(name)
    rows = table(arch)
    assert [row.slim for row in rows] == [v.name for v in arch.grouped.variables]
    for column in ("slim", "torch", "keras"):
        assert len({getattr(row, column) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("transform", "shape", "moved"),
    [
        (HWIO_TO_OIHW, (3, 5, 4, 8), (8, 4, 3, 5)),
        (CONV_TO_LINEAR, (1, 1, 4, 8), (8, 4)),
        (CONV_TO_DENSE, (1, 1, 4, 8), (4, 8)),
        (IDENTITY, (7,), (7,)),
    ],
)
def test_transforms_are_reversible(transform, shape, moved):
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    there = transform(array)
    assert there.shape == moved
    np.testing.assert_array_equal(transform.inverse(there), array)


def test_torch_names_are_torchvisions(torchvision_resnet):
    names = set(torchvision_resnet.resnext50_32x4d().state_dict())
    ours = {row.torch for row in table(arch_lib.get("resnext_v1_50"))}
    assert {n for n in names if not n.endswith("num_batches_tracked")} == ours
