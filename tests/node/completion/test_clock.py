"""A clock that is a day ahead while a study comes, and right again, or set while one rests, holds nothing up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from node.operations.rerun import rerun
from node.settings import Settings
from storage.records import OpenAssociation, StudyState

from .conftest import Arrived

DAY = timedelta(days=1)
NOW, MINUTE = timedelta(), 60


@pytest.fixture
def came_ahead(arrived: Arrived, paths: tuple[Path, ...]) -> Arrived:
    """A study that came while the clock was a day ahead, by an association whose process died."""
    arrived.wanted = ()
    arrived.clock.move(DAY.total_seconds())
    arrived.receive(paths[:3], NOW, OpenAssociation("a", arrived.clock() + timedelta(seconds=15)))
    arrived.clock.move(-DAY.total_seconds())
    return arrived


def seconds_until_queued(arrived: Arrived) -> int:
    for second in range(0, 2 * MINUTE, 2):
        arrived.sweep()
        if arrived.state is StudyState.QUEUED:
            return second
        arrived.clock.move(2)
    raise AssertionError(f"{arrived.study} waits")


def test_a_study_that_came_while_the_clock_was_ahead_settles_within_a_minute(came_ahead: Arrived) -> None:
    assert 20 <= seconds_until_queued(came_ahead) < MINUTE
    assert came_ahead.waits


def test_what_comes_once_the_clock_is_right_counts_as_the_last(came_ahead: Arrived, paths: tuple[Path, ...]) -> None:
    came_ahead.receive(paths[3:4], NOW)
    assert came_ahead.study.last_received_at == came_ahead.clock()


def test_such_a_study_is_run_again_like_any_other(came_ahead: Arrived) -> None:
    seconds_until_queued(came_ahead)
    came_ahead.index.move(came_ahead.uid, 1, StudyState.FAILED, "broke")
    assert rerun(Settings(root=came_ahead.files.root), came_ahead.uid, None).revision == 2
    assert seconds_until_queued(came_ahead) < MINUTE


@pytest.mark.parametrize("moved", [DAY, -DAY, timedelta(minutes=3), -timedelta(minutes=3)])
def test_a_study_that_rests_while_the_clock_is_set_settles_when_it_would_have(
    arrived: Arrived, paths: tuple[Path, ...], moved: timedelta
) -> None:
    arrived.wanted = ()
    arrived.receive(paths[:3], timedelta(seconds=10))
    arrived.clock.move(moved.total_seconds())
    arrived.index.follow_clock(moved, arrived.clock())
    assert seconds_until_queued(arrived) == 10


@pytest.mark.parametrize("moved", [DAY, -DAY])
def test_what_came_since_the_clock_was_set_is_not_moved_with_it(
    arrived: Arrived, paths: tuple[Path, ...], moved: timedelta
) -> None:
    arrived.clock.move(moved.total_seconds())
    arrived.receive(paths[:3], timedelta(seconds=1))
    before = arrived.study
    arrived.index.follow_clock(moved, arrived.clock())
    assert arrived.study == before
