"""Studies to damage: the hand-built study of a scanner, changed instance by instance and written again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydicom import Dataset

from node.recognition.plan import recognise
from node.recognition.record import StudyPlan
from node.settings import RecognitionSettings

from ..copies import copied

Recogniser = Callable[..., StudyPlan]


@pytest.fixture
def recognised(tmp_path: Path) -> Recogniser:
    """Writes instances under new names and recognises them as one study."""

    def run(instances: Sequence[Dataset], settings: RecognitionSettings | None = None) -> StudyPlan:
        paths = []
        for number, instance in enumerate(instances):
            path = tmp_path / f"{number:04d}.dcm"
            instance.save_as(path)
            paths.append(path)
        return recognise(str(instances[0].StudyInstanceUID), paths, settings or RecognitionSettings())

    return run


@pytest.fixture
def series_of(written_by) -> Callable[[str, str], list[Dataset]]:
    """Copies of the instances of one series, by scanner and a part of its Series Description, in file order."""

    def copies(scanner: str, description: str) -> list[Dataset]:
        return [copied(instance) for instance in written_by(scanner).series(description)]

    return copies
