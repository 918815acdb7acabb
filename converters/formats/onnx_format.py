"""ONNX, from the PyTorch module."""

from __future__ import annotations

from converters.formats.file_metadata import metadata
from converters.formats.format import Format, Options, fits_protobuf
from converters.formats.torch_formats import channels_first_shapes, exported
from converters.models.slim_model import output_names
from converters.recognise.recognised import Recognised
from slim_resnet.files import atomic_files
from slim_resnet.frameworks import require


def write_onnx(ckpt: Recognised, path: str, options: Options) -> None:
    """An ONNX model: images [batch, 3, height, width] -> logits, of any size.

    Weights are inside, or above 2 GiB in a file beside it, PATH.data, to which it refers.

    Raises:
        MissingFrameworkError: PyTorch or onnxscript is not installed.
    """
    torch = require("torch")
    require("onnxscript")
    inputs = channels_first_shapes(ckpt)
    dynamic = [
        {i: axis for i, (axis, size) in enumerate(shape.items()) if size is None}
        for shape in inputs.values()
    ]
    names = dict(zip(inputs, dynamic, strict=True))
    program = torch.onnx.export(
        exported(ckpt),
        dynamo=True,
        verbose=False,
        input_names=list(inputs),
        output_names=list(output_names(ckpt)),
        dynamic_shapes=(names if len(names) > 1 else dynamic[0],),
    )
    program.model.metadata_props.update(metadata(ckpt))
    program.save(path, external_data=not fits_protobuf(ckpt))


FORMATS = (Format("onnx", ".onnx", write_onnx, hidden=atomic_files, runner="onnx"),)
