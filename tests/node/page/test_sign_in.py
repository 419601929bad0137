"""Who comes in: by a link that works once, by a password, for a time, and only by forms of this page."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from node.clock import utc_now
from node.errors import NodeError
from node.operations import accounts
from node.page.attempts import Attempts
from node.page.rendering import HERE
from node.page.visitors import COOKIE, RENEWED, within
from storage.accounts import AccountRole, Accounts, digest
from storage.database import open_engine, writing
from storage.page_schema import web_session

from .conftest import LEAST_COST, PASSWORD, running_page


@pytest.fixture
def passwords_cost_little(monkeypatch):
    monkeypatch.setattr(accounts, "_hasher", LEAST_COST)


#: For what is not about the cost: a guess at the usual one takes 0.3 s of the processor.
cheaply = pytest.mark.usefixtures("passwords_cost_little")


@pytest.fixture
def engine(tmp_path):
    found = open_engine(f"sqlite:///{tmp_path / 'accounts.sqlite'}")
    yield found
    found.dispose()


def token_of(link):
    return link.path.rpartition("/")[2]


@cheaply
def test_the_first_start_makes_an_operator_and_a_link_until_a_password_is_set(engine):
    first, second = accounts.first_link(engine), accounts.first_link(engine)
    assert [it.name for it in accounts.accounts(engine).accounts] == ["operator"]
    with pytest.raises(NodeError, match="was used or is over"):
        accounts.set_password(engine, token_of(first), PASSWORD)  # the later start has replaced it
    assert accounts.set_password(engine, token_of(second), PASSWORD).role is AccountRole.OPERATOR
    assert accounts.first_link(engine) is None


@cheaply
def test_a_link_works_once_and_for_a_day(engine):
    link = accounts.add(engine, "eva", AccountRole.VIEWER)
    assert Accounts(engine).link_of(token_of(link), utc_now() + timedelta(hours=25)) is None
    accounts.set_password(engine, token_of(link), PASSWORD)
    with pytest.raises(NodeError, match="was used or is over"):
        accounts.set_password(engine, token_of(link), PASSWORD)


def test_passwords_are_kept_as_argon2_and_tokens_as_digests(engine, tmp_path):
    link = accounts.add(engine, "eva", AccountRole.VIEWER)
    kept = (tmp_path / "accounts.sqlite").read_bytes() + (tmp_path / "accounts.sqlite-wal").read_bytes()
    assert token_of(link).encode() not in kept
    accounts.set_password(engine, token_of(link), PASSWORD)
    assert Accounts(engine).find("eva").password_hash.startswith("$argon2id$")


@cheaply
def test_only_name_and_password_together_sign_in(engine):
    accounts.set_password(engine, token_of(accounts.add(engine, "eva", AccountRole.VIEWER)), PASSWORD)
    accounts.add(engine, "without", AccountRole.VIEWER)
    assert accounts.sign_in(engine, "eva", PASSWORD).name == "eva"
    for name, password in (
        ("eva", PASSWORD + "!"),
        ("eva", ""),
        ("nobody", PASSWORD),
        ("without", ""),
        ("E" * 999, ""),
    ):
        assert accounts.sign_in(engine, name, password) is None


@cheaply
def test_the_last_operator_who_can_sign_in_stays(engine):
    accounts.set_password(engine, token_of(accounts.first_link(engine)), PASSWORD)
    accounts.add(engine, "second", AccountRole.OPERATOR)  # has no password yet
    with pytest.raises(NodeError, match="stays"):
        accounts.remove(engine, "operator")
    accounts.remove(engine, "second")


@pytest.mark.parametrize("name", ["", " eva", "e" * 65, "e\nva"])
def test_names_of_accounts_are_printable(engine, name):
    with pytest.raises(NodeError, match="printable"):
        accounts.add(engine, name, AccountRole.VIEWER)


@pytest.mark.parametrize("path", ["/", "/studies/1.2.3", "/quarantine?ended=true"])
def test_pages_and_pictures_are_for_those_who_have_signed_in(page, path):
    answer = page.nobody().get(path)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in?next=%2F")


def test_a_part_that_is_asked_for_without_a_session_leads_to_the_sign_in(page):
    answer = page.nobody().get("/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/sign-in?next=%2F")


@cheaply
def test_a_link_sets_a_password_in_the_browser_and_begins_a_session(page):
    link = accounts.add(page.house.engine, "linda", AccountRole.VIEWER)
    browser = page.nobody()
    assert "Set a password for linda" in browser.get(link.path).text
    assert browser.post(link.path, {"password": PASSWORD, "again": "other"}).status_code == 400
    assert browser.post(link.path, {"password": "short", "again": "short"}).status_code == 400
    assert browser.post(link.path, {"password": PASSWORD, "again": PASSWORD}).status_code == 303
    assert browser.get("/").status_code == 200
    assert page.nobody().get(link.path).status_code == 404


def test_the_cookie_is_for_this_page_alone(page):
    answer = page.nobody().post("/sign-in", {"name": "olga", "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    assert re.match(f"{COOKIE}=[A-Za-z0-9_-]{{43}};", cookie)
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie


def test_the_cookie_goes_by_tls_alone_where_the_page_is_called_so(tmp_path):
    with running_page(tmp_path, public_url="https://page.example") as found:
        answer = found.nobody().post("/sign-in", {"name": "olga", "password": PASSWORD}, Origin=found.url)
        assert "; Secure" in answer.headers["Set-Cookie"]


def test_a_session_ends_with_signing_out_also_for_who_has_copied_the_cookie(page):
    browser, thief = page.signed_in("viktor"), page.nobody()
    thief.session.cookies.update(browser.session.cookies)
    assert thief.get("/").status_code == 200
    assert browser.post("/sign-out").status_code == 303
    assert thief.get("/").status_code == 303


def test_a_session_ends_after_its_hours_and_when_nobody_uses_it(engine):
    accounts.add(engine, "eva", AccountRole.VIEWER)
    known, now, idle = Accounts(engine), utc_now(), timedelta(minutes=60)
    known.begin_session(known.find("eva"), "token", now, now + timedelta(hours=12))
    for minutes in range(0, 660, 50):
        assert known.session("token", now + timedelta(minutes=minutes), idle)
    assert known.session("token", now + timedelta(minutes=711), idle) is None
    assert known.session("token", now + timedelta(hours=13), timedelta(days=2)) is None
    assert known.session("other", now, idle) is None


@cheaply
def test_a_new_password_ends_the_sessions_of_the_account(page):
    link = accounts.add(page.house.engine, "nora", AccountRole.VIEWER)
    accounts.set_password(page.house.engine, token_of(link), PASSWORD)
    browser = page.signed_in("nora")
    accounts.set_password(page.house.engine, token_of(accounts.link(page.house.engine, "nora")), PASSWORD + "!")
    assert browser.get("/").status_code == 303


def test_who_guesses_has_to_wait(tmp_path):
    with running_page(tmp_path) as found:
        browser = found.nobody()
        tried = [browser.post("/sign-in", {"name": "olga", "password": f"guess {n}"}) for n in range(11)]
        assert [it.status_code for it in tried] == [403] * 10 + [429]
        assert 0 < int(tried[-1].headers["Retry-After"]) <= 300
        # The right one as well: it would tell that it was right.
        assert browser.post("/sign-in", {"name": "olga", "password": PASSWORD}).status_code == 429


def test_failures_are_forgotten_after_their_time_and_with_success():
    now = [0.0]
    attempts = Attempts(most=2, within_s=60, clock=lambda: now[0])
    for at in (0.0, 10.0):
        now[0] = at
        assert attempts.begin("one") == 0
    assert attempts.begin("one", "other") == 50
    now[0] = 60.0
    assert attempts.begin("one") == 0
    assert attempts.begin("one") == 10  # of the last two
    attempts.take_back("one")
    assert attempts.begin("one") == 0
    attempts.succeeded("one")
    assert attempts.begin("one") == 0


def test_attempts_at_once_are_no_more_than_one_after_the_other(tmp_path):
    with running_page(tmp_path) as found, ThreadPoolExecutor(24) as threads:
        link = accounts.link(found.house.engine, "olga")
        accounts.set_password(found.house.engine, token_of(link), PASSWORD)  # at its full cost: they overlap
        tried = [
            threads.submit(found.nobody().post, "/sign-in", {"name": "olga", "password": f"guess {n}"})
            for n in range(24)
        ]
        answers = [it.result().status_code for it in tried]
        assert set(answers) == {403, 429}
        assert answers.count(403) <= 10


@cheaply
def test_behind_a_proxy_on_this_machine_one_who_guesses_locks_nobody_else(tmp_path):
    with running_page(tmp_path) as found:
        browser = found.nobody()
        for n in range(11):
            said = {"name": f"nobody {n}", "password": "guess"}
            answer = browser.post("/sign-in", said, **{"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.7"})
        assert answer.status_code == 429
        right = {"name": "olga", "password": PASSWORD}
        for header, value in (
            ("X-Forwarded-For", "203.0.113.7, 203.0.113.8"),
            ("X-Real-IP", "203.0.113.9"),
            ("Forwarded", 'for=203.0.113.7, for="[2001:db8::1]:4711";proto=https'),
        ):
            assert found.nobody().post("/sign-in", right, **{header: value}).status_code == 303
        for header, value in (("X-Real-IP", "203.0.113.7"), ("Forwarded", "for=1.2.3.4, for=203.0.113.7:80;by=x")):
            assert found.nobody().post("/sign-in", right, **{header: value}).status_code == 429


@cheaply
def test_a_password_that_is_too_short_does_not_lock_a_link_and_links_that_are_none_do(tmp_path):
    with running_page(tmp_path) as found:
        link, browser = accounts.add(found.house.engine, "linda", AccountRole.VIEWER), found.nobody()
        for _ in range(11):
            assert browser.post(link.path, {"password": "short", "again": "short"}).status_code == 400
        form = {"password": PASSWORD, "again": PASSWORD}
        for _ in range(10):
            browser.post("/welcome/none", form)
        assert browser.post(link.path, form).status_code == 429


def test_a_page_that_is_left_open_does_not_keep_its_session(page):
    browser = page.signed_in("viktor")

    def seen():
        with page.house.engine.connect() as connection:
            return connection.scalar(select(web_session.c.seen_at).where(mine))

    mine = web_session.c.digest == digest(browser.session.cookies[COOKIE])
    before = utc_now() - timedelta(minutes=30)
    with writing(page.house.engine).begin() as connection:
        connection.execute(update(web_session).where(mine).values(seen_at=before))
    for part in ("studies", "live"):
        assert browser.get("/", headers={"HX-Request": "true", "HX-Trigger": part}).status_code == 200
    assert seen() == before
    assert browser.get("/", headers={"HX-Request": "true", "HX-Trigger": "search"}).status_code == 200
    assert seen() > before + timedelta(minutes=29)


def test_every_part_that_renews_itself_is_known_as_one():
    texts = "".join(it.read_text() for it in (HERE / "templates").glob("*.html"))
    polling = re.findall(r'<[^>]*?id="(\w+)"(?:[^>{]|{{.*?}})*?hx-trigger="every', texts)
    assert texts.count('hx-trigger="every') == len(polling)
    assert set(polling) == RENEWED


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "", "/a\nb", "javascript:alert(1)", "//["],
)
def test_nobody_is_led_elsewhere_after_signing_in(page, path):
    assert within(path) == "/"
    answer = page.nobody().post("/sign-in", {"name": "olga", "password": PASSWORD, "next": path})
    assert answer.headers["Location"] == "/"
