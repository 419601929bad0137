"""A link is used once and a password ends with the next one, also where several do so at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from storage.accounts import AccountRole, Accounts
from storage.database import writing
from storage.page_schema import account, account_link

HOUR, IDLE = 3600, timedelta(hours=1)


@pytest.fixture
def known(engine, at):
    """Eva, with a password and a link to another one."""
    found = Accounts(engine)
    found.add("eva", AccountRole.VIEWER, at(0))
    found.keep_link("eva", "first", at(HOUR))
    found.use_link("first", "old hash", at(0))
    found.keep_link("eva", "link", at(HOUR))
    return found


def wait_for_waiting(engine, number):
    """Until so many wait for a row, or a while: SQLite does not tell."""
    waiting = select(func.count()).select_from(text("pg_locks")).where(text("NOT granted"))
    for _ in range(100 if engine.dialect.name == "postgresql" else 0):
        with engine.connect() as connection:
            if connection.scalar(waiting) >= number:
                return
        time.sleep(0.02)
    time.sleep(0.1)


def test_of_two_who_use_a_link_at_once_one_sets_the_password(engine, known, at):
    with ThreadPoolExecutor(2) as threads:
        with writing(engine).begin() as connection:
            connection.execute(select(account_link).with_for_update())
            used = [threads.submit(known.use_link, "link", f"hash {number}", at(1)) for number in (1, 2)]
            wait_for_waiting(engine, 2)
        found = [it.result() for it in used]
    (kept,) = [it for it in found if it]
    assert known.find("eva").password_hash == kept.password_hash


def test_a_link_that_is_over_sets_no_password_and_none_that_was_never_given(known, at):
    assert known.use_link("link", "new hash", at(HOUR)) is None
    assert known.use_link("other", "new hash", at(0)) is None
    assert known.find("eva").password_hash == "old hash"


def test_who_was_verified_by_the_password_before_begins_no_session(known, at):
    verified = known.find("eva")
    renewed = known.use_link("link", "new hash", at(1))
    assert not known.begin_session(verified, "old", at(2), at(HOUR))
    assert known.session("old", at(3), IDLE) is None
    assert known.begin_session(renewed, "new", at(2), at(HOUR))
    assert known.session("new", at(3), IDLE)


def test_a_session_that_begins_while_the_password_changes_ends_with_it(engine, known, at):
    """The one who begins it has the row of the account when the other comes to it."""
    verified = known.find("eva")
    with ThreadPoolExecutor(2) as threads:
        with writing(engine).begin() as connection:
            connection.execute(select(account).with_for_update())
            begun = threads.submit(known.begin_session, verified, "old", at(2), at(HOUR))
            wait_for_waiting(engine, 1)
            renewed = threads.submit(known.use_link, "link", "new hash", at(1))
            wait_for_waiting(engine, 2)
        begun.result()
        assert renewed.result()
    assert known.session("old", at(3), IDLE) is None


def test_a_session_of_an_account_that_is_gone_does_not_begin(known, at):
    verified = known.find("eva")
    known.remove("eva")
    assert not known.begin_session(verified, "late", at(2), at(HOUR))
