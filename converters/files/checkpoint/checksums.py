"""CRC-32C (Castagnoli) at memory speed, in NumPy and a 256-entry table.

Source: TensorFlow's `core/lib/hash/crc32c.h`, which also defines the mask.
"""

from __future__ import annotations

import numpy as np

from converters.files.wire import Buffer

_REVERSED_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8

# x^209 + x^144 + x^54 + x^39 + x^14 + 1 is a multiple of the polynomial (the one of lowest degree
# with six terms), so a term of degree d is worth those of degrees d - 65, d - 155, ... d - 209.
# Over GF(2), Q(x)^n = Q(x^n) for n a power of two, so the same holds of whole bytes (n = 8) and of
# whole runs of bytes: XOR a run into the five places these drops name, and it may be left out
# without a change to the checksum.
_DROPS = (65, 155, 170, 195, 209)
_CHUNK = 1 << 20  # bytes folded at once: the working set stays in the processor's cache
_STRIDES = (1024, 512, 256, 128, 64, 32, 16, 8, 4, 2)  # bytes in a run
_SMALL = 1024  # bytes; below, the table alone is quicker


def _table() -> tuple[int, ...]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_REVERSED_POLYNOMIAL if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


_TABLE = _table()


def crc32c(data: Buffer) -> int:
    """The CRC-32C of `data`, a uint32."""
    if len(data) < _SMALL:
        return _bytewise(data, 0xFFFFFFFF) ^ 0xFFFFFFFF
    # A start value of all ones is the same as complementing the first four bytes.
    return _bytewise(_reduced(np.frombuffer(data, np.uint8)).tobytes(), 0) ^ 0xFFFFFFFF


def masked_crc32c(data: Buffer) -> int:
    """The CRC-32C of `data` as TensorFlow stores it: rotated right by 15, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _bytewise(data: Buffer, crc: int) -> int:
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


def _reduced(octets: np.ndarray) -> np.ndarray:
    """At most 418 bytes with the checksum of `octets` (uint8 [n], n >= 4), start value included."""
    rest = octets[:4] ^ 0xFF
    for start in range(4, len(octets), _CHUNK):
        rest = np.concatenate([rest, octets[start : start + _CHUNK]])
        rest = _fold(rest, _STRIDES[0])
    for stride in _STRIDES:
        rest = _fold(rest, stride)
    return rest


def _fold(octets: np.ndarray, stride: int) -> np.ndarray:
    """Fold leading bytes into later ones, in place, until 209 strides are left; a view of those."""
    start, stop = 0, len(octets) - _DROPS[-1] * stride
    while start < stop:
        size = min(_DROPS[0] * stride, stop - start)
        run = octets[start : start + size]
        for drop in _DROPS:
            target = octets[start + drop * stride :][:size]
            np.bitwise_xor(target, run, out=target)
        start += size
    return octets[start:]
