"""What is in a file, by each of the ways to ask: name -> (shape, type, bytes)."""

from __future__ import annotations

import converters
from converters.files import open_weights
from converters.formats import library_files as exchange_files
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Stage


def tiny_arch() -> Arch:
    """A ResNeXt of one unit and 343 parameters."""
    arch = arch_lib.get("resnext_29_8x64d", num_classes=3)
    return arch.replace(name="tiny", stages=(Stage(1, 8, 4, 1),), cardinality=2, root_depth=4)


def weights(path: str) -> dict:
    """Every array, whatever it is, as `open_weights` gives it; checksums are compared."""
    file = open_weights(path)
    file.verify()
    return _contents(file)


def network(path: str) -> dict:
    """The network that `load_checkpoint` recognises; checksums are compared."""
    ckpt = converters.load_checkpoint(path)
    ckpt.check_sums()
    return {"": (ckpt.arch.to_json(), ckpt.scope), **_contents(ckpt.stored())}


def whole_graph(path: str) -> dict:
    """What the graph of a file computes, whatever net it is, and the values of its parameters."""
    ckpt = converters.load_checkpoint(path, whole_graph=True)
    return {"": ckpt.network.to_json(), **_contents(ckpt.parameters())}


def exchanged_torch(path: str) -> dict:
    """The slim checkpoint that our PyTorch module's weights are."""
    return _exchanged(path, "torch")


def exchanged_keras(path: str) -> dict:
    """The slim checkpoint that our Keras model's weights are; its network is told."""
    return _exchanged(path, "keras")


def module(path: str) -> dict:
    """The state of the PyTorch module that `torch_model.load` makes."""
    from converters.models import torch_model  # here: importing it imports torch

    state = torch_model.load(path).state_dict()
    return _contents({name: value.numpy() for name, value in state.items()})


def _exchanged(path: str, source: str) -> dict:
    arch = tiny_arch() if source == "keras" else None
    return _contents(exchange_files.load_weights(path, source, arch=arch).stored())


def _contents(arrays) -> dict:
    return {name: (a.shape, a.dtype.str, a.tobytes()) for name, a in arrays.items()}
