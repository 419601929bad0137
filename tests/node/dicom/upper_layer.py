"""Peers that speak the upper layer (PS3.8 9.3) in bytes, to do what no toolkit lets them do."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
VERIFICATION, IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"
ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 1, 2, 4, 5, 6, 7
FIRST_CONTEXT, LAST = 1, 2


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body)) + body


def association_pdu(kind: int, contexts: bytes, maximum: int | None) -> bytes:
    titles = b"RECTALNODE".ljust(16) + b"RAW".ljust(16)
    length = b"" if maximum is None else item(0x51, struct.pack(">L", maximum))
    user = item(0x50, length + item(0x52, b"1.2.3"))
    return pdu(kind, b"\0\1\0\0" + titles + bytes(32) + item(0x10, APPLICATION_CONTEXT) + contexts + user)


def read_pdu(peer: socket.socket) -> tuple[int, bytes]:
    kind, _, length = struct.unpack(">BBL", read(peer, 6))
    return kind, read(peer, length)


def read(peer: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = peer.recv(count - len(found))
        assert more, "the connection was closed"
        found += more
    return found


def fragments(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Message control header and bytes of each fragment of a P-DATA-TF PDU."""
    while body:
        length, _, control = struct.unpack(">LBB", body[:6])
        yield control, body[6 : 4 + length]
        body = body[4 + length :]


def response(command_field: int, sop_class: bytes, status: int = 0) -> bytes:
    """A command set in Implicit VR Little Endian that answers message 1."""
    elements = {0x0002: sop_class + b"\0" * (len(sop_class) % 2), 0x0100: struct.pack("<H", command_field)}
    elements |= {0x0120: struct.pack("<H", 1), 0x0800: struct.pack("<H", 0x0101), 0x0900: struct.pack("<H", status)}
    body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in elements.items())
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


class RawReceiver:
    """An SCP of one association that names a maximum, answers C-STORE with Success and keeps fragment lengths.

    With `then`, bytes that follow the acceptance as soon as `told` is set, it does nothing else.
    """

    def __init__(self, maximum: int | None, then: bytes = b"") -> None:
        self._maximum, self._then = maximum, then
        self.told = threading.Event()
        self.lengths: list[int] = []
        self.longest_pdu = 0
        self.data_set = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        peer, _ = self._listening.accept()
        with peer:
            peer.settimeout(60)
            _, request = read_pdu(peer)
            peer.sendall(association_pdu(ASSOCIATE_AC, accepted(request), self._maximum))
            if self._then:
                assert self.told.wait(60)
                peer.sendall(self._then)
                return
            while (received := read_pdu(peer))[0] == P_DATA:
                self.longest_pdu = max(self.longest_pdu, len(received[1]))
                for control, fragment in fragments(received[1]):
                    self.lengths.append(len(fragment))
                    self.data_set += b"" if control & 1 else fragment
                    if control == LAST:
                        answer = response(0x8001, MRImageStorage.encode())
                        pdv = struct.pack(">LBB", len(answer) + 2, FIRST_CONTEXT, 3) + answer
                        peer.sendall(pdu(P_DATA, pdv))
            assert received[0] == RELEASE_RQ
            peer.sendall(pdu(RELEASE_RP, bytes(4)))

    def stop(self) -> None:
        self._listening.close()
        self._thread.join(60)


def accepted(request: bytes) -> bytes:
    """Result items for the presentation contexts of an A-ASSOCIATE-RQ: the first is accepted, the others are not."""
    results, rest = b"", request[68:]
    while rest:
        kind, _, length = struct.unpack(">BBH", rest[:4])
        if kind == 0x20:
            result = 0 if rest[4] == FIRST_CONTEXT else 4  # transfer syntaxes not supported
            results += item(0x21, bytes([rest[4], 0, result, 0]) + item(0x40, ExplicitVRLittleEndian.encode()))
        rest = rest[4 + length :]
    return results
