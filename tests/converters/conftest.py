"""torchvision's models, as a peer to compare with."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def torchvision_resnet():
    """The module `torchvision.models.resnet`."""
    from converters.benchmark.engines import torchvision_models

    return torchvision_models().resnet
