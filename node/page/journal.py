"""The log of actions: what is looked for stands in the address."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from node.operations.journal import JournalQuery, journal
from node.page.rendering import Pages
from node.page.visitors import Visitor, Visitors
from node.settings import Settings
from storage.audit import AuditAction

PAGE = 100
_PATH = "/node/log"
_FURTHEST = 10_000_000


def journal_routes(settings: Settings, engine: Engine, visitors: Visitors, pages: Pages) -> APIRouter:
    """The page; what is on it cannot be changed."""
    router = APIRouter()

    @router.get(_PATH)
    def shown(
        request: Request,
        visitor: Annotated[Visitor, Depends(visitors.visitor)],
        account: str = "",
        patient: str = "",
        study: str = "",
        action: Annotated[list[AuditAction] | None, Query()] = None,
        date_from: str = "",
        date_to: str = "",
        offset: Annotated[int, Query(ge=0, le=_FURTHEST)] = 0,
    ) -> Response:
        wanted = JournalQuery(account, patient, study, frozenset(action or ()), date_from, date_to, PAGE, offset)
        said = {
            "here": _PATH,
            "found": journal(settings, engine, wanted),
            "wanted": wanted,
            "address": lambda place: _address(wanted, place),
            "actions": tuple(AuditAction),
        }
        return pages.page(request, "node_log.html", visitor, said)

    return router


def _address(wanted: JournalQuery, offset: int) -> str:
    names = ("account", "patient", "study", "date_from", "date_to")
    pairs = [(name, value) for name in names if (value := getattr(wanted, name))]
    pairs += [("action", str(it)) for it in sorted(wanted.actions)]
    pairs += [("offset", str(offset))] if offset else []
    return f"{_PATH}?{urlencode(pairs)}" if pairs else _PATH
