"""A removal that is killed leaves the study whole, or a record by which the next look finishes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.maintenance.retention import Retention
from node.settings import RemoteSettings, RetentionRule, RetentionSettings, Settings
from storage import removal_records
from storage.records import Registration, StudyState
from storage.schema import metadata

from ...parts.kills import killed_at
from ..old_studies import OldStudies, a_file, after

STUDY = "1.2.3"


def remove(root: Path, what: str) -> tuple[object, ...]:
    """One look of a node that removes the study, or its images."""
    pacs = RemoteSettings(name="PACS", ae_title="PACS", host="h", port=1, receives_results=True)
    rule = RetentionRule(name="old", older_than_days=30, remove=what)
    settings = Settings(root=root, remotes=(pacs,), retention=RetentionSettings(enabled=True, rules=(rule,)))
    node = OldStudies(root)
    return Retention(settings, node.engine, node.files, after(100)).look()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    node = OldStudies(root)
    node.ended(STUDY)
    node.engine.dispose()
    return root


@pytest.fixture
def killed(template: Path, tmp_path: Path):
    """Roots on which the removal was killed, one for each of its boundaries, or for some of them."""

    def roots(what: str, every: int = 1) -> Iterator[OldStudies]:
        number = every
        while True:
            root = tmp_path / f"{number}"
            shutil.copytree(template, root)
            if not killed_at(number, remove, root, what):
                return
            yield OldStudies(root)
            number += every

    return roots


def rows(node: OldStudies) -> dict[str, int]:
    """How many there are of every table; not of the node's own upkeep, which knows no study."""
    with node.engine.connect() as connection:
        counts = {it.name: connection.scalar(select(func.count()).select_from(it)) for it in metadata.sorted_tables}
    return {name: count for name, count in counts.items() if count and name != "upkeep"}


def is_whole(node: OldStudies) -> bool:
    objects = [*node.index.instances(STUDY), *node.ledger.all_results(STUDY)]
    return len(objects) == 4 and all(node.files.absolute(it.file).exists() for it in objects)


def test_killed_at_any_boundary_the_study_is_whole_or_gone_and_the_next_look_leaves_nothing(killed):
    whole = gone = 0
    for node in killed("study"):
        if node.index.study(STUDY) is not None:
            assert is_whole(node)
            whole += 1
        else:
            assert rows(node).keys() <= {"removal", "removal_file", "audit_event"}
            gone += 1
        remove(node.root, "study")
        assert (rows(node), node.files_of(STUDY)) == ({"removal": 1, "audit_event": 1}, [])
        assert not (node.root / "objects" / STUDY).exists()
    # Before: the clock is seen, the secret of the site is made, and the rows go.
    # After: files, their folders, the work folder, the end.
    assert (whole, gone) == (4, 15)


def test_what_comes_again_before_the_next_look_keeps_its_file(killed):
    again = a_file(1, study=STUDY)
    for node in killed("study", every=3):
        fresh = node.index.study(STUDY) is None
        assert node.store(again, after(99)()) is (Registration.NEW if fresh else Registration.DUPLICATE)
        remove(node.root, "study")
        found = node.index.instances(STUDY)
        if fresh:
            # Left alone as long as its analysis may make results under the names of those that go.
            assert node.index.study(STUDY).state is StudyState.RECEIVING
            node.index.move(STUDY, 2, StudyState.REFUSED)
            remove(node.root, "study")
            assert [node.files.absolute(it.file).read_bytes() for it in found] == [again]
            with node.engine.connect() as connection:
                assert removal_records.unfinished(connection) == ()
            assert len(node.files_of(STUDY)) == 1


def test_images_that_go_alone_leave_all_of_them_or_none_and_the_results_always(killed):
    for node in killed("images", every=2):
        assert is_whole(node) or not node.index.instances(STUDY)
        remove(node.root, "images")
        (result,) = node.ledger.all_results(STUDY)
        assert node.index.instances(STUDY) == ()
        assert node.files.absolute(result.file) in node.files_of(STUDY)
        assert len(node.files_of(STUDY)) == 2  # with its plan
