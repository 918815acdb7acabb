"""What PyTorch opens: `.safetensors` and `.pt` (`torch_model.load`), `.pt2` (`torch.export`)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from converters.formats.file_metadata import metadata
from converters.formats.format import Format, Options, Place
from converters.formats.safetensors_file import write_safetensors
from converters.graphs.network import Input
from converters.models import resume
from converters.models.slim_model import INPUT
from converters.models.targets import to_torch, torch_views
from converters.recognise.recognised import Recognised
from slim_resnet.frameworks import require

# Sizes of an example, where a network takes any: of a batch, and (height, width), each in turn:
# some networks leave nothing of a small image, some need multiples.
_BATCH = 2
_SIZES = ((65, 97), (128, 192), (320, 352))


def write_state(ckpt: Recognised, path: str, options: Options) -> None:
    """Weights under the module's names, as safetensors; the architecture is in the metadata."""
    write_safetensors(torch_views(ckpt), path, {"format": "pt", **metadata(ckpt)})


def write_pt(ckpt: Recognised, path: str, options: Options) -> None:
    """The same as `torch.save` writes it, with an optimizer where there is a recipe."""
    torch = require("torch")
    net = to_torch(ckpt)
    saved = {"metadata": metadata(ckpt), "state_dict": net.state_dict()}
    if options.recipe is not None:
        saved["optimizer"] = resume.torch_optimizer(ckpt, net, options.recipe).state_dict()
        saved["global_step"] = ckpt.global_step
    torch.save(saved, path)


def write_pt2(ckpt: Recognised, path: str, options: Options) -> None:
    """A `torch.export` program: images [batch, 3, height, width] -> logits, of any size.

    `torch.export.load(path).module()` runs it where this project is not installed.
    """
    torch = require("torch")
    torch.export.save(exported(ckpt), path, extra_files=metadata(ckpt))


def exported(ckpt: Recognised):
    """Our module as a `torch.export.ExportedProgram`; sizes that are not fixed are dynamic."""
    torch = require("torch")
    from torch.fx.experimental import _config

    inputs = channels_first_shapes(ckpt)
    net = to_torch(ckpt)
    dynamic = {
        name: {i: torch.export.Dim.DYNAMIC for i, size in enumerate(shape.values()) if size is None}
        for name, shape in inputs.items()
    }
    # Otherwise the program refuses sizes at which a feature map, or the batch, has size 1.
    with _config.patch(backed_size_oblivious=True):
        program = torch.export.export(
            net, (_example(net, inputs),), dynamic_shapes=(_argument(dynamic),)
        )
    for node in program.graph.nodes:  # they hold paths of the machine that converts
        node.meta.pop("stack_trace", None)
    return program


def channels_first_shapes(ckpt: Recognised) -> dict[str, dict[str, int | None]]:
    """Name of each input -> name of each axis -> its size, None where any will do."""
    if ckpt.network is None:
        channels = ckpt.arch.input_channels
        return {INPUT: {"batch": None, "channels": channels, "height": None, "width": None}}
    return {each.name: _axes(each) for each in ckpt.network.inputs}


def _axes(given: Input) -> dict[str, int | None]:
    if len(given.shape) != 4:
        return {f"axis_{i}" if i else "batch": size for i, size in enumerate(given.shape)}
    batch, height, width, channels = given.shape
    return {"batch": batch, "channels": channels, "height": height, "width": width}


def _example(net, inputs: Mapping[str, Mapping[str, int | None]]):
    """An input of the first of the sizes that the network takes."""
    torch = require("torch")
    for height, width in _SIZES:
        sizes = {"batch": _BATCH, "height": height, "width": width}
        shapes = {
            name: [size or sizes.get(axis, height) for axis, size in axes.items()]
            for name, axes in inputs.items()
        }
        example = _argument({name: torch.zeros(shape) for name, shape in shapes.items()})
        with contextlib.suppress(RuntimeError), torch.inference_mode():  # the export says it again
            net(example)
            break
    return example


def _argument(values: dict) -> object:
    """What a module takes: a tensor, or a dict of several."""
    return values if len(values) > 1 else next(iter(values.values()))


FORMATS = (
    Format("torch", ".safetensors", write_state, runner="torch"),
    Format("torch", ".pt", write_pt, runner="torch", place=Place(resume.carried, needs_rate=True)),
    Format("torch", ".pt2", write_pt2, runner="pt2"),
)
