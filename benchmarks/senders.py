"""Senders that cost little: objects encoded once, whole PDUs, several associations a process, a thread each.

Only the SOP Instance UID differs between the objects of a sender; each sender has a study of its own.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

HOST = "127.0.0.1"
LARGEST_PDU = 131072
_NUMBER = b"0000000000"  # the last component of a SOP Instance UID, in every object of the same length
_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the objects of one run; times on the monotonic clock of the machine, in s."""

    begun: float
    ended: float
    answered_after: list[float]
    statuses: list[int]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of image: SOP class, and side in pixels of two bytes."""

    sop_class: str
    side: int


KINDS = {"MR 200 kB": Kind(MRImageStorage, 320), "CT 500 kB": Kind(CTImageStorage, 512)}


def send(port: int, called: str, kind: str, senders: int, images: int, prefix: str, calling_host: str = HOST) -> Sent:
    """Send so many images by so many senders at once, from as few processes as can be.

    Raises:
        RuntimeError: an association was not accepted, or a sender failed.
    """
    processes = min(_PROCESSES, senders)
    shares = [(senders * (n + 1) // processes - senders * n // processes) for n in range(processes)]
    running = []
    for number, share in enumerate(shares):
        words = (port, called, kind, share, images // senders, f"{prefix}.{number}", calling_host)
        call = [sys.executable, "-m", "benchmarks.senders", *map(str, words)]
        running.append(subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for each in running:
        assert each.stdout is not None
        if each.stdout.readline() != "ready\n":
            raise RuntimeError("a sender has no association")
    for each in running:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    found = [Sent(**json.loads(each.communicate(timeout=120)[0])) for each in running]
    return Sent(
        min(each.begun for each in found),
        max(each.ended for each in found),
        [seconds for each in found for seconds in each.answered_after],
        [status for each in found for status in each.statuses],
    )


def main(words: Sequence[str]) -> None:
    """One process: associate, say so, wait for a line, send."""
    port, called, kind, senders, images, prefix, host = words
    opened = [
        Sender(int(port), called, KINDS[kind], f"{prefix}.{number}", host) for number in range(1, int(senders) + 1)
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.monotonic()
    threads = [threading.Thread(target=_send_and_release, args=(each, int(images))) for each in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = max(each.ended for each in opened)
    times = [seconds for each in opened for seconds in each.answered_after]
    print(json.dumps(asdict(Sent(begun, ended, times, [status for each in opened for status in each.statuses]))))


def _send_and_release(sender: Sender, images: int) -> None:
    """An association that stays open with nothing to send would hold a thread of a receiver that waits for it."""
    sender.send(images)
    sender.release()


class Sender:
    """One association that sends images of one series.

    Attributes:
        answered_after: seconds from the first byte of each object to the last of its response.
        statuses: of the responses.
        ended: when the last response had come, on the monotonic clock.
    """

    def __init__(self, port: int, called: str, kind: Kind, prefix: str, host: str = HOST) -> None:
        self.answered_after: list[float] = []
        self.statuses: list[int] = []
        self.ended = 0.0
        self._kind, self._prefix = kind, prefix
        self._socket = socket.create_connection((HOST, port), 60, (host, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(association_request(called, kind.sop_class))
        answer, body = self._read()
        if answer != 0x02:
            raise RuntimeError("no association")
        maximum = int.from_bytes(body[body.index(b"\x51\0\0\4") + 4 :][:4], "big") or LARGEST_PDU
        self._message, self._places = message(kind, prefix, min(maximum, LARGEST_PDU))

    def send(self, images: int) -> None:
        """Send so many, each after the answer to the one before."""
        for number in range(1, images + 1):
            digits = b"%010d" % (10**9 + number)
            for place in self._places:
                self._message[place : place + len(digits)] = digits
            begun = time.monotonic()
            self._socket.sendall(self._message)
            body = self._read()[1]
            self.answered_after.append(time.monotonic() - begun)
            at = body.find(b"\0\0\0\x09\2\0\0\0")
            self.statuses.append(int.from_bytes(body[at + 8 : at + 10], "little"))
        self.ended = time.monotonic()

    def send_large(self, size: int) -> tuple[float, int]:
        """Send one object with so many bytes of pixels, which are made on the way."""
        made = image(self._kind, self._prefix, f"{self._prefix}.1.2")
        del made.PixelData
        head = encoded(made) + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size)
        begun, room = time.monotonic(), LARGEST_PDU - 6
        self._socket.sendall(pdata(3, command_set(self._kind.sop_class, f"{self._prefix}.1.2")) + pdata(0, head))
        whole = pdata(0, bytes(room))
        for _ in range(size // room):
            self._socket.sendall(whole)
        self._socket.sendall(pdata(2, bytes(size % room)))
        body = self._read()[1]
        at = body.find(b"\0\0\0\x09\2\0\0\0")
        return time.monotonic() - begun, int.from_bytes(body[at + 8 : at + 10], "little")

    def release(self) -> None:
        """End the association."""
        self._socket.sendall(b"\5\0\0\0\0\4\0\0\0\0")
        self._read()
        self._socket.close()

    def _read(self) -> tuple[int, bytes]:
        head = self._exactly(6)
        return head[0], self._exactly(int.from_bytes(head[2:], "big"))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise RuntimeError("the receiver has closed the connection")
            data += piece
        return data


def send_large(port: int, called: str, size: int) -> tuple[float, int]:
    """Send one object of so many bytes; seconds until the response, and its status."""
    sender = Sender(port, called, KINDS["MR 200 kB"], f"1.2.3.{time.time_ns()}")
    return sender.send_large(size)


def message(kind: Kind, prefix: str, maximum: int) -> tuple[bytearray, list[int]]:
    """A C-STORE-RQ and its data set in PDUs of a maximum, and where the number of the object stands in them."""
    uid = f"{prefix}.1." + (b"1" + _NUMBER[1:]).decode()
    data_set = encoded(image(kind, prefix, uid))
    command = command_set(kind.sop_class, uid)
    pdus = bytearray(pdata(3, command))
    room = (maximum - 6) // 2 * 2
    for start in range(0, len(data_set), room):
        pdus += pdata(2 if start + room >= len(data_set) else 0, data_set[start : start + room])
    places, digits = [], uid.encode()
    at = pdus.find(digits)
    while at >= 0:
        places.append(at + len(digits) - len(_NUMBER))
        at = pdus.find(digits, at + 1)
    return pdus, places


def image(kind: Kind, prefix: str, uid: str) -> Dataset:
    """An image with about as many elements as scanners write."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = kind.sop_class, uid
    made.StudyInstanceUID, made.SeriesInstanceUID = prefix, f"{prefix}.1"
    for keyword in _TEXTS:
        setattr(made, keyword, "TEXT")
    for keyword in _NUMBERS:
        setattr(made, keyword, "1.5")
    made.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    made.StudyDate = made.SeriesDate = made.ContentDate = made.AcquisitionDate = "20260101"
    made.StudyTime = made.SeriesTime = made.ContentTime = made.AcquisitionTime = "120000.000000"
    made.ReferencedImageSequence = ItemSequence([_reference(number) for number in range(3)])
    made.ImagePositionPatient, made.ImageOrientationPatient = [1.5, 2.5, 3.5], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.FrameOfReferenceUID = [0.5, 0.5], "1.2.3.4"
    for number in range(60):  # private elements, as scanners write them
        made.private_block(0x0029, "BENCHMARK", create=True).add_new(number, "LO", f"private {number}")
    made.Rows = made.Columns = kind.side
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = np.random.default_rng(0).integers(0, 4000, (kind.side, kind.side), dtype=np.uint16).tobytes()
    made["PixelData"].VR = "OW"
    return made


_TEXTS = (
    *("Manufacturer", "InstitutionName", "StationName", "StudyDescription", "SeriesDescription", "PatientID"),
    *("ManufacturerModelName", "PatientName", "BodyPartExamined", "ScanningSequence", "SequenceVariant"),
    *("ProtocolName", "SoftwareVersions", "DeviceSerialNumber", "PatientPosition", "StudyID", "AccessionNumber"),
)
_NUMBERS = (
    *("SliceThickness", "RepetitionTime", "EchoTime", "NumberOfAverages", "ImagingFrequency", "SpacingBetweenSlices"),
    *("PixelBandwidth", "FlipAngle", "SAR", "PatientWeight", "WindowCenter", "WindowWidth", "SliceLocation"),
)


def _reference(number: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, f"1.2.3.{number}"
    return item


def encoded(data_set: Dataset) -> bytes:
    """A data set in Explicit VR Little Endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, data_set)
    return buffer.getvalue()


def command_set(sop_class: str, uid: str) -> bytes:
    """A C-STORE-RQ."""
    elements = {0x0002: even(sop_class), 0x0100: b"\1\0", 0x0110: b"\1\0", 0x0700: b"\0\0", 0x0800: b"\1\0"}
    elements[0x1000] = even(uid)
    body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in sorted(elements.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def even(uid: str) -> bytes:
    """A UID as a value."""
    return uid.encode() + b"\0" * (len(uid) % 2)


def pdata(control: int, content: bytes) -> bytes:
    """A P-DATA of one fragment."""
    return struct.pack(">BBLLBB", 4, 0, len(content) + 6, len(content) + 2, 1, control) + content


def association_request(called: str, sop_class: str) -> bytes:
    """An A-ASSOCIATE-RQ for one class in Explicit VR Little Endian."""
    context = _item(0x20, b"\1\0\0\0" + _item(0x30, sop_class.encode()) + _item(0x40, ExplicitVRLittleEndian.encode()))
    user = _item(0x50, _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3.4.5"))
    titles = called.encode().ljust(16) + b"BENCH".ljust(16)
    body = b"\0\1\0\0" + titles + bytes(32) + _item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
    return b"\1\0" + struct.pack(">L", len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


if __name__ == "__main__":
    main(sys.argv[1:])
