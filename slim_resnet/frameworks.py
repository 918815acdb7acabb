"""The one place that imports a framework: says what is missing, hides what is chatter."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import threading
from types import ModuleType

# Distribution name and the extra that brings it, by module.
_FRAMEWORKS = {
    "tensorflow": ("TensorFlow", "tf"),
    "tf_slim": ("tf-slim", "tf"),
    "tf_keras": ("tf_keras", "tf"),
    "keras": ("Keras", "tf"),
    "torch": ("PyTorch", "torch"),
    "torchvision": ("torchvision", "test"),
    "onnxscript": ("onnxscript", "onnx"),
    "sklearn": ("scikit-learn", "train"),
    "matplotlib": ("matplotlib", "train"),
    "libcst": ("LibCST", "legacy"),
}

# What TensorFlow's C++ side prints while it starts; no environment variable silences all of it.
_CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog|[IW]\d{4} |"
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |To enable the following instructions|"
    rb"E\d{4} .*(cuInit|CUDA|computation_placer|already been registered))"
)

# What tells the relay that this process has written all it had to.
_END = b"\0\n"


class MissingFrameworkError(ImportError):
    """A framework that this call needs is not installed."""


def require(module: str) -> ModuleType:
    """Imports `module`, quietly.

    Args:
        module: a dotted module name whose first part is a framework, e.g. "tensorflow.compat.v1".

    Returns:
        The module itself (not its top-level package).

    Raises:
        MissingFrameworkError: it is not installed; the message names the extra that brings it.
    """
    top = module.partition(".")[0]
    if top == "tensorflow":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with quiet_stderr():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != top:
            raise
        name, extra = _FRAMEWORKS[top]
        raise MissingFrameworkError(
            f"this needs {name}: pip install -e '.[{extra}]' in the folder of slim-resnet", name=top
        ) from error


@contextlib.contextmanager
def quiet_stderr():
    """Drops TensorFlow's start-up chatter from file descriptor 2; the rest passes at once."""
    try:
        sys.stderr.flush()
        real = os.dup(2)
    except (AttributeError, OSError, ValueError):  # no stderr at all (pythonw, a closed daemon)
        yield
        return
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    ended = threading.Event()
    threading.Thread(target=_relay, args=(reader, real, ended), daemon=True).start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(real, 2)
        with contextlib.suppress(OSError):  # nobody reads what is said any more
            os.write(writer, _END)
        os.close(writer)
        ended.wait()


def _relay(reader: int, real: int, ended: threading.Event) -> None:
    """Passes lines on until nobody can write any more: a process that was started may live on."""
    try:
        with os.fdopen(reader, "rb") as lines:
            for line in lines:
                text = line.removesuffix(_END)
                if text and not _CHATTER.match(text):
                    os.write(real, text)
                if text != line:
                    ended.set()
    finally:
        ended.set()
        os.close(real)
