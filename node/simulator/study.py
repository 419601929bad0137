"""A simulated study as the DICOM files that its scanner would send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from models.research.phantom.scanners import Scanner
from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from node.errors import PermanentError
from node.simulator.capture import write_capture
from node.simulator.encoding import Tiling, instances, write_series
from node.simulator.series import ScannerSeries, StorageFormat
from node.simulator.session import Session, open_session, study_elements
from node.simulator.sheets import mosaic, vframe
from node.simulator.vendors import ge, philips, siemens, uih


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one manufacturer writes: equipment (from the model's name), series, storage, character set, sheets."""

    equipment: Callable[[str], Dataset]
    series: Callable[[SimulatedStudy, Session], tuple[ScannerSeries, ...]]
    storage: StorageFormat
    character_set: str
    tiling: Tiling | None = None


DIALECTS = {
    "Siemens": Dialect(siemens.equipment, siemens.series, siemens.FORMAT, siemens.CHARACTER_SET, mosaic),
    "GE": Dialect(ge.equipment, ge.series, ge.FORMAT, ge.CHARACTER_SET),
    "Philips": Dialect(philips.equipment, philips.series, philips.FORMAT, philips.CHARACTER_SET),
    "UIH": Dialect(uih.equipment, uih.series, uih.FORMAT, uih.CHARACTER_SET, vframe),
}


def write_study(
    study: SimulatedStudy, folder: Path, *, chinese: bool = False, sheets: bool = False
) -> tuple[Path, ...]:
    """Write every series of `study`, and a screen capture, in the manner of its scanner; the files in order.

    Files are Explicit VR Little Endian, one slice each, under one folder a series. The same study gives the same
    bytes (with the same pydicom, whose version stands in the file meta information). `chinese` gives Study
    Description and Patient Comments in Chinese, in UTF-8 (UIH) or GB18030 (the others). `sheets` tiles the slices of
    each diffusion-weighted volume in one image (Siemens MOSAIC, UIH VFRAME).

    Raises:
        PermanentError: no dialect is known for the manufacturer of the study's scanner, or sheets are wanted of one
            that writes none.
    """
    scanner = study.scanner
    dialect = _dialect(scanner)
    if sheets and dialect.tiling is None:
        raise PermanentError(f"{scanner.manufacturer} scanners write no sheets")
    session, common = _opened(study, dialect, chinese)
    paths: list[Path] = []
    stored = dialect.series(study, session)
    for series in stored:
        tiling = dialect.tiling if sheets and series.tileable else None
        paths += write_series(series, common, session, dialect.storage, folder, tiling)
    number = max(series.number for series in stored) + 100
    paths.append(write_capture(study, common, session, number, dialect.storage, folder))
    return tuple(paths)


def instances_of(study: SimulatedStudy) -> Iterator[tuple[SimulatedSeries, Dataset]]:
    """Every MR instance of `study` in memory, with the volume that it is a slice of.

    The same data set is changed and yielded again within a volume: copy what is to be kept.
    """
    dialect = _dialect(study.scanner)
    session, common = _opened(study, dialect, chinese=False)
    sources = {id(source.image): source for source in study.series}
    for series in dialect.series(study, session):
        for volume, instance in instances(series, common, session, dialect.storage):
            yield sources[id(volume.image)], instance


def _dialect(scanner: Scanner) -> Dialect:
    dialect = DIALECTS.get(scanner.manufacturer)
    if dialect is None:
        raise PermanentError(f"no DICOM dialect for {scanner.manufacturer!r}; known are {', '.join(DIALECTS)}")
    return dialect


def _opened(study: SimulatedStudy, dialect: Dialect, chinese: bool) -> tuple[Session, Dataset]:
    """The examination, and what all its instances have in common."""
    scanner = study.scanner
    session = open_session(study.seed, scanner.manufacturer, scanner.model)
    common = study_elements(session, study.sex, chinese)
    common.SpecificCharacterSet = _character_set(dialect.character_set, chinese)
    common.InstitutionName = "Simulated Hospital"
    common.update(dialect.equipment(scanner.model))
    return session, common


def _character_set(usual: str, chinese: bool) -> str:
    return "GB18030" if chinese and usual != "ISO_IR 192" else usual
