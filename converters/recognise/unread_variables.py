"""Variables inside a recognised network that none of its layers reads, and what they look like."""

from __future__ import annotations

import re
from collections.abc import Mapping

from converters.recognise.detection import auxiliary_kind
from slim_resnet.arch.architecture import Arch

UNKNOWN = "unknown"

# What a variable looks like, by its name below the network's scope, the first that fits; names are
# those of public code bases (SENet and CBAM in TensorFlow, tf.contrib.quantize, tf.layers, Keras).
_LOOKS = {
    "squeeze-and-excitation": r"(?i)(^|[/_])(se\d*|se_?(block|module|layer|unit)\w*|"
    r"squeeze\w*|excit\w*)(/|$)",
    "attention (CBAM)": r"(?i)(^|[/_])(cbam\w*|\w*attention\w*|(ch|channel|sp|spatial)_at\w*)(/|$)",
    "PReLU slopes": r"(?i)(^|/)(\w*prelu\w*(/\w+)?|alphas?)$",
    "fake quantization": r"(^|/)(act_quant|weights_quant|\w*quant\w*)/|/(min|max)$",
    "batch renormalization": r"/renorm_\w+$",
    "zero-debias helper": r"/(biased|local_step)(_\d+)?$",
    "another normalization": r"(?i)(^|/)(group|layer|instance)_?norm\w*(_\d+)?/",
    "spectral normalization": r"(^|/)(u|u_var|spectral_norm\w*)$",
    "weight normalization": r"(^|/)g$",
}
_PATTERNS = {what: re.compile(pattern) for what, pattern in _LOOKS.items()}


def unread(arch: Arch, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """The variables below a network's scope that `arch` does not have, training's own left out.

    A network that has them computes something else than `arch`, unless they belong to something
    beside its path, like a head in the same scope.

    Args:
        arch: the network that was recognised there.
        shapes: name below its scope -> shape.

    Returns:
        Name -> what it looks like: "squeeze-and-excitation", "bias beside a batch norm", ...;
        "unknown" where nothing fits.
    """
    known = {variable.name for variable in arch.variables}
    norms = {name.partition("/BatchNorm/")[0] for name in known if "/BatchNorm/" in name}
    found = {}
    for name, shape in shapes.items():
        if name not in known and auxiliary_kind(name) is None:
            found[name] = _looks(name, shape, norms)
    return found


def _looks(name: str, shape: tuple[int, ...], norms: set[str]) -> str:
    scope, _, last = name.rpartition("/")
    if last in ("biases", "bias") and scope in norms:
        return "bias beside a batch norm"
    for what, pattern in _PATTERNS.items():
        if pattern.search(name) and (what != "PReLU slopes" or len(shape) in (1, 3)):
            return what
    return UNKNOWN
