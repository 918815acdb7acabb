"""What a converted file says of itself."""

from __future__ import annotations

import os

from converters.files.metadata_keys import ARCH_KEY
from converters.models import network_torch
from converters.models.targets import torch_paths
from converters.recognise.assumptions import describe_classes, training_facts
from converters.recognise.recognised import Recognised


def metadata(ckpt: Recognised) -> dict[str, str]:
    """What to write beside the weights.

    The architecture (in the grouped form) or the network of the graph, the checkpoint's name, its
    training step, its classes, what it was proved against, what was assumed and ignored, and
    `training_facts`, each with its source under the key with `_source` at the end.
    """
    if ckpt.network is None:
        found = {ARCH_KEY: ckpt.arch.grouped.to_json()}
        found["classes"] = describe_classes(ckpt.num_classes)
    else:
        found = network_torch.metadata(ckpt.network, torch_paths(ckpt))
    found["source"] = os.path.basename(ckpt.path)
    if ckpt.global_step is not None:
        found["global_step"] = str(ckpt.global_step)
    if ckpt.verified:  # what is not proved is never published
        found["proved_against"] = ckpt.reference
    if ckpt.assumed:
        found["assumed"] = ", ".join(ckpt.assumed)
    if ckpt.ignored:
        found["ignored"] = ", ".join(ckpt.ignored)
    for key, fact in training_facts(ckpt).items():
        found[key], found[f"{key}_source"] = fact.value, fact.source
    return found
