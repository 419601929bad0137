"""The record of known-answer checks, and which answers are references; on both databases."""

from __future__ import annotations

import pytest

from storage.answer_checks import AnswerChecks, Outcome, latest
from storage.errors import StorageError
from storage.known_answer import UID_ROOT, is_of_check

MODELS, OTHERS = "a" * 64, "b" * 64


@pytest.fixture
def checks(engine) -> AnswerChecks:
    return AnswerChecks(engine)


def test_a_check_is_running_until_it_has_ended(engine, checks, at):
    number = checks.begin(f"{UID_ROOT}1", MODELS, at(0))
    with engine.connect() as connection:
        running = latest(connection)
    assert (running.outcome, running.started_at, running.ended_at, running.answer) == (
        Outcome.RUNNING,
        at(0),
        None,
        {},
    )
    ended = checks.end(number, Outcome.FAILED, {"x: voxels": 2.5}, "x: voxels: 2.5 and not 9", at(60))
    with engine.connect() as connection:
        assert latest(connection) == ended
    assert (ended.outcome, ended.answer, ended.ended_at) == (Outcome.FAILED, {"x: voxels": 2.5}, at(60))


def answered(checks, at, models: str, value: float, seconds: float = 0) -> None:
    checks.end(checks.begin(f"{UID_ROOT}1", models, at(seconds)), Outcome.NO_REFERENCE, {"x: voxels": value}, "", at(1))


def test_a_person_makes_the_latest_answer_of_bundles_their_reference(checks, at):
    answered(checks, at, MODELS, 1)
    answered(checks, at, MODELS, 2)
    answered(checks, at, OTHERS, 3)
    assert checks.reference(MODELS) is None
    accepted = checks.accept(MODELS, "anna", at(9))
    assert (accepted.accepted_by, accepted.accepted_at) == ("anna", at(9))
    assert checks.reference(MODELS) == {"x: voxels": 2}
    assert checks.reference(OTHERS) is None


def test_a_check_without_an_answer_is_no_reference(checks, at):
    checks.end(checks.begin(f"{UID_ROOT}1", MODELS, at(0)), Outcome.FAILED, {}, "no answer", at(1))
    with pytest.raises(StorageError, match="have given no answer yet"):
        checks.accept(MODELS, "anna", at(2))


def test_references_stay_when_checks_of_long_ago_are_forgotten(engine, checks, at):
    answered(checks, at, MODELS, 1)
    checks.accept(MODELS, "anna", at(2))
    for number in range(105):
        checks.begin(f"{UID_ROOT}{number}", OTHERS, at(number))
    assert checks.reference(MODELS) == {"x: voxels": 1}
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM answer_check").scalar_one() == 101


def test_what_is_a_study_of_a_check_is_known_by_its_uid():
    assert is_of_check(f"{UID_ROOT}17")
    assert not is_of_check("1.2.826.0.1.3680043.10.1599.2017")
