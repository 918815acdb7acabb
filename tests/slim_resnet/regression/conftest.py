"""Records by name, and the networks that belong to them."""

from __future__ import annotations

import pytest

NETWORKS = "tests.slim_resnet.regression.networks"  # as a user's module


@pytest.fixture(scope="session")
def read(legacy):
    from slim_resnet.regression.record import read_record

    return lambda name: read_record(legacy / f"{name}.npz")


@pytest.fixture(scope="session")
def builder():
    """builder(record): the network of a record in tests/data/legacy_records."""
    from slim_resnet.regression import rebuilt

    def make(record, **kwargs):
        if rebuilt.is_imported(record):
            scope = "slim_resnet.resnet_v1:resnet_arg_scope"
            return rebuilt.spec_builder(record, f"{NETWORKS}:slim_v1", scope, kwargs)
        name = record.info["builder"].partition(":")[2]
        return rebuilt.arch_builder(record, name, kwargs)

    return make
