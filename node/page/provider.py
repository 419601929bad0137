"""Signing in at a provider of OpenID Connect: on the way there, and back from it.

What somebody was sent with is kept by the browser, in a cookie that this page has sealed: an answer to a request of
somebody else, or one that comes a second time, is none.
"""

from __future__ import annotations

import hmac
import json
import logging
import math
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from fastapi import APIRouter
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.callers import client_address
from node.errors import NodeError
from node.logs import Sparing
from node.operations import accounts
from node.operations.provider import NoRoleError, Provider, ProviderError
from node.page.attempts import Attempts
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import SIGN_IN, Visitors, within
from node.settings.oidc import OidcSettings
from node.settings.web import WebSettings

log = logging.getLogger(__name__)

THERE, BACK = f"{SIGN_IN}/provider", f"{SIGN_IN}/provider/back"
COOKIE = "rectal-node-asked"
ANSWERED_WITHIN_S = 600.0
#: Bytes of a path that fit into a cookie, which has 4096, with the rest.
_LONGEST_PATH = 1000
#: Answers of the provider that are waited for at once: each takes a thread of the page.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that has not been answered: what only the answer to it can hold, and where it leads."""

    state: str
    nonce: str
    verifier: str
    next: str
    redirect_uri: str


class Requests:
    """What browsers keep of their requests, sealed, so that nobody pushes out another's; for use by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._key = secrets.token_bytes(32)
        self._answered: dict[str, float] = {}  # by state until when: what has counted once

    def sealed(self, pending: Pending) -> str:
        """A request as the value of a cookie."""
        kept = {"until": self._clock() + ANSWERED_WITHIN_S, **asdict(pending)}
        said = json.dumps(kept, ensure_ascii=False).encode()
        return f"{urlsafe_b64encode(said).decode()}.{self._seal(said)}"

    def take(self, state: str, cookie: str) -> Pending | None:
        """What is answered to a browser, once; None where that was never asked by it, or too long ago."""
        text, _, seal = cookie.partition(".")
        try:
            said = urlsafe_b64decode(text.encode())
        except ValueError:
            return None
        if not hmac.compare_digest(self._seal(said).encode(), seal.encode()):
            return None
        kept = json.loads(said)
        until, pending, now = kept.pop("until"), Pending(**kept), self._clock()
        if now >= until or not hmac.compare_digest(pending.state.encode(), state.encode()):
            return None
        with self._lock:
            self._answered = {each: end for each, end in self._answered.items() if now < end}
            if state in self._answered:
                return None
            self._answered[state] = until
        return pending

    def _seal(self, said: bytes) -> str:
        return hmac.new(self._key, said, "sha256").hexdigest()


def provider_routes(
    engine: Engine, web: WebSettings, oidc: OidcSettings, visitors: Visitors, pages: Pages
) -> APIRouter:
    """The resources that need no session."""
    router, door = APIRouter(), _Door(engine, web, oidc, visitors, pages)
    router.add_api_route(THERE, door.there, methods=["GET"])
    router.add_api_route(BACK, door.back, methods=["GET"])
    return router


class _Door:
    """The handlers, and who is on the way."""

    def __init__(self, engine: Engine, web: WebSettings, oidc: OidcSettings, visitors: Visitors, pages: Pages) -> None:
        self._engine, self._web, self._oidc, self._visitors, self._pages = engine, web, oidc, visitors, pages
        self._provider, self._requests, self._sparing = Provider(oidc), Requests(), Sparing(log)
        self._turn, self._attempts = threading.BoundedSemaphore(_AT_ONCE), Attempts()

    def there(self, request: Request, next: str = "/") -> Response:
        """To the provider."""
        # By the name that the browser calls this page by: its cookies are of that one.
        here = self._web.address if self._web.public_url else f"{request.url.scheme}://{request.url.netloc}"
        try:
            with self._a_turn():
                asked = self._provider.ask(here + BACK)
        except ProviderError as error:
            return self._refused(request, error)
        where = within(next)
        if len(where.encode()) > _LONGEST_PATH:
            where = "/"
        pending = Pending(asked.state, asked.nonce, asked.verifier, where, here + BACK)
        answer = RedirectResponse(asked.address, 303)
        # Not strict: the provider, which is of another site, sends the browser back.
        secure = self._visitors.secure
        kept = self._requests.sealed(pending)
        answer.set_cookie(
            COOKIE, kept, int(ANSWERED_WITHIN_S), path=SIGN_IN, secure=secure, httponly=True, samesite="lax"
        )
        return answer

    def back(self, request: Request, state: str = "", code: str = "", error: str = "", iss: str = "") -> Response:
        """From the provider: a session, or why there is none; who fails again and again has to wait."""
        key = f"from {client_address(request)}"
        if (wait_s := self._attempts.begin(key)) > 0:
            answer = self._form(request, "wait", "", 429)
            answer.headers["Retry-After"] = str(math.ceil(wait_s))
            return answer
        pending = self._requests.take(state, request.cookies.get(COOKIE, ""))
        try:
            if pending is None:
                raise ProviderError("the answer is to no request of this browser: try again")
            if error or not code:
                raise ProviderError(f"the provider says {error[:100] or 'nothing'}")
            with self._a_turn():
                identity = self._provider.identity(pending.nonce, pending.verifier, pending.redirect_uri, code, iss)
            found = accounts.admit(self._engine, identity)
        except NoRoleError as refusal:
            accounts.turn_away(self._engine, refusal.subject)
            return self._refused(request, refusal)
        except NodeError as refusal:
            return self._refused(request, refusal)
        self._attempts.take_back(key)
        # No redirect: what follows one that another site began goes without the cookie of the session (SameSite).
        answer = self._pages.page(request, "signed_in.html", None, {"where": pending.next})
        if not self._visitors.begin(found, answer):
            return self._refused(request, ProviderError("the account has just been removed"))
        answer.delete_cookie(COOKIE, path=SIGN_IN)
        note(request, account=found.name, detail=f"by {self._oidc.shown_name}")
        log.info("account %s has signed in by %s", found.name, self._oidc.issuer)
        return answer

    @contextmanager
    def _a_turn(self) -> Iterator[None]:
        if not self._turn.acquire(blocking=False):
            raise ProviderError("others are just signing in, try again")
        try:
            yield
        finally:
            self._turn.release()

    def _refused(self, request: Request, error: NodeError) -> Response:
        note(request, refused=str(error))
        who = client_address(request)
        self._sparing.write(logging.WARNING, "sign-in refused", who, "sign-in of %s by the provider: %s", who, error)
        return self._form(request, "provider", str(error), 403)

    def _form(self, request: Request, fault: str, reason: str, status: int) -> Response:
        said = {"next": "/", "name": "", "fault": fault, "reason": reason, "provider": self._oidc.shown_name}
        return self._pages.page(request, "sign_in.html", None, said, status)
