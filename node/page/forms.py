"""What a body of a request may be: a form, of few bytes, which comes soon.

It is read before anybody knows who sends it. So it is read here, within its bounds, and handed on as a whole. A file is
no form: where one is sent to (`FILES`), who sends it is known before any of it is read, and it is streamed.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 64 * 1024
"""Bytes of a form."""

FORM_S = 10.0
FILES = "/file"
"""How addresses end to which files are sent, as the body of a request."""

FILE_TYPE = "application/octet-stream"
_FORM = "application/x-www-form-urlencoded"
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
# What is not read would stand before the next request of the connection.
_CLOSE = {"Connection": "close"}


class _RefusedError(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Forms:
    """Middleware (ASGI): answers 413 to what is too large, 408 to what is too late, 415 to what is no form."""

    def __init__(self, app: ASGIApp, within_s: float = FORM_S) -> None:
        """`within_s` is for the whole body, in seconds."""
        self._app, self._within_s = app, within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY or _is_file(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._body(Headers(scope=scope), receive)
        except _RefusedError as refusal:
            await PlainTextResponse(f"{refusal}\n", refusal.status, _CLOSE)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _whole(body, receive), send)

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """The whole body; None where the one who sends it is gone."""
        stated = headers.get("content-length", "0")
        has_body = stated != "0" or "transfer-encoding" in headers
        if has_body and headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise _RefusedError(415, "a form is needed")
        too_large = _RefusedError(413, f"a form has {LARGEST} bytes at the most")
        if not stated.isdecimal() or int(stated) > LARGEST:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._within_s):
                while (message := await receive())["type"] == "http.request":
                    body += message.get("body", b"")
                    if len(body) > LARGEST:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise _RefusedError(408, "the form has not come in time") from None
        return None


def _is_file(scope: Scope) -> bool:
    kind = Headers(scope=scope).get("content-type", "")
    return scope["path"].endswith(FILES) and kind == FILE_TYPE


def _whole(body: bytes, receive: Receive) -> Receive:
    """A body that has been read as an application receives it, and then what comes after it."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return rest.pop() if rest else await receive()

    return next_message
