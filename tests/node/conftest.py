"""A small study built by hand for each scanner, for every room: its real protocol, coarse matrices, made-up pixels."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from models.research.phantom.scanners import Protocol, Scanner, find_scanner, load_scanners
from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from node.cli.main import run
from node.cli.options import out
from node.simulator import write_study

from ..parts import statements
from ..parts.orthanc import Orthanc
from ..parts.session import made_once

statements.share()


@pytest.fixture(scope="module")
def orthanc(reused_orthanc: Orthanc) -> Orthanc:
    """Empty for the tests of a file, which use the same studies and AE titles as those of others."""
    reused_orthanc.clear()
    return reused_orthanc


@dataclass(frozen=True)
class Ended:
    """What a command leaves: its exit code and what it has printed."""

    returncode: int
    stdout: str
    stderr: str


@contextmanager
def logging_restored() -> Iterator[None]:
    """The program sends the log to its own standard error; afterwards all is as the tests had it."""
    loggers = [logging.getLogger(name) for name in ("", "node", "storage", "models", "dbos")]
    before = [(it, it.level, it.handlers[:], it.propagate) for it in loggers]
    excepthook = threading.excepthook
    try:
        yield
    finally:
        for logger, level, handlers, propagate in before:
            logger.setLevel(level)
            logger.handlers, logger.propagate = handlers, propagate
        threading.excepthook = excepthook
        logging.captureWarnings(False)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `rectal-node` in this process, 80 columns wide; `test_installed` starts it as one of its own."""

    def ended(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["rectal-node", *arguments])
        monkeypatch.setattr(out, "_width", 80)
        capsys.readouterr()
        with logging_restored(), pytest.raises(SystemExit) as stopped:
            run()
        code = stopped.value.code
        assert code is None or isinstance(code, int)
        return Ended(code or 0, *capsys.readouterr())

    return ended


class MovedClock:
    """A time of day that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def show(self, now: datetime) -> None:
        self._now = now

    def move(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture(scope="session")
def empty_queue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a queue in which nothing is; DBOS takes a second to make one."""
    from dbos import DBOS

    from node.analysis.queue import WORKFLOW_VERSION, queue_engine, queue_url

    root = tmp_path_factory.mktemp("queue")
    engine = queue_engine(queue_url(root))
    DBOS(
        config={
            "name": "rectal-node",
            "system_database_engine": engine,
            "application_version": WORKFLOW_VERSION,
            "executor_id": "test",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    DBOS.destroy()
    engine.dispose()
    return root / "worklist.sqlite"


PHASE_TIMES_S = (-30.0, 25.0, 45.0, 70.0, 120.0)
B_VALUES = (0.0, 800.0)
MATRIX = 48
SLICES = 10
AXES = {
    "axial": np.eye(3),
    "sagittal": np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
TILT = np.deg2rad(11.3)
TILTED = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])


def make_image(key: int, spacing_mm: float, step_mm: float, plane: str = "axial", slices: int = SLICES) -> sitk.Image:
    """Positive pixels up to 2000; axial stacks are tilted by 11.3 degrees."""
    values = np.random.default_rng(key).random((slices, MATRIX, MATRIX)) * 2000
    image = sitk.GetImageFromArray(values.astype(np.float32))
    direction = TILTED @ AXES["axial"] if plane == "axial" else AXES[plane]
    image.SetSpacing((spacing_mm, spacing_mm, step_mm))
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin((-MATRIX * spacing_mm / 2 + 0.123456, -51.7654321, -slices * step_mm / 2))
    return image


def make_series(
    kind: str, image: sitk.Image, protocol: Protocol, b_value: float | None = None, phase_time_s: float | None = None
) -> SimulatedSeries:
    """One volume measured with `protocol`."""
    return SimulatedSeries(
        kind=kind,
        image=image,
        b_value=b_value,
        phase_time_s=phase_time_s,
        tr_ms=protocol.tr_ms,
        te_ms=protocol.te_ms,
        flip_deg=protocol.flip_deg,
        slice_thickness_mm=protocol.slice_thickness_mm,
        acquisition_matrix=protocol.matrix,
        mr_acquisition_type=protocol.mr_acquisition_type,
    )


def make_study(scanner: Scanner, seed: int = 42) -> SimulatedStudy:
    """Localizer in three planes, T2 sagittal and axial, b 0 and 800, ADC, five DCE phases, one subtraction."""
    t2wi, dwi, dce = scanner.t2wi, scanner.dwi, scanner.dce
    weighted = [make_image(seed + 10 + i, dwi.pixel_spacing_mm, dwi.slice_thickness_mm + 1) for i in range(2)]
    phases = [make_image(seed + 20 + i, dce.pixel_spacing_mm, dce.slice_thickness_mm) for i in range(6)]
    localizers = [make_image(seed + i, 3.0, 20.0, plane, 3) for i, plane in enumerate(AXES)]
    return SimulatedStudy(
        seed=seed,
        scanner=scanner,
        truth=None,
        series=(
            *(make_series("LOCALIZER", image, t2wi) for image in localizers),
            make_series("T2WI_SAG", make_image(seed + 4, t2wi.pixel_spacing_mm, 5.0, "sagittal"), t2wi),
            make_series("T2WI", make_image(seed + 5, t2wi.pixel_spacing_mm, t2wi.slice_thickness_mm + 1), t2wi),
            *(make_series("DWI", image, dwi, b_value=b) for image, b in zip(weighted, B_VALUES, strict=True)),
            make_series("ADC", make_image(seed + 12, dwi.pixel_spacing_mm, dwi.slice_thickness_mm + 1), dwi),
            *(
                make_series("DCE", image, dce, phase_time_s=time_s)
                for image, time_s in zip(phases, PHASE_TIMES_S, strict=False)
            ),
            make_series("SUBTRACTION", phases[-1], dce, phase_time_s=PHASE_TIMES_S[3]),
        ),
    )


@dataclass(frozen=True)
class Written:
    """A study and the files that its scanner made of it."""

    study: SimulatedStudy
    paths: tuple[Path, ...]
    instances: tuple[pydicom.Dataset, ...]

    def series(self, description: str) -> list[pydicom.Dataset]:
        """Instances whose Series Description holds `description`."""
        return [each for each in self.instances if description in each.SeriesDescription]


@pytest.fixture(scope="session")
def written_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Written]:
    """The hand-built study of a scanner, written once a session; with `sheets`, its DWI as one image a volume."""

    @cache
    def write(scanner: Scanner, sheets: bool) -> Written:
        study = make_study(scanner)
        name = f"{scanner.name} in sheets" if sheets else scanner.name
        folder = made_once(tmp_path_factory, name, lambda folder: write_study(study, folder, sheets=sheets))
        paths = tuple(sorted(folder.rglob("*.dcm")))
        return Written(study, paths, tuple(pydicom.dcmread(path) for path in paths))

    # However a scanner is called, and the arguments are given, its study is one.
    return lambda name, sheets=False: write(find_scanner(name), sheets)


@pytest.fixture(params=[scanner.name for scanner in load_scanners()])
def written(request: pytest.FixtureRequest, written_by: Callable[[str], Written]) -> Written:
    """The study of each of the six scanners in turn."""
    return written_by(request.param)


@pytest.fixture(name="make_study")
def _make_study() -> Callable[..., SimulatedStudy]:
    """Builds the hand-made study of a scanner."""
    return make_study
