"""The text of `model.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from converters.models.network_torch import layers, ops
from converters.models.network_torch.source import pieces
from converters.models.network_torch.source.classes import Class
from converters.models.network_torch.source.formatting import WIDTH, wrapped
from converters.models.network_torch.source.templates import Leaf
from converters.models.network_torch.source.text import literal

_MAX_PATHS = 3  # that a docstring names
_MAX_DOCSTRING = WIDTH - len('    """."""')


def module_text(classes: list[Class], title: str) -> str:
    """The whole of `model.py`.

    Args:
        classes: those that others are made of first; the network's own is the last.
        title: a sentence that says what it is.
    """
    body = "\n\n\n".join(_class_text(each) for each in classes)
    helpers = [inspect.getsource(each).rstrip() for each in _helpers(body)]
    head = f'"""{title}\n\n{_ABOUT}"""'
    imports = ["import json", "import pathlib"]
    used = "\n".join([body, *helpers])
    if "struct." in used:
        imports.append("import struct")
    if "math." in used:
        imports.insert(1, "import math")
    if "OrderedDict" in used:
        imports.append("from collections import OrderedDict")
    torch = ["import torch"]
    if re.search(r"\bF\.", used):
        torch.append("import torch.nn.functional as F")
    torch.append("from torch import nn")
    top = "\n".join([head, "", *imports, "", *torch])
    return "\n\n\n".join([top, *helpers, body, pieces.tail()]).rstrip() + "\n"


_ABOUT = """Images go in and out [batch, channels, height, width]. Needs PyTorch and nothing else:

    net = load()  # with the weights beside this file, in eval mode

`python model.py` runs it on the input in check.safetensors and compares the outputs.
"""


def _helpers(body: str) -> list:
    """The functions and classes that the source uses, those that others use before them."""
    homes = (pieces, layers, ops)
    known = {
        name: found
        for home in homes
        for name, found in vars(home).items()
        if inspect.getmodule(found) is home and (inspect.isclass(found) or inspect.isroutine(found))
    }
    chosen: dict[str, object] = {}

    def choose(text: str) -> None:
        for name in re.findall(r"(?<![.\w])\w+", text):
            if name in known and name not in chosen and name != "tail":
                found = known[name]
                chosen[name] = None  # its place is after what it uses
                choose(inspect.getsource(found))
                del chosen[name]
                chosen[name] = found

    choose(body)
    return list(chosen.values())


def _class_text(found: Class) -> str:
    template = found.template
    base = template.base.name if template.base else "nn.Module"
    lines = [f"class {found.name}({base}):", *_docstring(found), "", *_init(found), ""]
    lines += [f"    def forward({', '.join(['self', *template.arguments])}):"]
    for line in template.lines:
        lines += wrapped(line, 8)
    return "\n".join(lines)


def _docstring(found: Class) -> list[str]:
    paths = [path for path in found.paths if path]
    if not paths:
        return ['    """The whole network."""']
    more = len(paths) - _MAX_PATHS
    text = ", ".join(paths[:_MAX_PATHS]) + (f" and {more} more" if more > 0 else "")
    if len(text) > _MAX_DOCSTRING:
        tail = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        text = _end_of(paths[0], _MAX_DOCSTRING - len(tail)) + tail
    return [f'    """{text}."""']


def _end_of(path: str, length: int) -> str:
    """A path, without its first parts where it is too long."""
    while len(path) > length and "." in path:
        path = path.partition(".")[2]
    return path


def _init(found: Class) -> list[str]:
    template = found.template
    arguments = ["self"]
    for each in found.arguments:
        default = "" if each.default is ... else f"={literal(_one(each.default))}"
        arguments.append(each.name + default)
    own = template.base.arguments() if template.base else ""
    lines = wrapped(f"def __init__({', '.join(arguments)}):", 4)
    lines += wrapped(f"super().__init__({own})", 8)
    for name, maker in template.members.items():
        lines += wrapped(f"self.{name} = {maker.written()}", 8)
    for leaf in template.leaves:
        lines += _leaf(leaf, template.members)
    for path in template.frozen:
        lines += wrapped(f"self.{path}.requires_grad_(False)", 8)
    return lines


def _one(value: object) -> object:
    """A pair of the same as that."""
    is_pair = isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]
    return value[0] if is_pair else value


def _leaf(leaf: Leaf, members: Iterable[str]) -> list[str]:
    """A parameter or buffer, below the scopes that it lies in."""
    scope, _, name = leaf.path.rpartition(".")
    owner = f"self.{scope}" if scope else "self"
    value = f"torch.empty({', '.join(each.written() for each in leaf.shape) or '()'})"
    if leaf.is_trainable:
        return wrapped(f"{owner}.{name} = nn.Parameter({value})", 8)
    return wrapped(f'{owner}.register_buffer("{name}", {value})', 8)
