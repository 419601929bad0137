"""What strangers and hostile senders cost: a node of its own, an honest scanner beside them, and its memory after each.

.venv/bin/python benchmarks/hostile_senders.py
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydicom.uid import DeflatedExplicitVRLittleEndian, MRImageStorage
from rich.console import Console
from rich.table import Table

HOST, _HOSTILE = "127.0.0.1", "127.0.0.2"
_CROWD_EVERY_S = 5
MEGABYTE = 1e6
_ASSOCIATED, _REJECTED, _ABORTED = 0x02, 0x03, 0x07
_NAMES = {_ASSOCIATED: "accepted", _REJECTED: "rejected", _ABORTED: "aborted", 0: "closed"}


def main(seconds: Annotated[int, typer.Option(help="How long one probe a second goes on.")] = 60) -> None:
    """Run every attack and print what the scanner and the machine noticed."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, node(Path(folder)) as (process, port):
        _strangers(port, seconds)
        _crowd(port)
        _memory(process, port)


def _strangers(port: int, seconds: int) -> None:
    table = Table("strangers", "honest scanner, at once after them")
    for count in (20, 17):
        for _ in range(count):
            connect(port).close()
        table.add_row(f"{count} connections that close", ask(port)[0])
    silent = [connect(port) for _ in range(400)]
    table.add_row("400 connections that say nothing", ask(port)[0])
    for each in silent:
        each.close()
    answers = []
    for _ in range(seconds):
        connect(port).close()
        answers.append(ask(port)[0])
        time.sleep(1)
    found = {answer: answers.count(answer) for answer in sorted(set(answers))}
    table.add_row(f"one a second for {seconds} s, the scanner after each", str(found))
    Console().print(table)


def _crowd(port: int) -> None:
    begin = time.monotonic()
    crowd = [connect(port) for _ in range(200)]
    for each in crowd:
        each.sendall(request())
    answers, waits = [], []
    for each in crowd:
        answers.append(_NAMES.get(read_pdu(each)[0], "?"))
        waits.append(time.monotonic() - begin)
    found = {answer: answers.count(answer) for answer in sorted(set(answers))}
    Console().print(f"200 at once: {found}, the last answer after {max(waits):.2f} s")
    for each in crowd:
        each.close()
    time.sleep(1)


def _memory(process: subprocess.Popen[bytes], port: int) -> None:
    idle = resident(process)
    table = Table("input", "answer", "s", "MB above idle, after", "MB above idle, at most", "slowest echo beside it, s")
    for name, attack in (
        ("deflated, 1.8 MB that inflate to 1.8 GB", lambda: _send_deflated(port, 1.8e9)),
        ("deflated, 1.0 MB that inflate to 1.0 GB", lambda: _send_deflated(port, 1.0e9)),
        ("deflated, 2.5 MB that inflate to 2.5 GB", lambda: _send_deflated(port, 2.5e9)),
        ("a command set without end", lambda: _send_endless_command(port)),
        ("a PDU that announces 4 GB", lambda: _send_huge_pdu(port)),
    ):
        answer, wall, most, slowest = _watched(process, port, attack)
        time.sleep(1)
        after = resident(process) - idle
        table.add_row(name, answer, f"{wall:.1f}", f"{after:.0f}", f"{most - idle:.0f}", f"{slowest:.2f}")
    Console().print(f"idle: {idle:.0f} MB")
    Console().print(table)


def _watched(process: subprocess.Popen[bytes], port: int, attack: Callable[[], str]) -> tuple[str, float, float, float]:
    """Answer, seconds, most memory in MB, and the slowest association of others meanwhile in s."""
    code = f"import benchmarks.hostile_senders as it; it.beside({port}, {process.pid})"
    beside = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert beside.stdout is not None
    beside.stdout.readline()
    begin = time.monotonic()
    answer = attack()
    wall = time.monotonic() - begin
    most, slowest = (float(word) for word in beside.communicate("\n")[0].split())
    return answer, wall, most, slowest


def beside(port: int, pid: int) -> None:
    """Associate again and again and watch the node's memory, until a line comes in; prints the worst of both."""
    import select

    most = slowest = 0.0
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        most = max(most, _resident(pid))
        slowest = max(slowest, ask(port)[1])
    print(max(most, _resident(pid)), slowest)


def _send_deflated(port: int, size: float) -> str:
    syntax = DeflatedExplicitVRLittleEndian.encode()
    connection = associated(port, syntax)
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    length = int(size) // 2 * 2
    data = [stream.compress(uids() + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", length))]
    data += [stream.compress(bytes(min(10**6, length - start))) for start in range(0, length, 10**6)]
    deflated = b"".join((*data, stream.flush()))
    connection.sendall(pdata(3, command()))
    for start in range(0, len(deflated), 16000):
        connection.sendall(pdata(2 if start + 16000 >= len(deflated) else 0, deflated[start : start + 16000]))
    kind, body = read_pdu(connection, 120)
    place = body.find(b"\0\0\0\x09\2\0\0\0")
    connection.close()
    status = int.from_bytes(body[place + 8 : place + 10], "little")
    return f"status {status:04X}" if kind == 0x04 else _NAMES.get(kind, "?")


def _send_endless_command(port: int) -> str:
    connection = associated(port, b"1.2.840.10008.1.2.1")
    return _flood(connection, pdata(1, b"\0\0\0\x99" * 4000), 500)


def _send_huge_pdu(port: int) -> str:
    connection = associated(port, b"1.2.840.10008.1.2.1")
    return _flood(connection, b"\x04\0\xff\xff\xff\xff" + bytes(10**6), 500)


def _flood(connection: socket.socket, data: bytes, times: int) -> str:
    sent = 0
    try:
        for _ in range(times):
            connection.sendall(data)
            sent += len(data)
        answer = _NAMES.get(read_pdu(connection)[0], "?")
    except OSError:
        answer = "connection broken"
    connection.close()
    return f"{answer} after {sent / MEGABYTE:.1f} MB"


# --- slow and many peers at once


@contextmanager
def load(port: int) -> Iterator[None]:
    """50 connections that drip a request, 16 associations that drip a message, 200 more at once every 5 s."""
    call = [sys.executable, "-c", f"import benchmarks.hostile_senders as it; it.press({port})"]
    with subprocess.Popen(call) as process:
        try:
            time.sleep(2)  # until all are there
            yield
        finally:
            process.kill()


@contextmanager
def sink() -> Iterator[int]:
    """A process that accepts every connection and reads what comes; its port."""
    call = [sys.executable, "-c", "import benchmarks.hostile_senders as it; it.swallow()"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def press(port: int) -> None:
    """The load, until the process is ended; from an address of its own."""
    whole, message = request(), pdata(3, command()) + b"\4\0\0\0\x40\0\0\0\x3f\xfc\1\0"
    slow = [(whole[:1], whole[1:])] * 50 + [(whole + message, bytes(16_000))] * 16
    opened: list[tuple[socket.socket, Iterator[int]] | None] = [None] * len(slow)
    crowd: list[socket.socket] = []
    next_crowd = time.monotonic()
    while True:
        for place, (at_once, slowly) in enumerate(slow):
            opened[place] = _dripped(opened[place]) or _begun(port, at_once, slowly)
        if time.monotonic() > next_crowd:
            next_crowd += _CROWD_EVERY_S
            for each in crowd:
                each.close()
            crowd = [found[0] for _ in range(200) if (found := _begun(port, whole, b""))]
        time.sleep(0.2)


def _begun(port: int, at_once: bytes, slowly: bytes) -> tuple[socket.socket, Iterator[int]] | None:
    connection = socket.socket()
    try:
        connection.bind((_HOSTILE, 0))
        connection.connect((HOST, port))
        connection.setblocking(False)
        connection.send(at_once)
    except OSError:
        connection.close()
        return None
    return connection, iter(slowly)


def _dripped(opened: tuple[socket.socket, Iterator[int]] | None) -> tuple[socket.socket, Iterator[int]] | None:
    """Send the next byte; None where the connection has ended, or has nothing more to say."""
    if opened is None:
        return None
    connection, rest = opened
    byte = next(rest, None)
    try:
        if byte is not None and connection.send(bytes([byte])):
            return opened
    except OSError:
        pass  # it has been ended
    connection.close()
    return None


def swallow() -> None:
    """The sink, until the process is ended."""
    import selectors

    listening = socket.create_server((HOST, 0), backlog=512)
    print(listening.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listening:
                selector.register(listening.accept()[0], selectors.EVENT_READ)
                continue
            assert isinstance(key.fileobj, socket.socket)
            try:
                gone = not key.fileobj.recv(2**16)
            except OSError:
                gone = True
            if gone:
                selector.unregister(key.fileobj)
                key.fileobj.close()


# --- a scanner


def connect(port: int) -> socket.socket:
    """A connection that waits 30 s for its answers."""
    connection = socket.create_connection((HOST, port), 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(port: int) -> tuple[str, float]:
    """What an honest scanner is told that asks for an association and releases it, and after how many s."""
    begin = time.monotonic()
    with connect(port) as connection:
        connection.sendall(request())
        kind, _ = read_pdu(connection)
        if kind == _ASSOCIATED:
            connection.sendall(b"\5\0\0\0\0\4\0\0\0\0")
            read_pdu(connection)
    return _NAMES.get(kind, "?"), time.monotonic() - begin


def associated(port: int, syntax: bytes) -> socket.socket:
    """A connection with an association."""
    connection = connect(port)
    connection.sendall(request(syntax))
    if read_pdu(connection)[0] != _ASSOCIATED:
        raise RuntimeError("no association")
    return connection


def request(syntax: bytes = b"1.2.840.10008.1.2.1") -> bytes:
    """An A-ASSOCIATE-RQ for MR images."""
    context = _item(0x20, b"\1\0\0\0" + _item(0x30, MRImageStorage.encode()) + _item(0x40, syntax))
    user = _item(0x50, _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3.4.5"))
    titles = b"RECTALNODE".ljust(16) + b"SCANNER".ljust(16)
    body = b"\0\1\0\0" + titles + bytes(32) + _item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
    return b"\1\0" + struct.pack(">L", len(body)) + body


def read_pdu(connection: socket.socket, timeout_s: float = 30) -> tuple[int, bytes]:
    """Type and body of the next PDU; type 0 where the connection has ended."""
    connection.settimeout(timeout_s)
    with connection.makefile("rb") as stream:
        head = stream.read(6)
        return (head[0], stream.read(int.from_bytes(head[2:], "big"))) if len(head) == 6 else (0, b"")


def pdata(control: int, content: bytes) -> bytes:
    """A P-DATA of one fragment."""
    return struct.pack(">BBLLBB", 4, 0, len(content) + 6, len(content) + 2, 1, control) + content


def command() -> bytes:
    """A C-STORE-RQ."""
    elements = {2: MRImageStorage.encode() + b"\0", 0x100: b"\1\0", 0x110: b"\1\0", 0x700: b"\0\0", 0x800: b"\1\0"}
    elements[0x1000] = b"1.2.3.4.1\0"
    body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in sorted(elements.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def uids() -> bytes:
    """The elements that the index needs, in Explicit VR Little Endian."""
    values = {
        (0x0008, 0x0016): MRImageStorage.encode() + b"\0",
        (0x0008, 0x0018): b"1.2.3.4.1\0",
        (0x0020, 0x000D): b"1.2.3\0",
        (0x0020, 0x000E): b"1.2.3.4\0",
    }
    return b"".join(struct.pack("<HH2sH", *tag, b"UI", len(value)) + value for tag, value in values.items())


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


# --- a node


@contextmanager
def node(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A node that only listens, and its port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    (folder / "config.toml").write_text(f'root = "root"\n[listener]\nport = {port}\nminimum_free_gb = 0\n')
    call = [sys.executable, "-m", "node", "serve", "--role", "listener", "--config", str(folder / "config.toml")]
    with (folder / "log").open("wb") as log, subprocess.Popen(call, stdout=log, stderr=log) as process:
        try:
            _wait_for(port)
            yield process, port
        finally:
            process.terminate()
    lines = (folder / "log").read_text().splitlines()
    Console().print(f"the node wrote {len(lines)} lines:", *lines[:20], sep="\n", markup=False, soft_wrap=True)


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            connect(port).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the node does not listen")


def resident(process: subprocess.Popen[bytes]) -> float:
    """Resident memory in MB."""
    return _resident(process.pid)


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / MEGABYTE


if __name__ == "__main__":
    typer.run(main)
