"""Who looks at the page: sessions by a cookie, what an account may do, and the proof that a form is ours."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Form
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from node.clock import utc_now
from node.settings import WebSettings
from storage.accounts import Account, AccountRole, Accounts, digest

COOKIE = "rectal-node"
SIGN_IN = "/sign-in"
FORGERY_HEADER = "X-CSRF-Token"
_TOKEN_BYTES = 32
#: Parts of a page that renew themselves, by their id, which htmx says: a page that is left open uses no session.
RENEWED = frozenset({"live", "studies", "queues", "alerts"})


class NotSignedInError(Exception):
    """Nobody is signed in; `path` is where that one wanted to go."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class ForbiddenError(Exception):
    """The account may not do this; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in; `forgery_token` is what forms of this session carry, `session` what is on record of it."""

    name: str
    role: AccountRole
    forgery_token: str
    session: str = ""

    @property
    def may_order(self) -> bool:
        """Whether it is an operator."""
        return self.role is AccountRole.OPERATOR


class Visitors:
    """The sessions of the page; its methods `visitor`, `reader` and `operator` are dependencies of FastAPI.

    Attributes:
        secure: whether browsers call the page by TLS, and send cookies by nothing else.
    """

    def __init__(self, engine: Engine, settings: WebSettings, clock: Callable[[], datetime] = utc_now) -> None:
        self._accounts, self._clock = Accounts(engine), clock
        self._lasts = timedelta(hours=settings.session_hours)
        self._idle = timedelta(minutes=settings.session_idle_minutes)
        self.secure = settings.tls or settings.public_url.startswith("https:")

    def visitor(self, request: Request) -> Visitor:
        """Who is signed in.

        Raises:
            NotSignedInError: nobody is.
        """
        token = request.cookies.get(COOKIE, "")
        used = request.headers.get("hx-trigger") not in RENEWED
        found = self._accounts.session(token, self._clock(), self._idle, used) if token else None
        if found is None:
            raise NotSignedInError(_wanted(request))
        visitor = Visitor(found.name, found.role, forgery_token(token), digest(f"record {token}"))
        request.state.visitor = visitor
        return visitor

    def reader(self, request: Request, csrf_token: Annotated[str, Form()] = "") -> Visitor:
        """Who is signed in and has sent a form of this page; raises as `visitor`.

        Raises:
            ForbiddenError: the form is not one of this session.
        """
        found = self.visitor(request)
        shown = request.headers.get(FORGERY_HEADER) or csrf_token
        if not hmac.compare_digest(shown.encode(), found.forgery_token.encode()):
            raise ForbiddenError("the form is of another session: load the page anew")
        return found

    def operator(self, request: Request, csrf_token: Annotated[str, Form()] = "") -> Visitor:
        """An operator who has sent a form of this page; raises as `reader`, and where it is a viewer."""
        found = self.reader(request, csrf_token)
        if not found.may_order:
            raise ForbiddenError("this needs an account of an operator")
        return found

    def begin(self, account: Account, answer: Response) -> bool:
        """Begin a session; the answer takes its cookie to the browser.

        False where the account has got another password since, or is gone.
        """
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock()
        if not self._accounts.begin_session(account, token, now, now + self._lasts):
            return False
        answer.set_cookie(
            COOKIE,
            token,
            max_age=int(self._lasts.total_seconds()),
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )
        return True

    def end(self, request: Request, answer: Response) -> None:
        """End the session."""
        if token := request.cookies.get(COOKIE, ""):
            self._accounts.end_session(token)
        answer.delete_cookie(COOKIE, path="/", secure=self.secure, httponly=True, samesite="strict")


def forgery_token(session_token: str) -> str:
    """What forms of a session carry: nobody who has not the cookie can know it, and the cookie not from it."""
    return digest(f"form {session_token}")


def sign_in_path(wanted: str) -> str:
    """Where one signs in and then goes on to `wanted`."""
    return f"{SIGN_IN}?next={quote(within(wanted), safe='')}"


def within(path: str) -> str:
    """A path of this page as it is, of anything else the first page: nobody is led elsewhere."""
    try:
        parts = urlsplit(path)
    except ValueError:  # such as of brackets that do not close
        return "/"
    elsewhere = parts.scheme or parts.netloc or path.startswith("//") or "\\" in path
    return "/" if elsewhere or not path.startswith("/") or not path.isprintable() else path


def _wanted(request: Request) -> str:
    if request.method != "GET" or "hx-request" in request.headers:
        return "/"
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
