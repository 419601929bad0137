"""How fast objects are received, and at what cost: the node beside Orthanc, DCMTK and pynetdicom, in turns.

The node says Success when file, folder and index row survive a power cut. Orthanc runs with its default durability,
storescp writes a file and does not sync it, pynetdicom's handler writes a file and syncs it.

    python -m benchmarks.receiving
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.real_parts import processor_s
from benchmarks.receivers import CALLED, Receiver, default_orthanc, node, pynetdicom, storescp
from benchmarks.record import Row, record
from benchmarks.senders import KINDS, send

PART = "receiving"
VARIANTS = {"node": node, "Orthanc": default_orthanc, "storescp": storescp, "pynetdicom": pynetdicom}


def main(
    images: Annotated[int, typer.Option(help="Images a turn.")] = 320,
    rounds: Annotated[int, typer.Option(help="Turns of each receiver.")] = 3,
    senders: Annotated[list[int] | None, typer.Option(help="Senders at once.")] = None,
    kinds: Annotated[list[str] | None, typer.Option(help="Kinds of images.")] = None,
    receivers: Annotated[list[str] | None, typer.Option(help="Receivers.")] = None,
    settings: Annotated[str, typer.Option(help="Lines of [listener].")] = "",
) -> None:
    """Measure images/s, the 99th percentile of the response and processor time an image."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, ExitStack() as stack:
        running = [
            stack.enter_context(VARIANTS[name](Path(folder) / name, *([settings] if name == "node" else [])))
            for name in receivers or VARIANTS
        ]
        for kind in kinds or KINDS:
            for at_once in senders or (1, 4, 16):
                for turn in range(1, rounds + 1):
                    for receiver in running:
                        _measure(receiver, kind, at_once, images, turn)


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
