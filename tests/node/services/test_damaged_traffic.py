"""Good traffic, damaged at random: each association ends, each fault is a line, and the next scanner is served."""

from __future__ import annotations

import logging
import random
import struct

import pytest

VALUES = (0, 1, 65_535, 65_536, 2**31, 2**32 - 1)


def damaged(data: bytes, draw: random.Random) -> bytes:
    """With some bytes changed, added, left out, or replaced by what may be a length."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        at = draw.randrange(len(changed))
        match draw.randrange(4):
            case 0 | 1:
                changed[at] = draw.randrange(256)
            case 2:
                changed[at : at + draw.randrange(9)] = draw.randbytes(draw.randrange(1, 9))
            case 3:
                changed[at : at + 4] = struct.pack(">L", draw.choice(VALUES))
    return bytes(changed)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_requests_commands_and_data_sets(start, scanner, make_image, caplog, seed):
    receiving, draw = start(network_timeout_s=0.2, maximum_associations_per_remote=32), random.Random(seed)
    data_set = make_image(pixels=64).read_bytes()[-250:]
    command = {0x0002: b"1.2.840.10008.5.1.4.1.1.4\0", 0x0100: b"\1\0", 0x0110: b"\1\0", 0x0700: b"\0\0"}
    command |= {0x0800: b"\1\0", 0x1000: b"1.2.3.4.1\0"}
    for number in range(20):
        each = scanner(receiving.port)
        request = each.request(contexts=2)
        pieces = each.fragment(3, each.command(command)), each.fragment(2, data_set)
        traffic = b"".join(b"\x04\0" + struct.pack(">L", len(piece)) + piece for piece in pieces)
        if number % 2:
            each.send(damaged(request, draw))
        elif each.associate(contexts=2) == "accepted":
            each.send(damaged(traffic, draw))
        each.close()
    honest = scanner(receiving.port)
    assert honest.associate() == "accepted"
    assert honest.release() == "released"
    ours = [record for record in caplog.records if record.name.startswith("node")]
    assert [record.getMessage() for record in ours if record.levelno > logging.WARNING or record.exc_info] == []
