"""Signing in at a provider of OpenID Connect: what is asked of it, whom it lets in, and which answers are none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from node.errors import NodeError
from node.operations import accounts
from node.page.provider import ANSWERED_WITHIN_S, Pending, Requests
from node.settings.oidc import OidcSettings
from storage.accounts import AccountRole, Accounts
from storage.audit import Audit, AuditAction, AuditSearch

from ...parts.provider import CLIENT, SECRET, OpenIdProvider, hmac_of, running_provider
from .conftest import PASSWORD, Browser, RunningPage, running_page


@dataclass
class House:
    """A page, and the provider by whom people sign in to it."""

    page: RunningPage
    provider: OpenIdProvider
    seen: int = 0

    def nobody(self) -> Browser:
        """Somebody at an address of his own: who fails again and again has to wait, and others have not."""
        browser = self.page.nobody()
        self.seen += 1
        browser.session.headers["X-Forwarded-For"] = f"198.51.{self.seen // 200}.{self.seen % 200}"
        return browser

    def on_the_way(self, browser: Browser, next: str = "/") -> str:
        """The address at the provider that the page sends a browser to."""
        answer = browser.get("/sign-in/provider", params={"next": next})
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def answer_to(self, browser: Browser, next: str = "/") -> str:
        """The path of the page to which the provider then sends it back."""
        sent = requests.get(self.on_the_way(browser, next), allow_redirects=False, timeout=30)
        return sent.headers["Location"].removeprefix(self.page.url)

    def signed_in(self) -> tuple[Browser, requests.Response]:
        browser = self.nobody()
        return browser, browser.get(self.answer_to(browser))

    def account(self, name: str):
        return Accounts(self.page.house.engine).find(name)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("provider")
    (folder / "secret").write_text(f"{SECRET}\n")
    with running_provider() as provider:
        oidc = OidcSettings(
            issuer=provider.issuer,
            client_id=CLIENT,
            client_secret_file=folder / "secret",
            role_claim="roles",
            operators=("mri-operators",),
            viewers=("radiologists",),
        )
        with running_page(folder, oidc=oidc) as page:
            yield House(page, provider)


@pytest.fixture
def house(running) -> House:
    """With a provider that is in order."""
    running.provider.mend()
    return running


def test_the_provider_is_asked_for_a_code_with_pkce_and_sends_back_to_the_page(house):
    asked = {name: value[0] for name, value in parse_qs(urlsplit(house.on_the_way(house.nobody())).query).items()}
    assert asked["redirect_uri"] == f"{house.page.url}/sign-in/provider/back"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["scope"] == "openid profile"
    others = parse_qs(urlsplit(house.on_the_way(house.nobody())).query)
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) >= 43
        assert others[name] != [asked[name]]


def test_who_has_a_role_there_has_an_account_here_and_goes_on_to_where_he_wanted(house):
    browser = house.nobody()
    answer = browser.get(house.answer_to(browser, "/quarantine?ended=true"))
    assert answer.status_code == 200
    assert 'content="0; url=/quarantine?ended=true"' in answer.text
    assert "petra (viewer)" in browser.get("/quarantine").text
    assert house.account("petra").subject == f"{house.provider.issuer} 0001"


def test_the_role_is_that_of_today(house):
    house.provider.claims = {"sub": "0002", "preferred_username": "otto", "roles": ["mri-operators", "radiologists"]}
    first, _ = house.signed_in()
    assert "otto (operator)" in first.get("/").text
    house.provider.claims["roles"] = "radiologists"
    house.signed_in()
    assert "otto (viewer)" in first.get("/").text


def test_who_came_in_and_who_did_not_is_on_record(house):
    house.provider.claims = {"sub": "0008", "preferred_username": "rita"}
    house.signed_in()
    house.provider.claims["roles"] = []
    house.signed_in()
    refused, came = Audit(house.page.house.engine).find(AuditSearch(limit=2))
    assert (came.action, came.account, came.succeeded, came.detail) == (
        AuditAction.SIGNED_IN,
        "rita",
        True,
        "by 127.0.0.1",
    )
    assert (refused.action, refused.account, refused.succeeded) == (AuditAction.SIGNED_IN, "", False)
    assert "no role" in refused.detail


@pytest.mark.parametrize("roles", [None, [], ["students"], "", {"radiologists": True}, ["radiologists2"]])
def test_who_has_no_role_is_not_let_in(house, roles):
    house.provider.claims = {"sub": "0003", "preferred_username": "nobody", "roles": roles}
    browser, answer = house.signed_in()
    assert answer.status_code == 403
    assert "no role" in answer.text
    assert browser.get("/").status_code == 303
    assert house.account("nobody") is None


def test_nobody_becomes_a_local_account_by_its_name(house):
    house.provider.claims = {"sub": "0004", "preferred_username": "olga"}
    browser, answer = house.signed_in()
    assert (answer.status_code, browser.get("/").status_code) == (403, 303)
    assert "another account" in answer.text
    assert house.account("olga").role is AccountRole.OPERATOR


def test_an_account_is_known_by_the_provider_s_own_name_of_who_it_is(house):
    house.provider.claims = {"sub": "0005", "preferred_username": "anna"}
    house.signed_in()
    house.provider.claims["preferred_username"] = "anna-maria"  # by a wedding
    browser, _ = house.signed_in()
    assert "anna (viewer)" in browser.get("/").text


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.example"}, "Invalid claim: 'iss'"),
        ({"iss": None}, "Missing claim: 'iss'"),
        ({"aud": "another-client"}, "Invalid claim: 'aud'"),
        ({"aud": ["another-client"]}, "Invalid claim: 'aud'"),
        ({"aud": [CLIENT, "another-client"], "azp": "another-client"}, "Invalid claim: 'azp'"),
        ({"aud": None}, "Missing claim: 'aud'"),
        ({"exp": NOW - 3600}, "The token is expired"),
        ({"exp": None}, "Missing claim: 'exp'"),
        ({"iat": NOW + 7200, "exp": NOW + 10800}, "The token was issued in the future"),
        ({"nbf": NOW + 7200}, "The token is not yet valid"),
        ({"nonce": "of another request"}, "Invalid claim: 'nonce'"),
        ({"nonce": None}, "Missing claim: 'nonce'"),
        ({"sub": None}, "Missing claim: 'sub'"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "Invalid claim: 'at_hash'"),
        ({"preferred_username": None}, "holds no name of an account"),
        ({"preferred_username": "a\nb"}, "holds no name of an account"),
        ({"sub": "0" * 600}, "the claim 'sub' is too long"),
    ],
)
def test_a_token_with_a_wrong_claim_is_none(house, claims, why):
    house.provider.claims = {"sub": "0006", "preferred_username": "eve", **claims}
    refused(house, why)


def refused(house, why):
    browser, answer = house.signed_in()
    assert answer.status_code == 403, answer.text
    assert why in unescape(answer.text)
    assert browser.get("/").status_code == 303
    assert house.account("eve") is None


@pytest.mark.parametrize("header", [{"kid": "unknown"}, {"alg": "RS512"}])
def test_a_token_of_a_key_that_the_provider_does_not_know_is_none(house, header):
    """A key is of one algorithm."""
    house.provider.claims = {"sub": "0006", "preferred_username": "eve"}
    house.provider.header = header
    refused(house, "No key for kid")


def test_a_token_that_another_key_has_signed_is_none(house):
    house.provider.claims = {"sub": "0006", "preferred_username": "eve"}
    house.provider.publish(known=False)
    refused(house, "bad_signature")


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_a_token_without_a_signature_by_a_private_key_is_none(house, alg):
    """`none`, and an HMAC by what everybody, or who knows the client's secret, can know."""
    house.provider.claims = {"sub": "0006", "preferred_username": "eve"}
    house.provider.header = {"alg": alg}
    secrets = (house.provider.public_pem(), SECRET.encode()) if alg == "HS256" else (b"",)
    for secret in secrets:
        house.provider.forge = hmac_of(secret) if alg == "HS256" else lambda _signed: b""
        refused(house, f"Algorithm of '{alg}' is not allowed")


def test_a_new_key_of_the_provider_counts_at_once(house):
    house.signed_in()
    house.provider.publish(kid="two")
    _, answer = house.signed_in()
    assert answer.status_code == 200


def test_an_answer_counts_once_and_in_the_browser_that_has_asked(house):
    browser, other = house.nobody(), house.nobody()
    back = house.answer_to(browser)
    house.answer_to(other)
    assert other.get(back).status_code == 403
    assert house.nobody().get(back).status_code == 403
    assert browser.get(back).status_code == 200
    assert browser.get(back).status_code == 403


@pytest.mark.parametrize("change", [("state=", "state=x"), ("code=", "code=x"), ("iss=", "iss=x"), ("code=", "error=")])
def test_an_answer_that_was_changed_on_its_way_is_none(house, change):
    browser = house.nobody()
    assert browser.get(house.answer_to(browser).replace(*change)).status_code == 403
    assert browser.get("/").status_code == 303


def test_who_comes_with_answers_that_are_none_has_to_wait_and_the_record_does_not_grow(house):
    browser, audit = house.nobody(), Audit(house.page.house.engine)
    before = audit.count(AuditSearch())
    answers = [browser.get("/sign-in/provider/back", params={"state": str(number)}) for number in range(12)]
    assert [it.status_code for it in answers] == [403] * 10 + [429] * 2
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 300
    assert audit.count(AuditSearch()) == before + 10
    assert house.signed_in()[1].status_code == 200  # from another address


def test_what_the_provider_refuses_is_said_as_text(house):
    browser = house.nobody()
    state = parse_qs(urlsplit(house.on_the_way(browser)).query)["state"][0]
    answer = browser.get("/sign-in/provider/back", params={"state": state, "error": "<script>alert(1)</script>"})
    assert answer.status_code == 403
    assert "<script>alert" not in answer.text


def test_a_request_is_answered_within_its_time():
    now = [0.0]
    requests = Requests(clock=lambda: now[0])
    soon, late = (Pending(state, "nonce", "verifier", "/", "https://node/back") for state in ("soon", "late"))
    kept = {it.state: requests.sealed(it) for it in (soon, late)}
    now[0] = ANSWERED_WITHIN_S - 1
    assert requests.take("soon", kept["soon"]) == soon
    now[0] = ANSWERED_WITHIN_S
    assert requests.take("late", kept["late"]) is None


def test_a_request_that_a_browser_has_changed_or_another_page_has_sealed_is_none():
    requests = Requests()
    mine = Pending("state", "nonce", "verifier", "/", "https://node/back")
    text, _, seal = requests.sealed(mine).partition(".")
    other, _, _ = requests.sealed(replace(mine, next="//evil.example")).partition(".")
    for cookie in ("", "ä", text, f"{text}.", f"{other}.{seal}", f"!{text}.{seal}x", Requests().sealed(mine)):
        assert requests.take("state", cookie) is None
    assert requests.take("state", f"{text}.{seal}") == mine


@pytest.mark.parametrize(("times", "where"), [(300, "/studies?patient=" + "王" * 300), (400, "/")])
def test_a_path_that_no_cookie_can_hold_leads_to_the_first_page(house, times, where):
    browser = house.nobody()
    back = house.answer_to(browser, "/studies?patient=" + "王" * times)
    assert len(browser.session.cookies["rectal-node-asked"]) < 3000
    assert f'url={where}"' in unescape(browser.get(back).text)


def test_nobody_pushes_out_who_is_on_the_way():
    requests = Requests()
    first = requests.sealed(Pending("first", "nonce", "verifier", "/", "https://node/back"))
    for number in range(2000):
        kept = requests.sealed(Pending(str(number), "nonce", "verifier", "/", "https://node/back"))
        assert requests.take(str(number), kept)
    assert requests.take("first", first)


def test_who_has_no_role_any_more_has_no_session_any_more(house):
    house.provider.claims = {"sub": "0009", "preferred_username": "rosa"}
    first, _ = house.signed_in()
    assert first.get("/").status_code == 200
    house.provider.claims["roles"] = []
    house.signed_in()
    assert first.get("/").status_code == 303


def test_without_its_provider_the_page_says_so_and_local_accounts_sign_in(tmp_path):
    oidc = OidcSettings(issuer="http://127.0.0.1:9", client_id=CLIENT, viewers=("radiologists",))
    with running_page(tmp_path, oidc=oidc) as page:
        answer = page.nobody().get("/sign-in/provider")
        assert (answer.status_code, "Not signed in by 127.0.0.1" in answer.text) == (403, True)
        assert page.signed_in("olga").get("/").status_code == 200


def test_a_local_account_signs_in_beside_the_provider(house):
    assert house.page.signed_in("viktor").get("/").status_code == 200
    answer = house.nobody().post("/sign-in", {"name": "viktor", "password": "wrong"})
    assert "Sign in by 127.0.0.1" in answer.text
    assert PASSWORD not in answer.text


def test_an_account_of_the_provider_gets_no_password(house):
    house.provider.claims = {"sub": "0007", "preferred_username": "paul", "roles": ["mri-operators"]}
    house.signed_in()
    with pytest.raises(NodeError, match="at a provider"):
        accounts.link(house.page.house.engine, "paul")
    found = {it.name: it for it in accounts.accounts(house.page.house.engine).accounts}
    assert (found["paul"].at_provider, found["olga"].at_provider) == (True, False)


def test_the_first_start_makes_a_local_operator_whoever_has_signed_in_at_a_provider(house, tmp_path):
    engine = house.page.house.engine
    accounts.admit(engine, accounts.Identity("issuer 1", "aaron", AccountRole.OPERATOR))
    assert accounts.first_link(engine) is None
    for name in ("olga",):
        Accounts(engine).remove(name)
    assert accounts.first_link(engine).account == accounts.FIRST


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"issuer": "http://login.example"}, "issuer"),
        ({"issuer": "https://login.example?x=1"}, "issuer"),
        ({"issuer": ""}, "issuer"),
        ({"viewers": ()}, "nobody could sign in"),
        ({"client_id": ""}, "client_id"),
    ],
)
def test_settings_with_which_nobody_could_sign_in_safely_are_refused(changes, what):
    good = {"issuer": "https://login.example/realms/x/", "client_id": CLIENT, "viewers": ("radiologists",)}
    assert OidcSettings(**good).issuer == good["issuer"]  # to the letter
    with pytest.raises(ValueError, match=what):
        OidcSettings(**{**good, **changes})


def test_in_a_browser_the_session_is_there_after_the_way_through_another_site(tmp_path, tab):
    """Whose redirects go without cookies that are for this site alone."""
    with running_provider("localhost") as provider:
        (tmp_path / "secret").write_text(SECRET)
        oidc = OidcSettings(
            issuer=provider.issuer,
            client_id=CLIENT,
            client_secret_file=tmp_path / "secret",
            name="Hospital",
            viewers=("radiologists",),
        )
        with running_page(tmp_path, oidc=oidc) as page:
            tab.goto(f"{page.url}/quarantine")
            tab.get_by_role("link", name="Sign in by Hospital").click()
            tab.get_by_role("heading", name="Quarantine").wait_for()
            assert "petra (viewer)" in tab.inner_text("header")
