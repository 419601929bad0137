"""A simulated study as the DICOM files that its scanner would send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from models.phantom.study import SimulatedStudy
from node.errors import PermanentError
from node.simulator.capture import write_capture
from node.simulator.encoding import write_series
from node.simulator.series import ScannerSeries, StorageFormat
from node.simulator.session import Session, open_session, study_elements
from node.simulator.vendors import ge, philips, siemens, uih


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one manufacturer writes: equipment (from the model's name), series, storage, character set."""

    equipment: Callable[[str], Dataset]
    series: Callable[[SimulatedStudy, Session], tuple[ScannerSeries, ...]]
    storage: StorageFormat
    character_set: str


DIALECTS = {
    "Siemens": Dialect(siemens.equipment, siemens.series, siemens.FORMAT, siemens.CHARACTER_SET),
    "GE": Dialect(ge.equipment, ge.series, ge.FORMAT, ge.CHARACTER_SET),
    "Philips": Dialect(philips.equipment, philips.series, philips.FORMAT, philips.CHARACTER_SET),
    "UIH": Dialect(uih.equipment, uih.series, uih.FORMAT, uih.CHARACTER_SET),
}


def write_study(study: SimulatedStudy, folder: Path, *, chinese: bool = False) -> tuple[Path, ...]:
    """Write every series of `study`, and a screen capture, in the manner of its scanner; the files in order.

    Files are Explicit VR Little Endian, one slice each, under one folder a series. The same study gives the same
    bytes (with the same pydicom, whose version stands in the file meta information). `chinese` gives Study
    Description and Patient Comments in Chinese, in UTF-8 (UIH) or GB18030 (the others).

    Raises:
        PermanentError: no dialect is known for the manufacturer of the study's scanner.
    """
    scanner = study.scanner
    dialect = DIALECTS.get(scanner.manufacturer)
    if dialect is None:
        raise PermanentError(f"no DICOM dialect for {scanner.manufacturer!r}; known are {', '.join(DIALECTS)}")
    session = open_session(study.seed, scanner.manufacturer, scanner.model)
    common = study_elements(session, study.sex, chinese)
    common.SpecificCharacterSet = _character_set(dialect.character_set, chinese)
    common.InstitutionName = "Simulated Hospital"
    common.update(dialect.equipment(scanner.model))
    paths: list[Path] = []
    stored = dialect.series(study, session)
    for series in stored:
        paths += write_series(series, common, session, dialect.storage, folder)
    number = max(series.number for series in stored) + 100
    paths.append(write_capture(study, common, session, number, dialect.storage, folder))
    return tuple(paths)


def _character_set(usual: str, chinese: bool) -> str:
    return "GB18030" if chinese and usual != "ISO_IR 192" else usual
