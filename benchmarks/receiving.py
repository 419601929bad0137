"""How fast objects are received, and at what cost: the node beside Orthanc, DCMTK and pynetdicom, in turns.

The node says Success when file, folder and index row survive a power cut. Orthanc runs with its default durability,
storescp writes a file and does not sync it, pynetdicom's handler writes a file and syncs it.

    python -m benchmarks.receiving
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.filled_index import fill_index
from benchmarks.hostile_senders import ask, load, sink
from benchmarks.real_parts import memory_mb, processor_s
from benchmarks.receivers import CALLED, Receiver, default_orthanc, node, pynetdicom, storescp
from benchmarks.record import Row, record
from benchmarks.senders import KINDS, send, send_large

PART = "receiving"
LARGE = 2_000_000_000  # bytes
MANY = 1_000_000
VARIANTS = {"node": node, "Orthanc": default_orthanc, "storescp": storescp, "pynetdicom": pynetdicom}


def main(
    images: Annotated[int, typer.Option(help="Images a turn.")] = 320,
    rounds: Annotated[int, typer.Option(help="Turns of each receiver.")] = 3,
    senders: Annotated[list[int] | None, typer.Option(help="Senders at once.")] = None,
    kinds: Annotated[list[str] | None, typer.Option(help="Kinds of images.")] = None,
    receivers: Annotated[list[str] | None, typer.Option(help="Receivers.")] = None,
    settings: Annotated[str, typer.Option(help="Lines of [listener].")] = "",
    only: Annotated[str, typer.Option(help="One of: rates, memory, growth, hostile; without: all.")] = "",
) -> None:
    """Measure images/s, the 99th percentile of the response and processor time an image; memory; growth; slow peers."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        if only in ("", "rates"):
            with ExitStack() as stack:
                running = [
                    stack.enter_context(VARIANTS[name](folder / name, *([settings] if name == "node" else [])))
                    for name in receivers or VARIANTS
                ]
                for kind in kinds or KINDS:
                    for at_once in senders or (1, 4, 16):
                        for turn in range(1, rounds + 1):
                            for receiver in running:
                                _measure(receiver, kind, at_once, images, turn)
        if only in ("", "memory"):
            _memory(folder / "memory", settings)
        if only in ("", "growth"):
            _growth(folder / "growth", settings, images, rounds)
        if only in ("", "hostile"):
            _hostile(folder / "hostile", settings, images, rounds)


def _memory(folder: Path, settings: str) -> None:
    """Memory above idle while an object of 2 GB comes."""
    with node(folder, settings) as receiver:
        send(receiver.port, CALLED, "MR 200 kB", 1, 20, "1.2.3.1")
        idle = memory_mb(receiver.process_id)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send_large, receiver.port, CALLED, LARGE)
            most = idle
            while not sending.done():
                most = max(most, memory_mb(receiver.process_id))
                time.sleep(0.1)
            seconds, status = sending.result()
        if status:
            raise RuntimeError(f"the object of {LARGE / 1e9:g} GB was not stored: {status:04X}")
        record(Row(PART, "object of 2 GB, memory above idle", "node", 1, most - idle, "MB"))
        record(Row(PART, "object of 2 GB", "node", 1, LARGE / 1e6 / seconds, "MB/s"))


def _growth(folder: Path, settings: str, images: int, rounds: int) -> None:
    """The rate with an empty index and with one of a million instances, in turns."""
    full = folder / "full"
    fill_index(full / "root" / "index.sqlite", MANY)
    with node(folder / "empty", settings) as empty, node(full, settings) as filled:
        for turn in range(1, rounds + 1):
            for receiver, name in ((empty, "empty index"), (filled, f"{MANY:,} instances in the index")):
                sent = send(receiver.port, CALLED, "MR 200 kB", 4, images, f"1.2.3.{time.time_ns()}")
                rate = len(sent.statuses) / (sent.ended - sent.begun)
                record(Row(PART, f"MR 200 kB, 4 senders, {name}", "node", turn, rate, "images/s"))


def _hostile(folder: Path, settings: str, images: int, rounds: int) -> None:
    """The rate of an honest scanner while slow and many peers come to the node, and while they go to a sink."""
    case = "one scanner beside 50 slow peers, 16 slow associations and 200 at once"
    with node(folder, settings) as receiver, sink() as elsewhere:
        for turn in range(1, rounds + 1):
            for target, name in ((receiver.port, "node"), (elsewhere, "their load on a TCP sink")):
                with load(target):
                    answers = {ask(receiver.port)[0] for _ in range(20)}
                    if answers != {"accepted"}:
                        raise RuntimeError(f"the honest scanner was told: {answers}")
                    sent = send(receiver.port, CALLED, "MR 200 kB", 1, images, f"1.2.3.{time.time_ns()}")
                rate = len(sent.statuses) / (sent.ended - sent.begun)
                record(Row(PART, case, name, turn, rate, "images/s"))


def _measure(receiver: Receiver, kind: str, senders: int, images: int, turn: int) -> None:
    prefix = f"1.2.3.{time.time_ns()}"
    before = processor_s(receiver.process_id)
    sent = send(receiver.port, CALLED, kind, senders, images, prefix)
    spent = processor_s(receiver.process_id) - before
    if set(sent.statuses) != {0}:
        raise RuntimeError(f"{receiver.name} has not stored everything: {sorted(set(sent.statuses))}")
    case = f"{kind}, {senders} sender{'s' if senders > 1 else ''}"
    count = len(sent.statuses)
    for what, value, unit in (
        ("", count / (sent.ended - sent.begun), "images/s"),
        (", response p99", float(np.percentile(sent.answered_after, 99)) * 1000, "ms"),
        (", processor an image", spent / count * 1000, "ms"),
    ):
        record(Row(PART, case + what, receiver.name, turn, value, unit))


if __name__ == "__main__":
    typer.run(main)
