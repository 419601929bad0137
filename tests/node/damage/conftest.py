"""A pelvis of 32 × 32 × 8 voxels as four scanners write it, and bundles that were trained on it for seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from pydicom import Dataset

from node.analysis import steps
from node.analysis.bundles import Models
from node.analysis.refusal import why_refused
from node.analysis.study import Study
from node.results.encoded import EncodedObject
from node.results.identity import Site
from node.settings import AnalysisSettings, RecognitionSettings
from node.simulator.encoding import write_instance
from node.simulator.enhanced import FrameTiming, enhanced
from storage.errors import HeaderError
from storage.header import content_of, read_header
from storage.identity import InstanceKey

from ...parts import processor
from ..tiny import WEIGHTS, tiny_bundles, volumes_of

SETTINGS_OF_NODE = RecognitionSettings(protocol_factor=20.0)
SITE = Site("1.2.826.0.1.3680043.10.1599.", "Our Hospital", "UTC")
NOW = datetime(2026, 11, 30, tzinfo=UTC)
SCANNERS = ("Skyra", "MR750", "Multiva", "uMR 770")


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, list[Path]]]:
    """The files of T2WI, DWI and DCE of the tiny study of a scanner."""

    @cache
    def written(name: str) -> dict[str, list[Path]]:
        """Of `name` with `, multi-frame` every volume is one Enhanced MR image."""
        scanner, _, multi_frame = name.partition(", ")
        volumes: dict[tuple[str, float], list[Dataset]] = {}
        for kind, value, instance in volumes_of(scanner):
            volumes.setdefault((kind, value), []).append(instance)
        folder = tmp_path_factory.mktemp("tiny")
        paths: dict[str, list[Path]] = {}
        for (kind, value), slices in volumes.items():
            for number, instance in enumerate([_one_of(slices, kind, value)] if multi_frame else slices):
                path = folder / f"{kind}{value}-{number:02d}.dcm"
                write_instance(instance, path)
                paths.setdefault(kind, []).append(path)
        return paths

    return written


def _one_of(slices: list[Dataset], kind: str, value: float) -> Dataset:
    starts = [f"{each.AcquisitionDate}{each.AcquisitionTime}" for each in slices]
    b_value = value if kind == "DWI" else None
    return enhanced(slices, [b_value] * len(slices), [FrameTiming(start, 1.0) for start in starts])


@pytest.fixture(scope="session")
def tiny_models() -> Models:
    """Small networks that were trained on the tiny pelvis; the shipped prediction."""
    return Models(tiny_bundles())


@pytest.fixture(scope="session")
def shipped_models() -> Models:
    """The bundles of the repository."""
    return Models(
        AnalysisSettings(
            super_resolution=WEIGHTS / "super-resolution",
            segmentation=WEIGHTS / "segmentation",
            prediction=WEIGHTS / "prediction",
            threads=2,
            precision=processor.installation().precision,
        )
    )


def studies(paths: SequenceOf[Path], folder: Path) -> Iterator[Study]:
    """What the storage takes of the files, by study."""
    found: dict[str, dict[InstanceKey, tuple[Path, str]]] = {}
    for path in paths:
        try:
            header = read_header(path)
        except HeaderError:
            continue
        found.setdefault(header.study_instance_uid, {})[header.key] = (path, content_of(path).identifier)
    for uid, instances in found.items():
        yield Study(uid, 1, instances, folder / uid)


@dataclass(frozen=True)
class Analysed:
    """A study, why it is refused, if it is, and the objects that leave."""

    study: Study
    refusal: str
    objects: tuple[EncodedObject, ...]


@pytest.fixture(scope="session")
def analysed() -> Callable[..., Iterator[Analysed]]:
    """What the workflow does with files, study by study; features and prediction only where they are `measured`."""

    def run(paths: SequenceOf[Path], folder: Path, models: Models, measured: bool) -> Iterator[Analysed]:
        for study in studies(paths, folder):
            refusal = why_refused(steps.recognise_study(study, SETTINGS_OF_NODE, models))
            refusal = refusal or why_refused(steps.assemble_volumes(study, SETTINGS_OF_NODE, models))
            if not refusal:
                steps.super_resolve_volumes(study, models)
                steps.segment_volumes(study, models)
            if not refusal and measured:
                steps.extract_features(study, models)
                steps.predict_outcome(study, models)
            elif not refusal:
                (study.folder / "features.json").write_text("{}")
            yield Analysed(study, refusal, steps.encode_results(study, models, NOW, "settings", SITE))

    return run
