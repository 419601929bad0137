"""The first page of the node: what waits, destinations, and remotes with how they have answered."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from node.operations import connections
from node.page.answers import carried_out
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import Visitor, Visitors
from node.settings import Settings

_BACK = "/node"
#: Parts that are renewed by themselves, by their id in the page.
_PARTS = frozenset({"queues", "remotes"})


def connections_routes(settings: Settings, engine: Engine, visitors: Visitors, pages: Pages) -> APIRouter:
    """The page, and the question to a remote."""
    router = APIRouter()

    @router.get(_BACK)
    def shown(request: Request, visitor: Annotated[Visitor, Depends(visitors.visitor)]) -> Response:
        part = request.headers.get("hx-target", "")
        template = f"node_{part}.html" if part in _PARTS else "node.html"
        said = {"found": connections.connections(settings, engine), "here": _BACK}
        return pages.page(request, template, visitor, said)

    @router.post("/node/echo")
    def ask(
        request: Request, visitor: Annotated[Visitor, Depends(visitors.operator)], remote: Annotated[str, Form()]
    ) -> Response:
        note(request, subject=remote)

        def order() -> str:
            said = connections.ask(settings, engine, remote, visitor.name)
            note(request, detail=said.reason or "answers")
            answer = f"{said.remote} answers" if said.answers else f"{said.remote} does not answer: {said.reason}"
            return f"{answer} ({said.took_ms:.0f} ms)."

        return carried_out(pages, request, visitor, f"remote {remote!r} asked whether it answers", _BACK, order)

    return router
