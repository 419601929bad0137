"""Alerts, open and past, with what to do; and what every code means."""

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from node.codes import CODES, Alert
from node.operations import alerts
from node.page.answers import carried_out
from node.page.rendering import Pages
from node.page.visitors import Visitor, Visitors
from node.settings import Settings
from storage.alerts import Alerts

SHOWN = 200
_BACK = "/node/alerts"
#: Alerts whose subject is a study.
_OF_STUDIES = frozenset({Alert.STUDY_FAILED, Alert.RESULT_WITHDRAWN, Alert.NOT_RETRIEVED})


def alerts_routes(settings: Settings, engine: Engine, visitors: Visitors, pages: Pages) -> APIRouter:
    """The lists, and what acknowledges one."""
    router, kept = APIRouter(), Alerts(engine)
    Looking = Annotated[Visitor, Depends(visitors.visitor)]  # noqa: N806 - a type

    @router.get(_BACK)
    def shown(request: Request, visitor: Looking) -> Response:
        said = {
            "here": _BACK,
            "open": [alerts.line(it) for it in kept.open()[:SHOWN]],
            "past": [alerts.line(it) for it in kept.all(SHOWN) if it.cleared_at is not None],
            "of_studies": _OF_STUDIES,
        }
        part = request.headers.get("hx-target") == "alerts"
        return pages.page(request, "node_alerts_lists.html" if part else "node_alerts.html", visitor, said)

    @router.get("/node/codes")
    def codes(request: Request, visitor: Looking) -> Response:
        return pages.page(request, "node_codes.html", visitor, {"here": "/node/codes", "codes": sorted(CODES)})

    @router.post("/node/alerts/{number}/acknowledge")
    def acknowledge(request: Request, number: int, visitor: Annotated[Visitor, Depends(visitors.operator)]) -> Response:
        def order() -> str:
            seen = alerts.acknowledge(settings, number, visitor.name).alert
            return f"Alert {seen.number} ({seen.code}) is acknowledged by {seen.acknowledged_by}."

        return carried_out(pages, request, visitor, f"alert {number} acknowledged", _BACK, order)

    return router
