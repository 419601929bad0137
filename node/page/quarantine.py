"""The page of the quarantine: what is held, and its end."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import Response

from node.operations import quarantine
from node.page.answers import because, carried_out
from node.page.rendering import Pages
from node.page.visitors import Visitor, Visitors
from node.settings import Settings

SHOWN = 200
_Reason = Annotated[str, Form(max_length=500)]
_BACK = "/quarantine"


def quarantine_routes(settings: Settings, visitors: Visitors, pages: Pages) -> APIRouter:
    """The list, and what ends an entry."""
    router = APIRouter(prefix=_BACK)
    Operator = Annotated[Visitor, Depends(visitors.operator)]  # noqa: N806 - a type

    @router.get("")
    def held(request: Request, visitor: Annotated[Visitor, Depends(visitors.visitor)], ended: bool = False) -> Response:
        said = {"found": quarantine.entries(settings, ended, SHOWN), "ended": ended}
        return pages.page(request, "quarantine.html", visitor, said)

    @router.post("/{number}/release")
    def release(request: Request, number: int, visitor: Operator, reason: _Reason = "") -> Response:
        def order() -> str:
            found = quarantine.release(settings, number, because("released", visitor, reason))
            return f"It is object {found.sop_instance_uid} of study {found.study_instance_uid}: {found.registration}."

        return carried_out(pages, request, visitor, f"release of quarantine {number}", _BACK, order)

    @router.post("/{number}/discard")
    def discard(request: Request, number: int, visitor: Operator, reason: _Reason = "") -> Response:
        def order() -> str:
            quarantine.discard(settings, number, because("discarded", visitor, reason) if reason.strip() else "")
            return "It is discarded."

        return carried_out(pages, request, visitor, f"quarantine {number} discarded", _BACK, order)

    return router
