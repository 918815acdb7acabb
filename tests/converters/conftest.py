"""torchvision's models, as a peer to compare with."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def torchvision_resnet():
    """The module `torchvision.models.resnet`."""
    import torch

    # torchvision's wheel is built for CUDA; without its compiled ops its import fails on the
    # names of two of them, which no ResNet uses.
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision.models import resnet

    resnet._slim_resnet_library = library  # keep the ops alive
    return resnet
