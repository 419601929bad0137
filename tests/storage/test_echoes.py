"""Of how remotes answered the latest stay on record, and the last time that one was there."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from storage.echoes import KEPT, Echo, Echoes, last_success
from storage.monitoring_schema import echo


@pytest.fixture
def said(at):
    return lambda second, answers=False: Echo("PACS", at(second), "olga", answers, "" if answers else "away", 1.5)


def test_what_was_said_comes_back_the_latest_first(engine, said):
    echoes = Echoes(engine)
    for second in range(3):
        echoes.add(said(second))
    assert echoes.latest("PACS", 2) == (said(2), said(1))
    assert echoes.latest("other", 2) == ()


def test_answers_of_long_ago_are_forgotten_but_the_last_success_is_not(engine, said):
    echoes = Echoes(engine)
    with engine.begin() as connection:
        connection.execute(echo.insert(), [asdict(said(second, second == 1)) for second in range(KEPT)])
    for second in (KEPT, KEPT + 1, KEPT + 2):
        echoes.add(said(second))
    kept = echoes.latest("PACS", 10 * KEPT)
    assert [it.asked_at for it in kept] == [said(it).asked_at for it in (*range(KEPT + 2, 2, -1), 1)]
    with engine.connect() as connection:
        assert last_success(connection, "PACS") == said(1, True)
        assert last_success(connection, "other") is None
