"""Graphs in protobuf's text format, turned into the binary one, as far as a reader asks for it.

Source: the protobuf text format specification; field numbers as in TensorFlow's `graph.proto`,
`node_def.proto`, `attr_value.proto`, `tensor.proto`, `tensor_shape.proto`, `types.proto`,
`meta_graph.proto` and `saved_model.proto`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from converters.files.errors import Malformed
from converters.files.escapes import unescape
from converters.files.wire import Buffer, encode_varint

_MAX_DEPTH = 32  # messages in messages; a graph needs ten

# fmt: off
_TYPES = (
    "INVALID", "FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "STRING", "COMPLEX64", "INT64",
    "BOOL", "QINT8", "QUINT8", "QINT32", "BFLOAT16", "QINT16", "QUINT16", "UINT16", "COMPLEX128",
    "HALF", "RESOURCE", "VARIANT", "UINT32", "UINT64",
)
# fmt: on
_WORDS = {f"DT_{name}": number for number, name in enumerate(_TYPES)} | {
    f"DT_{name}_REF": number + 100 for number, name in enumerate(_TYPES)
}
_WORDS |= {"true": 1, "false": 0}

# Message -> field -> (number, kind): a scalar of `_ENCODERS`, "+" for a packed repeated one, or a
# message. Fields that are not here are skipped.
_SCHEMA = {
    "SavedModel": {"meta_graphs": (2, "MetaGraphDef")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"),
        "graph_def": (2, "GraphDef"),
        "saver_def": (3, "SaverDef"),
        "collection_def": (4, "CollectionEntry"),
        "signature_def": (5, "SignatureEntry"),
    },
    "MetaInfoDef": {"tags": (4, "bytes")},
    "SaverDef": {
        "filename_tensor_name": (1, "bytes"),
        "save_tensor_name": (2, "bytes"),
        "restore_op_name": (3, "bytes"),
    },
    "CollectionEntry": {"key": (1, "bytes"), "value": (2, "CollectionDef")},
    "CollectionDef": {"node_list": (1, "Texts"), "bytes_list": (2, "Texts")},
    "Texts": {"value": (1, "bytes")},
    "SignatureEntry": {"key": (1, "bytes"), "value": (2, "SignatureDef")},
    "SignatureDef": {"inputs": (1, "InfoEntry"), "outputs": (2, "InfoEntry")},
    "InfoEntry": {"key": (1, "bytes"), "value": (2, "TensorInfo")},
    "TensorInfo": {"name": (1, "bytes"), "dtype": (2, "int"), "tensor_shape": (3, "Shape")},
    "GraphDef": {"node": (1, "NodeDef"), "library": (2, "Library")},
    "Library": {"function": (1, "FunctionDef")},
    "FunctionDef": {
        "signature": (1, "OpDef"),
        "node_def": (3, "NodeDef"),
        "ret": (4, "TextEntry"),
        "attr": (5, "AttrEntry"),
        "control_ret": (6, "TextEntry"),
    },
    "OpDef": {"name": (1, "bytes"), "input_arg": (2, "ArgDef"), "output_arg": (3, "ArgDef")},
    "ArgDef": {"name": (1, "bytes"), "type": (3, "int"), "type_attr": (4, "bytes")},
    "TextEntry": {"key": (1, "bytes"), "value": (2, "bytes")},
    "NodeDef": {
        "name": (1, "bytes"),
        "op": (2, "bytes"),
        "input": (3, "bytes"),
        "attr": (5, "AttrEntry"),
    },
    "AttrEntry": {"key": (1, "bytes"), "value": (2, "AttrValue")},
    "AttrValue": {
        "list": (1, "ListValue"),
        "s": (2, "bytes"),
        "i": (3, "int"),
        "f": (4, "float"),
        "b": (5, "int"),
        "type": (6, "int"),
        "shape": (7, "Shape"),
        "tensor": (8, "Tensor"),
        "func": (10, "NameAttrList"),
    },
    "NameAttrList": {"name": (1, "bytes"), "attr": (2, "AttrEntry")},
    "ListValue": {
        "s": (2, "bytes"),
        "i": (3, "int+"),
        "f": (4, "float+"),
        "b": (5, "int+"),
        "type": (6, "int+"),
        "shape": (7, "Shape"),
    },
    "Shape": {"dim": (2, "Dim"), "unknown_rank": (3, "int")},
    "Dim": {"size": (1, "int")},
    "Tensor": {
        "dtype": (1, "int"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float+"),
        "double_val": (6, "double+"),
        "int_val": (7, "int+"),
        "string_val": (8, "bytes"),
        "int64_val": (10, "int+"),
        "bool_val": (11, "int+"),
        "half_val": (13, "int+"),
    },
    "Nothing": {},
}

_TOKEN = re.compile(
    rb"""(?:[\s,;]|\#[^\n]*)*(?:
    (?P<name>\w+)[ \t\r\n]*(?P<colon>:?)[ \t\r\n]*(?:
      (?P<open>[{<])
      |(?P<strings>(?:(?:"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\\\n]*(?:\\.[^'\\\n]*)*')\s*)+)
      |(?P<scalar>[-+\w.]+)
    )
    |(?P<close>[}>])
    |(?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_STRING = re.compile(rb""""([^"\\]*(?:\\.[^"\\]*)*)"|'([^'\\]*(?:\\.[^'\\]*)*)'""", re.DOTALL)


def serialize(text: Buffer, message: str) -> bytes:
    """The text form of a `message` ("GraphDef", ...) as the bytes of its binary form.

    Raises:
        Malformed: it is not in the text format, a value is of the wrong kind, or messages are
            nested deeper than any graph's.
    """
    stack = [_Frame(_SCHEMA[message], 0)]
    for token in _tokens(text):
        frame = stack[-1]
        if token["close"]:
            if len(stack) == 1:
                raise Malformed("it closes a bracket that it never opened")
            stack.pop()
            if frame.number:
                stack[-1].add(frame.number, frame.content())
        elif token["open"]:
            if len(stack) == _MAX_DEPTH:
                raise Malformed(f"its messages are nested more than {_MAX_DEPTH} deep")
            number, kind = frame.fields.get(str(token["name"], "ascii", "replace"), (0, "Nothing"))
            stack.append(_Frame(_SCHEMA.get(kind, {}), number))
        else:
            _add_scalar(frame, token)
    if len(stack) > 1:
        raise Malformed("it ends within a message: it is cut short")
    return stack[0].content()


@dataclass
class _Frame:
    """A message that is being read, and the field it will be in its parent (0: to be skipped)."""

    fields: dict[str, tuple[int, str]]
    number: int
    body: bytearray = field(default_factory=bytearray)
    packed: dict[int, bytearray] = field(default_factory=dict)

    def add(self, number: int, content: Buffer) -> None:
        self.body += encode_varint(number << 3 | 2) + encode_varint(len(content)) + content

    def content(self) -> bytes:
        for number, values in self.packed.items():
            self.add(number, values)
        self.packed.clear()
        return bytes(self.body)


def _tokens(text: Buffer) -> Iterator[re.Match[bytes]]:
    position = 0
    while True:
        token = _TOKEN.match(text, position)
        if token is None:
            line = bytes(text[:position]).count(b"\n") + 1
            raise Malformed(f"it is not in protobuf's text format at or after line {line}")
        if token["end"] is not None:
            return
        yield token
        position = token.end()


def _add_scalar(frame: _Frame, token: re.Match[bytes]) -> None:
    name = str(token["name"], "ascii", "replace")
    if not token["colon"]:
        raise Malformed(f"its field {name!r} has no value")
    if name not in frame.fields:
        return
    number, kind = frame.fields[name]
    if (kind == "bytes") != (token["strings"] is not None) or kind in _SCHEMA:
        raise Malformed(f"its field {name!r} has a value of the wrong kind")
    if kind == "bytes":
        strings = _STRING.findall(token["strings"])
        frame.add(number, b"".join(unescape(double or single) for double, single in strings))
        return
    wire_type, encode = _ENCODERS[kind.rstrip("+")]
    try:
        value = encode(str(token["scalar"], "ascii"))
    except (ValueError, OverflowError, struct.error):
        text = str(token["scalar"], "ascii", "replace")
        raise Malformed(f"its field {name!r} has the impossible value {text}") from None
    if kind.endswith("+"):
        frame.packed.setdefault(number, bytearray()).extend(value)
    else:
        frame.body += encode_varint(number << 3 | wire_type) + value


def _integer(text: str) -> bytes:
    value = _WORDS[text] if text in _WORDS else int(text, 0)
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError
    return encode_varint(value & (1 << 64) - 1)


def _packer(code: str) -> Callable[[str], bytes]:
    return lambda text: struct.pack(code, float(text))


# Kind of a scalar -> its wire type and how it is encoded.
_ENCODERS = {"int": (0, _integer), "float": (5, _packer("<f")), "double": (1, _packer("<d"))}
