"""The choice of a language, which a browser keeps."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.page.languages import COOKIE, LANGUAGES
from node.page.visitors import Visitors, within

_LASTS_S = 365 * 24 * 3600


def language_routes(visitors: Visitors) -> APIRouter:
    """The one resource; it needs no session, and nothing here is changed by it."""
    router = APIRouter()

    @router.post("/language")
    def choose(_request: Request, language: Annotated[str, Form()], next: Annotated[str, Form()] = "/") -> Response:
        answer = RedirectResponse(within(next), 303)
        if language in LANGUAGES:
            answer.set_cookie(
                COOKIE, language, _LASTS_S, path="/", secure=visitors.secure, httponly=True, samesite="strict"
            )
        return answer

    return router
