"""A simulated study that has been analysed once, kept in a folder: what the encoders start from, and what they make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.research.phantom import find_scanner, simulate_study
from node.analysis import steps
from node.analysis.bundles import Models
from node.analysis.identity import settings_digest, site_of
from node.analysis.study import Study
from node.settings import Settings
from node.simulator import write_study
from storage.header import content_of, read_header
from storage.identity import InstanceKey

#: When its results come to be, always the same, so that they have the same bytes.
CREATED_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ANALYSED = "analysed"


@dataclass(frozen=True, slots=True)
class EncodedStudy:
    """A study whose images lie in `images` and whose intermediate results lie in `study.folder`."""

    study: Study
    settings: Settings

    @property
    def results(self) -> Path:
        """Folder of the encoded objects."""
        return self.study.results


def analysed_study(folder: Path, seed: int = 104, scanner: str = "Skyra") -> EncodedStudy:
    """The study, simulated and analysed up to the prediction where the folder does not hold it yet."""
    images, work = folder / "images", folder / "work"
    if not images.exists():
        write_study(simulate_study(seed, find_scanner(scanner)), images)
    headers = {path: read_header(path) for path in sorted(images.rglob("*.dcm"))}
    uid = next(iter(headers.values())).study_instance_uid
    instances = {
        InstanceKey(header.series_instance_uid, header.sop_instance_uid): (path, content_of(path).identifier)
        for path, header in headers.items()
    }
    found = EncodedStudy(Study(uid, 1, instances, work), Settings(root=folder / "root"))
    if not (work / _ANALYSED).exists():
        _analyse(found)
        (work / _ANALYSED).touch()
    return found


def encoded_study(folder: Path) -> EncodedStudy:
    """The study with its encoded objects."""
    found = analysed_study(folder)
    settings = found.settings
    models = Models(settings.analysis)
    digest = settings_digest(settings, models.executions())
    steps.encode_results(found.study, models, CREATED_AT, digest, site_of(settings))
    return found


def _analyse(found: EncodedStudy) -> None:
    study, settings = found.study, found.settings
    models = Models(settings.analysis)
    study.folder.mkdir(parents=True, exist_ok=True)
    steps.recognise_study(study, settings.recognition, models)
    steps.assemble_volumes(study, settings.recognition, models)
    steps.super_resolve_volumes(study, models)
    steps.segment_volumes(study, models)
    steps.extract_features(study, models)
    steps.predict_outcome(study, models)
