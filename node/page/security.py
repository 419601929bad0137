"""What every answer of the page carries, and which requests are answered at all.

A browser of somebody who is signed in can be made to send requests by pages of others. So a request that changes
something comes from this page (its Origin), carries what only this page knows (`visitors`), and is for this host: a
name of another that leads here is refused, or its pages would be of the same origin.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from node.callers import client_address
from node.settings import WebSettings

Next = Callable[[Request], Awaitable[Response]]

#: Nothing but what this page serves itself, and no script or style within a document.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Not no-referrer: browsers would then say no Origin either.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_LOOPBACK = ("localhost", "127.0.0.1")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def allowed_hosts(settings: WebSettings) -> list[str]:
    """The names that the page is called by, without a port, as a browser writes them."""
    public = [urlsplit(settings.public_url).hostname or ""] if settings.public_url else []
    own = (*_LOOPBACK, settings.host) if settings.is_local else (settings.host,)
    return list(dict.fromkeys(_written(name) for name in (*own, *public, *settings.page_hosts) if name))


def _written(name: str) -> str:
    """In lower case, and an IPv6 address in brackets and in its short form (RFC 5952)."""
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name.lower()
    return f"[{address}]" if address.version == 6 else str(address)


Refused = Callable[[str, str], None]
"""Puts on record that an address was refused, and why."""


class Guard:
    """Goes round every request; `refused` is told of those that are not answered."""

    def __init__(self, refused: Refused) -> None:
        self._refused = refused

    async def guarded(self, request: Request, call_next: Next) -> Response:
        """Refuse what another page had a browser send; add the headers."""
        if request.method not in SAFE and not _comes_from_here(request):
            self._refused(client_address(request), "another page has sent a request of a browser")
            answer: Response = PlainTextResponse("another page has sent this request\n", 403)
        else:
            answer = await call_next(request)
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer


class Hosts:
    """Refuses requests for other hosts (TrustedHostMiddleware), and puts them on record."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str], refused: Refused) -> None:
        self._app, self._allowed, self._refused = app, list(allowed_hosts), refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        passed = False

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal passed
            passed = True
            await self._app(scope, receive, send)

        trusted = TrustedHostMiddleware(answered, allowed_hosts=self._allowed, www_redirect=False)
        await trusted(scope, receive, send)
        if not passed:
            self._refused(client_address(Request(scope)), "a request for another host")


def _comes_from_here(request: Request) -> bool:
    """By Origin, else by Sec-Fetch-Site; what is no browser says neither, and nobody can make it send anything."""
    origin = request.headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc == request.headers.get("host", "")
        except ValueError:  # such as of brackets that do not close
            return False
    return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
