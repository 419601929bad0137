"""The list of studies: what is looked for stands in the address, so that it can be kept and sent on."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from node.operations.studies import find
from node.page.rendering import Pages
from node.page.visitors import Visitor, Visitors
from storage.records import StudyState
from storage.search import StudySearch

PAGE = 50
_FURTHEST = 1_000_000


def studies_routes(engine: Engine, root: Path, visitors: Visitors, pages: Pages) -> APIRouter:
    """The first page."""
    router = APIRouter()

    @router.get("/")
    def studies(
        request: Request,
        visitor: Annotated[Visitor, Depends(visitors.visitor)],
        patient: str = "",
        accession: str = "",
        date_from: str = "",
        date_to: str = "",
        scanner: str = "",
        state: Annotated[list[StudyState] | None, Query()] = None,
        offset: Annotated[int, Query(ge=0, le=_FURTHEST)] = 0,
    ) -> Response:
        wanted = StudySearch(
            patient=patient,
            accession=accession,
            date_from=date_from.replace("-", ""),
            date_to=date_to.replace("-", ""),
            scanner=scanner,
            states=frozenset(state or ()),
            limit=PAGE,
            offset=offset,
        )
        said = {
            "found": find(engine, root, wanted),
            "wanted": wanted,
            "address": lambda place: _address(wanted, place),
            "states": tuple(StudyState),
        }
        part = request.headers.get("hx-target") == "studies"
        return pages.page(request, "studies_table.html" if part else "studies.html", visitor, said)

    return router


def _address(wanted: StudySearch, offset: int) -> str:
    """The address of a page of what is looked for; without what is empty."""
    pairs = [
        (name, value)
        for name in ("patient", "accession", "date_from", "date_to", "scanner")
        if (value := getattr(wanted, name))
    ]
    pairs += [("state", str(state)) for state in sorted(wanted.states)]
    pairs += [("offset", str(offset))] if offset else []
    return f"/?{urlencode(pairs)}" if pairs else "/"
