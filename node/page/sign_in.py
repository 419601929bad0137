"""Signing in and out, and the link by which an account gets its password."""

import logging
import math
import threading
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.callers import client_address
from node.clock import utc_now
from node.errors import NodeError
from node.logs import Sparing
from node.operations import accounts
from node.page.attempts import Attempts
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import SIGN_IN, Visitors, within
from storage.accounts import Account, Accounts

log = logging.getLogger(__name__)

#: Passwords that are checked at once: each takes a processor and 64 MB for a moment.
_AT_ONCE = 2
_BUSY_S = 1.0


def sign_in_routes(engine: Engine, visitors: Visitors, pages: Pages, provider: str = "") -> APIRouter:
    """The resources that need no session, and the end of one; `provider` is the name of one by whom people can sign in,
    too."""
    router, door = APIRouter(), _Door(engine, visitors, pages, provider)
    router.add_api_route(SIGN_IN, door.ask, methods=["GET"])
    router.add_api_route(SIGN_IN, door.sign_in, methods=["POST"])
    ours = [Depends(visitors.reader)]
    router.add_api_route("/sign-out", door.sign_out, methods=["POST"], dependencies=ours)
    router.add_api_route("/welcome/{token}", door.welcome, methods=["GET"])
    router.add_api_route("/welcome/{token}", door.set_password, methods=["POST"])
    return router


class _Door:
    """The handlers, and who has failed lately."""

    def __init__(self, engine: Engine, visitors: Visitors, pages: Pages, provider: str) -> None:
        self._engine, self._visitors, self._pages, self._provider = engine, visitors, pages, provider
        self._known, self._attempts, self._sparing = Accounts(engine), Attempts(), Sparing(log)
        self._turn = threading.BoundedSemaphore(_AT_ONCE)

    def ask(self, request: Request, next: str = "/") -> Response:
        """The form."""
        return self._form(request, {"next": within(next)})

    def sign_in(
        self,
        request: Request,
        name: Annotated[str, Form()],
        password: Annotated[str, Form()],
        next: Annotated[str, Form()] = "/",
    ) -> Response:
        """Begin a session, or say that the two do not fit; who fails again and again has to wait."""
        keys = (_address(request), f"as {name[:64]}")
        said = {"next": within(next), "name": name}
        if (wait_s := self._attempts.begin(*keys)) > 0:
            return self._wait(request, said, wait_s)
        if not self._turn.acquire(blocking=False):
            self._attempts.take_back(*keys)
            return self._wait(request, said, _BUSY_S)
        try:
            found = accounts.sign_in(self._engine, name, password)
        finally:
            self._turn.release()
        if found is None:
            # Of a name that is none nothing is kept: it may be a password in the wrong field.
            note(request, account=name if self._known.find(name) else "", refused="name and password do not fit")
            self._sparing.write(logging.WARNING, "sign-in refused", keys[0], "sign-in refused %s", keys[0])
            return self._form(request, {**said, "fault": "wrong"}, 403)
        self._attempts.take_back(keys[0])
        self._attempts.succeeded(keys[1])
        note(request, account=found.name)
        begun = self._signed_in(found, "has signed in", within(next))
        return begun or self._form(request, {**said, "fault": "wrong"}, 403)

    def sign_out(self, request: Request) -> Response:
        """End the session."""
        answer = RedirectResponse(SIGN_IN, 303)
        self._visitors.end(request, answer)
        return answer

    def welcome(self, request: Request, token: str) -> Response:
        """The form of a link."""
        return self._welcome(request, token)

    def set_password(
        self, request: Request, token: str, password: Annotated[str, Form()], again: Annotated[str, Form()]
    ) -> Response:
        """Set the password of the account of a link, and begin a session."""
        key = f"link {_address(request)}"
        if self._attempts.begin(key) > 0:
            return self._welcome(request, token, "wait", 429)
        if password != again:
            return self._welcome(request, token, "differ", 400)
        if not self._turn.acquire(blocking=False):
            self._attempts.take_back(key)
            return self._welcome(request, token, "others are just signing in, try again", 429)
        try:
            found = accounts.set_password(self._engine, token, password)
        except NodeError as error:
            if self._known.link_of(token, utc_now()) is not None:  # the password is none, the link is one
                self._attempts.take_back(key)
            else:
                note(request, refused=str(error))
            return self._welcome(request, token, str(error), 400)
        finally:
            self._turn.release()
        self._attempts.take_back(key)
        note(request, account=found.name)
        begun = self._signed_in(found, "has set a password", "/")
        return begun or self._welcome(request, token)

    def _form(self, request: Request, said: dict[str, Any], status: int = 200) -> Response:
        said = {"name": "", "fault": "", "reason": "", "provider": self._provider, **said}
        return self._pages.page(request, "sign_in.html", None, said, status)

    def _wait(self, request: Request, said: dict[str, Any], wait_s: float) -> Response:
        answer = self._form(request, {**said, "fault": "wait" if wait_s > _BUSY_S else "busy"}, 429)
        answer.headers["Retry-After"] = str(math.ceil(wait_s))
        return answer

    def _welcome(self, request: Request, token: str, fault: str = "", status: int = 200) -> Response:
        account = self._known.link_of(token, utc_now())
        said = {"account": account, "shortest": accounts.SHORTEST_PASSWORD, "fault": fault}
        return self._pages.page(request, "welcome.html", None, said, status if account else 404)

    def _signed_in(self, account: Account, what: str, where: str) -> Response | None:
        """A session; None where the password has just been replaced."""
        answer = RedirectResponse(where, 303)
        if not self._visitors.begin(account, answer):
            return None
        log.info("account %s %s", account.name, what)
        return answer


def _address(request: Request) -> str:
    return f"from {client_address(request)}"
