"""The whole node on one machine: four simulated scanners send, an embedded destination receives, a table compares.

Node and destination are processes of their own that talk DICOM over loopback; the destination is a second node that
only listens. What the table states of the results is read from the objects that arrived there. The node serves its
page meanwhile, and afterwards for as long as it is wanted.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from pydicom.sr.coding import Code
from rich.console import Console
from rich.live import Live
from rich.table import Table

from models.engines.processor import computes_bfloat16
from models.prediction.predictor import load_predictor
from models.research.phantom import find_scanner, simulate_study
from node.cli.arrivals import Arrivals, read_arrivals
from node.cli.installed import FLOAT32
from node.dicom.outcomes import StoreResult
from node.dicom.scu import echo, store
from node.errors import NodeError
from node.operations import accounts
from node.operations.status import StudyLine, collect
from node.settings import SHIPPED, Settings, load_settings
from node.simulator import write_study, write_truth
from storage.database import open_engine
from storage.overview import StudyQuery
from storage.records import DELIVERED, OPEN_DELIVERIES, DeliveryState, StudyState

#: One scanner of each vendor, and the patient that it examines; the last one is the hard one.
PATIENTS = (("Skyra", 104), ("MR750", 111), ("uMR 770", 108), ("Multiva", 106))
LONGEST_S = 540
_SMALL_ML = 3.0

_NODE = """root = "node"
[listener]
ae_title = "RECTALNODE"
port = {node}
[[remotes]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {archive}
receives_results = true
[web]
enabled = true
page = true
port = {web}
local_rights = ["may_query", "may_retrieve"]
[completion]
quiet_s = 2
sweep_every_s = 1
"""
_ARCHIVE = """root = "archive"
[listener]
ae_title = "ARCHIVE"
port = {archive}
"""


@dataclass(slots=True)
class Run:
    """One study of the demo."""

    vendor: str
    model: str
    seed: int
    folder: Path
    study_instance_uid: str = ""
    truth_ml: float = 0.0
    sent_at: float = 0.0
    seconds: float = 0.0
    note: str = "waiting"

    @property
    def mask(self) -> sitk.Image:
        """The true tumour, uint8, LPS."""
        return sitk.ReadImage(self.folder / "truth" / "tumour_mask.nrrd")


@dataclass(frozen=True, slots=True)
class Serving:
    """The node of a demo that has ended, while it still serves.

    Attributes:
        link: sets the password of the first account of the page, once.
        is_up: whether the node still runs.
    """

    link: str
    is_up: Callable[[], bool]


def run_demo(
    folder: Path,
    out: Console,
    patients: Sequence[tuple[str, int]] = PATIENTS,
    afterwards: Callable[[Serving], None] | None = None,
) -> int:
    """Run the demo in `folder` on `patients` (scanner model, seed); 0 when every object of every study was delivered.

    Node and destination serve until `afterwards` has ended, and without it until the results are there.

    Raises:
        NodeError: `folder` is not the folder of a demo, or node or destination does not answer.
    """
    _empty(folder)
    ports = {name: _free_port() for name in ("node", "archive", "web")}
    precision = "" if computes_bfloat16() else f"[analysis]\n{FLOAT32}\n"
    (folder / "node.toml").write_text(_NODE.format(**ports) + precision)
    (folder / "archive.toml").write_text(_ARCHIVE.format(**ports))
    runs = [Run(find_scanner(m).manufacturer, m, seed, folder / "studies" / str(seed)) for m, seed in patients]
    with _served(folder, "archive", "--role", "listener") as archive, _served(folder, "node") as node:
        with Live(_progress(runs), console=out, refresh_per_second=4) as live:
            for run in runs:
                run.note = "simulating the examination"
                live.update(_progress(runs))
                _examine(run)
                _wait_for_answer(ports["node"], "RECTALNODE", node, folder / "node.log")
                _wait_for_answer(ports["archive"], "ARCHIVE", archive, folder / "archive.log")
                _send(run, ports["node"])
                _follow(runs, load_settings(folder / "node.toml"))
            _wait_for_results(runs, folder, live, node)
        status = _conclude(runs, folder, out)
        settings = load_settings(folder / "node.toml")
        if afterwards is None:
            _say(out, f"Page:     {settings.web.address} while `{_served_again(folder)}` runs; it prints your link")
        else:
            serving = Serving(_link(settings), lambda: node.poll() is None)
            _say(out, f"Page:     {settings.web.address}\nYour link, once: {serving.link}")
            afterwards(serving)
    return status


def until_told_to_stop(serving: Serving) -> None:
    """Wait until this process is told to stop (SIGINT, SIGTERM), or the node has ended."""
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    while serving.is_up() and not told.wait(0.5):
        pass


def _link(settings: Settings) -> str:
    """A link of the first account, in place of the one that the start of the node made and nobody has seen."""
    engine = open_engine(settings.storage_url)
    try:
        return settings.web.address + accounts.link(engine, accounts.FIRST).path
    finally:
        engine.dispose()


def _served_again(folder: Path) -> str:
    return f"rectal-node serve --config {folder / 'node.toml'}"


def _say(out: Console, text: str) -> None:
    """As it is: a link can be copied, whatever the width of the terminal."""
    out.print(text, highlight=False, soft_wrap=True, markup=False)


def _examine(run: Run) -> None:
    study = simulate_study(run.seed, find_scanner(run.model))
    write_study(study, run.folder / "dicom")
    write_truth(study, run.folder / "truth")
    run.truth_ml = study.truth.tumour_volume_ml


def _send(run: Run, port: int) -> None:
    run.note, run.sent_at = "sending", time.monotonic()
    paths = sorted((run.folder / "dicom").rglob("*.dcm"))
    for outcome in store(
        paths, host="127.0.0.1", port=port, called_ae="RECTALNODE", calling_ae=f"SIM{run.seed}", timeout_s=30
    ):
        if outcome.result is not StoreResult.SENT:
            raise NodeError(f"{outcome.path}: not stored: {outcome.reason}")
        run.study_instance_uid = outcome.study_instance_uid
    run.note = f"{len(paths)} images sent"


def _wait_for_results(runs: list[Run], folder: Path, live: Live, node: subprocess.Popen[bytes]) -> None:
    settings = load_settings(folder / "node.toml")
    end = time.monotonic() + LONGEST_S
    while time.monotonic() < end and not all(run.seconds for run in runs):
        if node.poll() is not None:
            raise NodeError(f"the node ended unexpectedly; its log is {folder / 'node.log'}")
        _follow(runs, settings)
        live.update(_progress(runs))
        time.sleep(1)  # a status takes of the processor that analyses


def _follow(runs: list[Run], settings: Settings) -> None:
    """Write into each run how far it is."""
    lines = {line.study.study_instance_uid: line for line in collect(settings).studies}
    for run in runs:
        line = lines.get(run.study_instance_uid)
        if line is None or run.seconds:
            continue
        if _is_done(line):
            run.seconds = time.monotonic() - run.sent_at
            run.note = "done"
        elif line.study.state is StudyState.QUEUED:
            run.note = f"analysing: {line.step or 'queued'}"
        elif line.study.state is StudyState.COMPLETED:
            run.note = "delivering"


def _is_done(line: StudyLine) -> bool:
    if line.study.state in (StudyState.REFUSED, StudyState.FAILED):
        return True
    pending = sum(count.get(state, 0) for count in line.deliveries.values() for state in OPEN_DELIVERIES)
    return line.study.state is StudyState.COMPLETED and not pending


def _conclude(runs: list[Run], folder: Path, out: Console) -> int:
    settings = load_settings(folder / "node.toml")
    pictures = folder / "pictures"
    pictures.mkdir()
    concept = load_predictor(SHIPPED / "prediction").catalogue.target.concept
    arrivals = read_arrivals(
        load_settings(folder / "archive.toml"), Code(concept.value, concept.scheme, concept.meaning)
    )
    table = Table(title="What the destination received", title_justify="left")
    for name in ("study", "scanner", "recognised", "ml (truth)", "Dice", "prob.", "delivered", "s"):
        table.add_column(name, no_wrap=name in ("study", "ml (truth)", "delivered"), overflow="fold")
    complete = True
    for run in runs:
        (line,) = collect(settings, StudyQuery(run.study_instance_uid)).studies
        arrived = arrivals[run.study_instance_uid]
        counts = line.deliveries.get("archive", {})
        complete &= bool(counts) and _delivered(counts) == sum(counts.values())
        table.add_row(*_row(run, line, arrived, counts))
        arrived.save_pictures(pictures, f"{run.seed}-{run.model.replace(' ', '')}")
    out.line()  # the last picture of the live table has no line break where the output is a file
    out.print(table)
    for run in runs:
        if run.truth_ml < _SMALL_ML:
            name, truth = f"SIM{run.seed:06d}", f"{run.truth_ml:.1f} ml"
            out.print(f"{name} is the hard one: a tumour of {truth}; the shipped networks miss most or all of such.")
    out.print("ml: tumour volume on T2WI as reported; prob.: simulated high grade; s: from sending to delivered.")
    out.print("Tumours, labels and models are simulated: research output, not for diagnosis.")
    out.print(f"Pictures: {pictures}\nObjects:  {folder / 'archive' / 'objects'}\nLogs:     {folder / 'node.log'}")
    if not complete:
        out.print("[red]Not every object was delivered; see `rectal-node status --config demo/node.toml`.[/red]")
    return 0 if complete else 1


def _delivered(counts: dict[DeliveryState, int]) -> int:
    return sum(counts.get(state, 0) for state in DELIVERED)


def _row(run: Run, line: StudyLine, arrived: Arrivals, counts: dict[DeliveryState, int]) -> tuple[str, ...]:
    roles = ", ".join(dict.fromkeys(verdict.role for verdict in line.series if verdict.used))
    return (
        f"SIM{run.seed:06d}",
        f"{run.vendor} {run.model}",
        roles or line.study.reason,
        f"{arrived.volume_ml:.1f} ({run.truth_ml:.1f})",
        f"{arrived.dice(run.mask):.2f}",
        "-" if arrived.probability is None else f"{arrived.probability:.2f}",
        f"{_delivered(counts)}/{sum(counts.values())}",
        f"{run.seconds:.0f}",
    )


def _progress(runs: list[Run]) -> Table:
    table = Table(title="rectal-node demo", title_justify="left")
    for name in ("scanner", "study", "progress"):
        table.add_column(name)
    for run in runs:
        table.add_row(f"{run.vendor} {run.model}", f"SIM{run.seed:06d}", run.note)
    return table


@contextmanager
def _served(folder: Path, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node process on `<name>.toml`, stopped at the end."""
    call = [sys.executable, "-m", "node", "serve", "--config", str(folder / f"{name}.toml"), *arguments]
    environment = os.environ | {"TCP_NODELAY": "1"}
    with (folder / f"{name}.log").open("wb") as log:
        # What it prints is a link of the page. Of a group of its own: the terminal's Ctrl-C is for the demo, which then
        # stops it.
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=log, env=environment, process_group=0)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for_answer(port: int, ae_title: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while echo(host="127.0.0.1", port=port, called_ae=ae_title, calling_ae="DEMO", timeout_s=5):
        if process.poll() is not None or time.monotonic() > end:
            raise NodeError(f"{ae_title} does not answer on port {port}; see {log}")
        time.sleep(0.3)


def _empty(folder: Path) -> None:
    """Start afresh, but never remove a folder that is not a demo's."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "node.toml").exists():
        raise NodeError(f"{folder}: exists and is not the folder of a demo; name another")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
