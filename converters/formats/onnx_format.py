"""ONNX, from the PyTorch module."""

from __future__ import annotations

from converters.formats.format import Format, Options, fits_protobuf
from converters.formats.torch_formats import exported
from converters.models.slim_model import INPUT, output_name
from converters.recognise.assumptions import metadata
from converters.recognise.checkpoint import SlimCheckpoint
from slim_resnet.files import atomic_files
from slim_resnet.frameworks import require


def write_onnx(ckpt: SlimCheckpoint, path: str, options: Options) -> None:
    """An ONNX model: images [batch, 3, height, width] -> logits, of any size.

    Weights are inside, or above 2 GiB in a file beside it, PATH.data, to which it refers.

    Raises:
        MissingFrameworkError: PyTorch or onnxscript is not installed.
    """
    torch = require("torch")
    require("onnxscript")
    program = torch.onnx.export(
        exported(ckpt),
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=[output_name(ckpt)],
        dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),
    )
    program.model.metadata_props.update(metadata(ckpt))
    program.save(path, external_data=not fits_protobuf(ckpt))


FORMATS = (Format("onnx", ".onnx", write_onnx, hidden=atomic_files),)
