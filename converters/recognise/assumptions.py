"""What training and use need besides the weights, and where that is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converters.graphs.network import Network
from converters.recognise.detection import MEAN_RGB
from converters.recognise.scheme import Scheme
from slim_resnet.arch.parts import WEIGHT_DECAY

if TYPE_CHECKING:  # which reads what is written here
    from converters.recognise.recognised import Recognised


@dataclass(frozen=True)
class Fact:
    """Something that a checkpoint's variables do not tell, and where it comes from."""

    value: str
    source: str


# By the documentation of its weights (`ImageClassification` presets).
_TORCHVISION_PREPROCESSING = (
    "RGB, 0 to 1, minus the means 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225"
)
# By `preprocess_input` of its modules resnet (mode "caffe") and resnet_v2 (mode "tf").
_KERAS_PREPROCESSING = {
    "resnet_v1": "BGR, 0 to 255, minus the means 103.939, 116.779, 123.68",
    "resnet_v2": "RGB, scaled to -1 to 1",
}
_UNKNOWN = "unknown"
# `resnet_arg_scope`'s, in tf_slim.nets.resnet_utils.


def describe_classes(num_classes: int | None) -> str:
    """The number of classes, and for ImageNet's what class 0 is.

    slim's published resnet_v2 and its Inceptions have 1001, its resnet_v1 1000 (the flag
    `--labels_offset` of its `eval_image_classifier.py`).
    """
    notes = {
        None: "none: the network ends in the pooled features",
        1000: "1000; if they are ImageNet's, label i is class i: there is no background class",
        1001: "1001; if they are ImageNet's, the extra one is class 0, slim's background: "
        "label i is class i + 1",
    }
    return notes.get(num_classes, str(num_classes))


def training_facts(ckpt: Recognised) -> dict[str, Fact]:
    """What training and use need besides the weights: "preprocessing", and the two decays.

    The source of a fact says whether it is known (from the graph) or assumed.
    """
    if ckpt.network is not None:
        return {"preprocessing": _of_the_graph(ckpt.network)}
    return {
        "preprocessing": _means(ckpt) or _of_scheme(ckpt.scheme) or _preprocessing(ckpt),
        "batch_norm_decay": _batch_norm_decay(ckpt),
        "weight_decay": _weight_decay(ckpt),
    }


# What is done to an image before the first layer with weights, where a graph does it.
_ARITHMETIC = frozenset(("sub", "mul", "div", "add", "cast", "resize", "reverse", "parameter"))


def _of_the_graph(network: Network) -> Fact:
    """What the graph itself does to its images; whatever comes before it is not known."""
    steps = []
    for layer in network.layers:
        if layer.kind not in _ARITHMETIC:
            break
        if layer.kind != "parameter":
            steps.append(f"{layer.kind} {layer.name}")
    inside = f", and the network itself begins with {', '.join(steps)}" if steps else ""
    return Fact(f"none before the network{inside}", "the graph, which takes its inputs as they are")


def _means(ckpt: Recognised) -> Fact | None:
    """The means that a checkpoint holds itself."""
    name = ckpt.full_name(MEAN_RGB)
    if name not in ckpt or ckpt.file.shape(name) != (3,):
        return None
    means = ", ".join(f"{value:g}" for value in ckpt[name])
    return Fact(f"RGB, 0 to 255, minus the means {means}", f"the checkpoint's {name}")


def _of_scheme(scheme: Scheme | None) -> Fact | None:
    """What the code takes whose names the checkpoint has."""
    if scheme is None or not scheme.preprocessing:
        return None
    return Fact(scheme.preprocessing, scheme.rules.path)


def _preprocessing(ckpt: Recognised) -> Fact:
    arch, library = ckpt.arch, ckpt.library
    if library == "torchvision":
        return Fact(_TORCHVISION_PREPROCESSING, "assumed: torchvision's own weights take it")
    if library == "keras_applications" and arch.family in _KERAS_PREPROCESSING:
        told = f"assumed: keras.applications' own {arch.family} weights take it"
        return Fact(_KERAS_PREPROCESSING[arch.family], told)
    published = arch.traits.preprocessing if library == "slim" else None
    if published is None:
        return Fact(_UNKNOWN, "neither in the checkpoint nor published by slim for this network")
    if arch.convention == "torchvision":
        return Fact(_UNKNOWN, f"torchvision's own weights take {_TORCHVISION_PREPROCESSING}")
    return Fact(published, f"assumed: slim's published {arch.family} checkpoints take it")


def _batch_norm_decay(ckpt: Recognised) -> Fact:
    decays = ckpt.facts.moving_average_decays(ckpt.scope) if ckpt.facts else ()
    if decays:
        return Fact(_joined(decays), "the graph")
    told = ckpt.scheme and "batch_norm_decay" in ckpt.scheme.facts(ckpt.arch)
    source = ckpt.scheme.rules.path if told else "assumed: the network's default"
    return Fact(str(ckpt.arch.batch_norm_decay), source)


def _weight_decay(ckpt: Recognised) -> Fact:
    decays = ckpt.facts.weight_decays(ckpt.scope) if ckpt.facts else ()
    if decays:
        return Fact(_joined(decays), "the graph")
    if ckpt.library != "slim" or ckpt.arch.has_script_names or ckpt.scheme:
        return Fact(_UNKNOWN, "not in the checkpoint")
    return Fact(str(WEIGHT_DECAY), "assumed: slim's default")


def _joined(values: tuple[float, ...]) -> str:
    return ", ".join(map(str, values))
