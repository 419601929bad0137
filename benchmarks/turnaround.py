"""From the last C-STORE response of a study to its last result in Orthanc, beside an earlier state of this repository.

Both run as whole nodes, in turns, on the same simulated studies; a first study warms them up. The settle time is
subtracted. The steps of the analysis come from the tables of the workflow, so that one study gives a waterfall.

    python -m benchmarks.turnaround
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.real_parts import ENVIRONMENT, Orthanc, checkout, free_port, memory_mb, node, orthanc, wait_for
from benchmarks.record import Row, record
from models.engines.processor import computes_bfloat16
from models.radiomics.provenance import pyradiomics
from node.cli.installed import FLOAT32

ROOT = Path(__file__).parents[1]
#: The chain of 2026-11-27, the first that was measured.
EARLIER = "b6606d0"
SETTLE_S = 2.0
_STILL_S = 6.0  # without a new result, with all deliveries stored: longer than any pause between results
_PATIENCE_S = 600

# In the keys of the first release, which every later one reads.
CONFIGURATION = """
root = "var"
[listener]
port = {port}
[[destinations]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {pacs}
first_retry_s = 1
[completion]
quiet_s = {settle:g}
sweep_every_s = 1
[analysis]
super_resolution = "{weights}/super-resolution"
segmentation = "{weights}/segmentation"
prediction = "{weights}/prediction"
"""


@dataclass
class Watched:
    """What was seen of one study.

    Attributes:
        arrivals: seconds since the last C-STORE response, and instances that Orthanc had then, at each change.
        peak_mb: largest memory of the node in MB.
    """

    arrivals: list[tuple[float, int]] = field(default_factory=list)
    peak_mb: float = 0.0


def main(
    rounds: Annotated[int, typer.Option(help="Turns of both.")] = 3,
    earlier: Annotated[str, typer.Option(help="Commit of the earlier state.")] = EARLIER,
    load: Annotated[int, typer.Option(help="Studies sent at once for the rate; 0: none.")] = 4,
) -> None:
    """Measure, print and record."""
    (ROOT / "runs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as name:
        folder = Path(name)
        studies = [_simulated(folder / f"study-{seed}", seed) for seed in range(104, 104 + max(load, 2))]
        before = _with_former_name(checkout(ROOT, earlier, folder / "earlier"))
        sources = {"node": ROOT, f"chain of {earlier}": before}
        for run in range(1, rounds + 1):
            for variant, source in sources.items():
                _measure(run, variant, source, studies[:2], folder / f"{run}-{source.name}")
        if load:
            _rate(studies[:load], folder / "load")


def _with_former_name(source: Path) -> Path:
    """An earlier state in which pyradiomics is installed under the name by which it asks for its version."""
    _, version = pyradiomics()
    folder = source / f"pyradiomics-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pyradiomics\nVersion: {version}\n")
    return source


def _simulated(folder: Path, seed: int) -> Path:
    command = [sys.executable, "-m", "node", "simulate", str(folder), "--scanner", "Skyra", "--seed", str(seed)]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    return folder / "dicom"


@contextmanager
def _chain(source: Path, folder: Path) -> Iterator[tuple[Orthanc, int, subprocess.Popen[bytes]]]:
    """A PACS and a node that sends to it; the port and the process of the node."""
    with orthanc(folder / "orthanc") as pacs:
        port = free_port()
        config = folder / "config.toml"
        weights = source / "models" / "weights"
        text = CONFIGURATION.format(port=port, pacs=pacs.dicom_port, settle=SETTLE_S, weights=weights)
        if source == ROOT and not computes_bfloat16():  # the earlier state knows no other precision
            text += f"{FLOAT32}\n"
        config.write_text(text)
        with node(source, config, port) as process:
            yield pacs, port, process


def _measure(run: int, variant: str, source: Path, studies: list[Path], folder: Path) -> None:
    warm_up, study = studies
    with _chain(source, folder) as (pacs, port, process):
        _send(warm_up, port)
        _watch(pacs, process, folder)
        before = pacs.instances
        _send(study, port)
        last_response = time.time()
        seen = _watch(pacs, process, folder)
    turnaround = seen.arrivals[-1][0] - SETTLE_S
    record(Row("turnaround", "last response to last result", variant, run, turnaround, "s"))
    record(
        Row(
            "turnaround",
            "last response to last result: results",
            variant,
            run,
            seen.arrivals[-1][1] - before,
            "objects",
        )
    )
    record(Row("turnaround", "peak memory of the node", variant, run, seen.peak_mb, "MB"))
    for name, begin, end in _steps(folder / "var" / "worklist.sqlite"):
        if begin >= last_response:
            record(Row("turnaround", f"waterfall: {name} begins", variant, run, begin - last_response, "s at"))
            record(Row("turnaround", f"waterfall: {name} ends", variant, run, end - last_response, "s at"))
    first = next(seconds for seconds, count in seen.arrivals if count > before)
    record(Row("turnaround", "waterfall: delivery begins", variant, run, first, "s at"))
    record(Row("turnaround", "waterfall: delivery ends", variant, run, seen.arrivals[-1][0], "s at"))


def _rate(studies: list[Path], folder: Path) -> None:
    """Studies an hour when all are sent at once, from the first byte to the last result."""
    with _chain(ROOT, folder) as (pacs, port, process):
        _send(studies[0], port)
        _watch(pacs, process, folder)
        begin = time.monotonic()
        for study in studies[1:]:
            _send(study, port)
        sent = time.monotonic()
        seen = _watch(pacs, process, folder)
        seconds = sent - begin + seen.arrivals[-1][0] - SETTLE_S
    record(Row("turnaround", "continuous load", "node", 1, (len(studies) - 1) * 3600 / seconds, "studies/h"))
    record(Row("turnaround", "continuous load: peak memory", "node", 1, seen.peak_mb, "MB"))


def _send(study: Path, port: int) -> None:
    command = ["storescu", "-aec", "RECTALNODE", "+sd", "+r", "127.0.0.1", str(port), str(study)]
    subprocess.run(command, env=ENVIRONMENT, check=True)


def _watch(pacs: Orthanc, process: subprocess.Popen[bytes], folder: Path) -> Watched:
    """Look until the node has nothing left to do and no result comes any more.

    Raises:
        RuntimeError: the node has ended, or one of its studies has ended otherwise than well.
    """
    begin, before, seen = time.monotonic(), pacs.instances, Watched()
    stop = threading.Event()

    def weigh() -> None:
        while not stop.wait(0.2):
            seen.peak_mb = max(seen.peak_mb, memory_mb(process.pid))

    def ended() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the node has ended; see {folder / 'node.log'}")
        now, count = time.monotonic() - begin, pacs.instances
        if count != (seen.arrivals[-1][1] if seen.arrivals else before):
            seen.arrivals.append((now, count))
        still = bool(seen.arrivals) and now - seen.arrivals[-1][0] > _STILL_S
        return _nothing_open(folder / "var" / "index.sqlite") and still

    thread = threading.Thread(target=weigh)
    thread.start()
    try:
        wait_for(ended, "the last result", _PATIENCE_S)
    finally:
        stop.set()
        thread.join()
    return seen


def _nothing_open(index: Path) -> bool:
    """Whether all studies have ended well, by the index of this state or of the earlier one.

    Raises:
        RuntimeError: one has ended otherwise.
    """
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as database:
        states = list(database.execute("SELECT state, reason FROM study"))
    for state, reason in states:
        if state in ("FAILED", "REFUSED", "CANCELLED"):
            raise RuntimeError(f"a study is {state}: {reason}")
    return all(state == "COMPLETED" for state, _ in states)


def _steps(worklist: Path) -> list[tuple[str, float, float]]:
    """Steps of the workflows: name, begin and end in s since the epoch."""
    with closing(sqlite3.connect(f"file:{worklist}?mode=ro", uri=True)) as database:
        query = (
            "SELECT function_name, started_at_epoch_ms, completed_at_epoch_ms FROM operation_outputs"
            " WHERE started_at_epoch_ms IS NOT NULL AND completed_at_epoch_ms IS NOT NULL ORDER BY started_at_epoch_ms"
        )
        return [(name, begin / 1000, end / 1000) for name, begin, end in database.execute(query)]


if __name__ == "__main__":
    typer.run(main)
