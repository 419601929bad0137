"""Kinds of results that only some destinations want: made where one does, and without a trace where none does."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.analysis.objects import keep
from node.analysis.study import Study
from node.destinations import additional_kinds, takes
from node.results.encode import encode
from node.settings import RemoteSettings, ResultKind
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.records import StudyState

from .conftest import EVERYTHING, OF_SEQUENCES, SITE, STUDY_UID


def remote(name: str, *results: ResultKind) -> RemoteSettings:
    chosen = {"results": results} if results else {}
    return RemoteSettings(name=name, receives_results=True, ae_title=name.upper(), host="h", port=104, **chosen)


def digests(objects) -> dict[str, str]:
    return {it.path.name: hashlib.sha256(it.path.read_bytes()).hexdigest() for it in objects}


def test_without_a_destination_that_wants_them_none_is_made():
    assert additional_kinds([remote("pacs"), remote("archive", ResultKind.REPORT)]) == frozenset()
    wanted = additional_kinds([remote("pacs"), remote("viewer", ResultKind.PDF, ResultKind.LABELMAP)])
    assert wanted == {ResultKind.LABELMAP}


def test_the_usual_results_are_the_same_bytes_and_come_first(additional, siemens):
    usual = additional.objects[: len(siemens.objects)]
    assert digests(usual) == digests(siemens.objects)
    assert all(
        it.role.startswith(tuple(f"{kind}-" for kind in OF_SEQUENCES)) for it in additional.objects[len(usual) :]
    )


def test_encoding_again_gives_the_same_bytes_of_every_kind(make_encoded, tmp_path):
    made = make_encoded("siemens", ("T2WI",), kinds=OF_SEQUENCES, selections=(EVERYTHING,))
    again = encode(made.results, tmp_path, SITE, kinds=OF_SEQUENCES, selections=(EVERYTHING,))
    assert digests(again) == digests(made.objects)


@pytest.mark.parametrize("kind", OF_SEQUENCES)
def test_each_kind_goes_to_the_destination_that_names_it_and_to_no_other(additional, kind):
    viewer, pacs = remote("viewer", kind), remote("pacs")
    others = remote("others", *(set(ResultKind) - {kind}))
    of_kind = [it for it in additional.objects if takes(viewer, it.sop_class_uid, it.role)]
    assert {it.role.removeprefix(f"{kind}-") for it in of_kind} <= {"t2wi", "dwi", "pvp", "super-resolved-t2wi"}
    assert len({it.role for it in of_kind}) >= 3
    for it in of_kind:
        assert not takes(pacs, it.sop_class_uid, it.role)
        assert not takes(others, it.sop_class_uid, it.role)


def test_hand_over_queues_for_each_destination_what_it_names(additional, tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/index.sqlite")
    index, files, now = Index(engine), ObjectStore(tmp_path), datetime.now(UTC)
    image = additional.results.sequences[0].stack.frames[0].path
    header = read_header(image)
    index.register(header, files.store(image.read_bytes(), header), "SCANNER", now)
    index.move(STUDY_UID, 1, StudyState.QUEUED)
    one_of_each_role = {it.role: it for it in additional.objects}.values()
    objects = [replace(it, path=Path(shutil.copy(it.path, tmp_path))) for it in one_of_each_role]
    results = keep(files, Study(STUDY_UID, 1, {}, tmp_path), objects)
    viewer = remote("viewer", ResultKind.REPORT, ResultKind.FRACTIONAL, ResultKind.CONTOUR_IMAGES)
    remotes = {it.name: it for it in (remote("pacs"), viewer)}

    def gets(name, result):
        return takes(remotes[name], result.sop_class_uid, result.role)

    Ledger(engine).conclude(STUDY_UID, 1, StudyState.COMPLETED, "", results, list(remotes), now, gets=gets)
    due = {name: {it.result.role for it in Deliveries(engine).due(name, now)} for name in remotes}
    engine.dispose()
    sequences = ("t2wi", "dwi", "pvp")
    wanted = {f"{kind}-{it}" for kind in ("segmentation-fractional", "contour-images") for it in sequences}
    assert due["viewer"] == {"report", *wanted}
    assert due["pacs"] == {
        it.role for it in objects if not it.role.startswith(tuple(f"{kind}-" for kind in OF_SEQUENCES))
    }


def test_where_nothing_was_found_only_the_volume_is_made(make_encoded):
    made = make_encoded("siemens", with_tumour=False, kinds=OF_SEQUENCES)
    roles = {it.role for it in made.objects if it.role.startswith(tuple(f"{kind}-" for kind in OF_SEQUENCES))}
    assert roles == {f"super-resolved-enhanced-{name}" for name in ("t2wi", "dwi", "pvp")}
