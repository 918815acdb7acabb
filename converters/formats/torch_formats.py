"""What PyTorch opens: `.safetensors` and `.pt` (`torch_model.load`), `.pt2` (`torch.export`)."""

from __future__ import annotations

from converters.formats.format import Format, Options, Place
from converters.formats.safetensors_file import write_safetensors
from converters.models import resume
from converters.models.targets import to_torch, torch_views
from converters.recognise.assumptions import metadata
from converters.recognise.checkpoint import SlimCheckpoint
from slim_resnet.frameworks import require

# Any shape serves: all of it but the channels is dynamic.
_EXAMPLE_IMAGES = (2, 3, 65, 97)


def write_state(ckpt: SlimCheckpoint, path: str, options: Options) -> None:
    """Weights under the module's names, as safetensors; the architecture is in the metadata."""
    write_safetensors(torch_views(ckpt), path, {"format": "pt", **metadata(ckpt)})


def write_pt(ckpt: SlimCheckpoint, path: str, options: Options) -> None:
    """The same as `torch.save` writes it, with an optimizer where there is a recipe."""
    torch = require("torch")
    net = to_torch(ckpt)
    saved = {"metadata": metadata(ckpt), "state_dict": net.state_dict()}
    if options.recipe is not None:
        saved["optimizer"] = resume.torch_optimizer(ckpt, net, options.recipe).state_dict()
        saved["global_step"] = ckpt.global_step
    torch.save(saved, path)


def write_pt2(ckpt: SlimCheckpoint, path: str, options: Options) -> None:
    """A `torch.export` program: images [batch, 3, height, width] -> logits, of any size.

    `torch.export.load(path).module()` runs it where this project is not installed.
    """
    torch = require("torch")
    torch.export.save(exported(ckpt), path, extra_files=metadata(ckpt))


def exported(ckpt: SlimCheckpoint):
    """Our module as a `torch.export.ExportedProgram` with dynamic batch, height and width."""
    torch = require("torch")
    from torch.fx.experimental import _config

    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    # Otherwise the program refuses sizes at which a feature map, or the batch, has size 1.
    with _config.patch(backed_size_oblivious=True):
        program = torch.export.export(
            to_torch(ckpt), (torch.zeros(_EXAMPLE_IMAGES),), dynamic_shapes=(dynamic,)
        )
    for node in program.graph.nodes:  # they hold paths of the machine that converts
        node.meta.pop("stack_trace", None)
    return program


FORMATS = (
    Format("torch", ".safetensors", write_state),
    Format("torch", ".pt", write_pt, place=Place(resume.carried, needs_rate=True)),
    Format("torch", ".pt2", write_pt2),
)
