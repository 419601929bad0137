"""The input of an analysis: the instances that its revision is pinned to, and what has to be known of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from node.analysis.bundles import Models
from node.analysis.context import AnalysisContext
from node.analysis.steps import read_plan, recognise_study
from node.settings import RecognitionSettings, Settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.records import StudyState
from storage.reruns import reopen

from ..copies import copied

GRAYSCALE_PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
CAUTION = "E-INCOMPLETE: 9 of 10 instances of series 1.2.3.4 had arrived; the PACS has the rest"


@pytest.fixture
def context(tmp_path: Path) -> AnalysisContext:
    settings = Settings(root=tmp_path)
    engine = open_engine(settings.storage_url)
    storage = ObjectStore(tmp_path), Index(engine), Ledger(engine), Deliveries(engine)
    return AnalysisContext(settings, *storage, Models(settings.analysis))


@pytest.fixture
def uid(context: AnalysisContext, written_by: Callable[[str], Any]) -> str:
    """A study that arrived and was queued with a caution."""
    for path in written_by("Siemens Skyra").paths:
        header = read_header(path)
        file = context.files.store(path.read_bytes(), header)
        context.index.register(header, file, "SCANNER", datetime.now(UTC))
    context.index.move(header.study_instance_uid, 1, StudyState.QUEUED, caution=CAUTION)
    return header.study_instance_uid


def test_a_caution_is_the_first_warning_of_the_plan(context: AnalysisContext, uid: str) -> None:
    study = context.study(uid, 1)
    plan = recognise_study(study, RecognitionSettings(), context.models)
    assert plan.warnings[0] == CAUTION
    assert read_plan(study) == plan


def test_a_study_without_caution_has_no_warning_of_it(context: AnalysisContext, uid: str) -> None:
    context.index.move(uid, 1, StudyState.FAILED, "broke")
    reopen(context.index._engine, uid)
    context.index.move(uid, 2, StudyState.QUEUED)
    plan = recognise_study(context.study(uid, 2), RecognitionSettings(), context.models)
    assert not [warning for warning in plan.warnings if "E-INCOMPLETE" in warning]


def test_a_revision_that_is_out_of_date_takes_nothing_from_the_next_one(context: AnalysisContext, uid: str) -> None:
    context.index.move(uid, 1, StudyState.FAILED, "broke")
    reopen(context.index._engine, uid)
    context.index.move(uid, 2, StudyState.QUEUED, caution=CAUTION)
    assert (context.study(uid, 1).caution, context.study(uid, 2).caution) == ("", CAUTION)


def test_objects_that_another_study_has_as_well_are_named_in_the_plan(context: AnalysisContext, uid: str) -> None:
    """Both studies are whole; only who looks an object up by its UID alone may find the other."""
    known = context.index.instances(uid)[:3]
    for record in known:
        header = replace(record.header, study_instance_uid="1.2.3", series_instance_uid="1.2.3.4")
        context.index.register(header, record.file, "SCANNER", datetime.now(UTC))
    plan = recognise_study(context.study(uid, 1), RecognitionSettings(), context.models)
    (clash,) = (warning for warning in plan.warnings if warning.startswith("E-UID-CLASH"))
    assert "3 SOP Instance UIDs stand for one object in series " in clash
    assert "another in study 1.2.3:" in clash
    assert sum(verdict.instance_count for verdict in plan.verdicts) == len(context.index.instances(uid))


def test_a_series_that_shares_uids_with_another_arrives_and_is_analysed_whole(
    context: AnalysisContext, written_by: Callable[[str], Any], tmp_path: Path
) -> None:
    """Through the object store and the index: what came last under a UID once took the place of the other series."""
    axial, sagittal = (written_by("Siemens Skyra").series(f"t2_tse_{plane}") for plane in ("tra", "sag"))
    for one, other in zip(axial, sagittal, strict=True):
        shared = copied(other)
        shared.SOPInstanceUID = shared.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        for instance in (one, shared):
            instance.save_as(tmp_path / "one.dcm")
            header = read_header(tmp_path / "one.dcm")
            file = context.files.store((tmp_path / "one.dcm").read_bytes(), header)
            context.index.register(header, file, "SCANNER", datetime.now(UTC))
    context.index.move(header.study_instance_uid, 1, StudyState.QUEUED)
    plan = recognise_study(context.study(header.study_instance_uid, 1), RecognitionSettings(), context.models)
    assert [verdict.instance_count for verdict in plan.verdicts] == [len(axial), len(sagittal)]
    (stack,) = plan.stacks
    assert len(stack.frames) == len(axial)
    assert any(warning.startswith("E-UID-CLASH") for warning in plan.warnings)


def test_an_image_that_arrives_during_an_analysis_is_not_in_the_input_of_that_revision(
    context: AnalysisContext, uid: str, tmp_path: Path
) -> None:
    """A presentation state makes no revision, and once was in the input of the steps after its arrival."""
    before = context.study(uid, 1).instances
    (known, *_) = context.index.instances(uid)
    for number, sop_class in enumerate((known.header.sop_class_uid, GRAYSCALE_PRESENTATION_STATE)):
        header = replace(known.header, sop_instance_uid=f"1.2.3.{number}", sop_class_uid=sop_class)
        context.index.register(header, known.file, "SCANNER", datetime.now(UTC))
    assert context.study(uid, 1).instances == before
    context.index.move(uid, 2, StudyState.QUEUED)
    assert len(context.study(uid, 2).instances) == len(before) + 2
