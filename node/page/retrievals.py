"""The page on which studies are looked for at a PACS and fetched, and what was fetched."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import Response

from node.errors import NodeError
from node.operations.fetching import Fetching
from node.operations.retrieve import Order, Retrieved, known
from node.page.answers import carried_out
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import Visitor, Visitors
from node.retrieval.search import Ceiling
from node.settings import Method, Settings

CEILING = Ceiling(studies=50, images=50_000)
SHOWN = 100
_Word = Annotated[str, Form(max_length=64)]


def order_of(
    remote: _Word = "",
    study: _Word = "",
    accession: _Word = "",
    patient: _Word = "",
    method: Annotated[Method, Form()] = Method.MOVE,
) -> Order:
    """What a form asks for."""
    return Order(remote, study.strip(), accession.strip(), patient.strip(), method=method)


def retrievals_routes(settings: Settings, visitors: Visitors, pages: Pages) -> APIRouter:
    """The page, and its orders."""
    router = APIRouter(prefix="/retrievals")
    fetching = Fetching(settings, CEILING)
    Viewer = Annotated[Visitor, Depends(visitors.visitor)]  # noqa: N806 - a type
    Operator = Annotated[Visitor, Depends(visitors.operator)]  # noqa: N806 - a type
    Wanted = Annotated[Order, Depends(order_of)]  # noqa: N806 - a type

    def state() -> dict[str, object]:
        records = known(settings, limit=SHOWN + 1).retrievals
        return {"now": fetching.now, "records": records[:SHOWN], "more": len(records) > SHOWN}

    def shown(request: Request, visitor: Visitor, order: Order, found: Retrieved | None, fault: str) -> Response:
        remotes = [it.name for it in settings.remotes if it.can_be_called]
        said = {"order": order, "found": found, "fault": fault, "remotes": remotes, "methods": tuple(Method)}
        return pages.page(request, "retrievals.html", visitor, state() | said)

    @router.get("")
    def form(request: Request, visitor: Viewer) -> Response:
        return shown(request, visitor, Order(""), None, "")

    @router.get("/state")
    def now(request: Request, visitor: Viewer) -> Response:
        return pages.page(request, "retrievals_state.html", visitor, state())

    @router.post("/look")
    def look(request: Request, visitor: Operator, order: Wanted) -> Response:
        note(request, subject=order.remote)
        try:
            return shown(request, visitor, order, fetching.look(order), "")
        except NodeError as error:
            note(request, refused=str(error))
            return shown(request, visitor, order, None, str(error))

    @router.post("/fetch")
    def fetch(request: Request, visitor: Operator, order: Wanted) -> Response:
        def begun() -> str:
            fetching.begin(order, visitor.name)
            return "It is fetched; how far it is stands on the page of retrievals."

        # No accession number: an erasure, which takes UIDs out of the log, would not know whose it is.
        note(request, order.study, subject=order.remote)
        what = f"retrieval from {order.remote}"
        return carried_out(pages, request, visitor, what, "/retrievals", begun)

    return router
