"""The algorithms below the formats, against published vectors and plain references."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from fuzzing.handmade import snappy

from converters.files.checkpoint.checksums import crc32c, masked_crc32c
from converters.files.checkpoint.snappy import decompress
from converters.files.errors import Malformed
from converters.files.escapes import unescape


@pytest.mark.parametrize(
    ("text", "crc"),
    [
        (b"", 0),
        (b"a", 0xC1D04330),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next three: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_crc_vectors(text, crc):
    assert crc32c(text) == crc
    assert masked_crc32c(text) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("size", [1023, 1024, 1025, 4096, 30_000, 214_016, 1 << 20, 1_500_001])
def test_crc_of_every_size(size):
    text = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    assert crc32c(text) == plain_crc(text)
    assert crc32c(memoryview(text)[1:]) == plain_crc(text[1:])


def plain_crc(text: bytes) -> int:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    crc = 0xFFFFFFFF
    for byte in text:
        crc = table[crc & 0xFF ^ byte] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        ("00", b""),
        ("0100 61", b"a"),
        ("0a 00 61 0d 01 04 62 63", b"a" * 8 + b"bc"),  # a copy that runs into its own output
        ("06 08 616263 0a 0300", b"abcabc"),  # offset of two bytes
        ("06 08 616263 0b 03000000", b"abcabc"),  # offset of four bytes
        ("07 08 616263 0e 0200", b"abcbcbc"),
        ("3d f0 3c" + "7a" * 61, b"z" * 61),  # literals with a size of one and of two bytes
        ("ac02 f4 2b01" + "79" * 300, b"y" * 300),
    ],
)
def test_snappy_streams(stream, text):
    assert decompress(bytes.fromhex(stream)) == text


def test_snappy_written_by_a_real_compressor():
    """Made by cramjam 2.14 from the text below."""
    text = b"".join(b"resnet_v1_50/block%d/unit_%d/weights;" % (i, i * i) for i in range(12))
    assert decompress(bytes.fromhex(STREAM)) == text


STREAM = (
    "b003887265736e65745f76315f35302f626c6f636b302f756e69745f302f776569676874733b462300003109"
    "2300316a23000032092300346a23000033092300396a2300003409230431366a2400003509240432356a2400"
    "0036092400336e4800003709240434396a48000038092400366ed7000039092400386e1e0104313009250831"
    "30306a6e00003131682832312f776569676874733b"
)


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 200_000])
def test_snappy_round_trip(size):
    rng = np.random.default_rng(size)
    text = np.repeat(rng.integers(0, 9, size, np.uint8), rng.integers(1, 9, size)).tobytes()
    text += text[:70_000]
    assert decompress(snappy(text)) == text


@pytest.mark.parametrize(
    "stream",
    [
        "",  # no length
        "ffffffffffffffffffff01",  # a length over 64 bits
        "ffffffff0f 00 61",  # a length that three bytes can never fill
        "02 00 61",  # less than claimed
        "01 04 6161",  # more than claimed
        "05 08 6161",  # a literal cut short
        "05 f4 ff",  # its size cut short
        "05 00 61 01",  # copies cut short
        "05 00 61 0e 01",
        "05 00 61 0f 010000",
        "05 00 61 01 00",  # an offset of zero
        "05 00 61 01 02",  # an offset before the start
        "04 01 01",
    ],
)
def test_snappy_refuses(stream):
    with pytest.raises(Malformed):
        decompress(bytes.fromhex(stream))


def test_snappy_survives_noise():
    rng = np.random.default_rng(0)
    good = snappy(bytes(rng.integers(0, 4, 400, np.uint8)))
    for _ in range(3000):
        stream = bytearray(good)
        for at in rng.integers(0, len(good), rng.integers(1, 4)):
            stream[at] = rng.integers(256)
        with suppress(Malformed):
            assert len(decompress(stream)) <= 64 / 3 * len(stream)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb"a\n\t\v\\\"", b'a\n\t\v\\"'),
        (rb"\7\101\1012\x41\x4g", b"\x07AA2A\x04g"),
        (rb"\777", b"\xff"),
        (rb"\8\x\q", b"8xq"),
        (b"\\\n", b"\n"),
    ],
)
def test_unescape(text, value):
    assert unescape(text) == value
