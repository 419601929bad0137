"""The page on which rules of recognition are tried: on files that are dropped, and on the studies that are here."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from node.errors import NodeError, on_record
from node.operations import rule_trial
from node.page.files import received
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import Visitor, Visitors
from node.settings import Settings
from storage.files import ObjectStore

LARGEST = 2**29
"""Bytes of headers that are sent together."""

_Text = Annotated[str, Form(max_length=rule_trial.LONGEST_TEXT)]


def rules_routes(settings: Settings, files: ObjectStore, visitors: Visitors, pages: Pages) -> APIRouter:
    """The page, and what it tries."""
    router = APIRouter(prefix="/rules")
    Operator = Annotated[Visitor, Depends(visitors.operator)]  # noqa: N806 - a type

    @router.get("")
    def form(request: Request, visitor: Annotated[Visitor, Depends(visitors.visitor)], start: str = "") -> Response:
        said = {
            "text": rule_trial.starting_text(settings, start),
            "names": rule_trial.rule_names(),
            "start": start,
            "longest": rule_trial.LONGEST_TEXT,
        }
        return pages.page(request, "rules.html", visitor, said)

    @router.post("/file")
    async def of_headers(request: Request, visitor: Operator) -> Response:
        async with received(request, files, settings.listener, LARGEST) as file:
            return await run_in_threadpool(
                _answer,
                pages,
                request,
                visitor,
                "rules_tried.html",
                lambda: {"studies": rule_trial.of_headers(settings, files, file)},
            )

    @router.post("/stored")
    def of_stored(request: Request, visitor: Operator, text: _Text = "") -> Response:
        return _answer(
            pages,
            request,
            visitor,
            "rules_changes.html",
            lambda: {"found": rule_trial.of_stored(settings, text.replace("\r\n", "\n"))},
        )

    return router


def _answer(
    pages: Pages, request: Request, visitor: Visitor, template: str, tried: Callable[[], Mapping[str, Any]]
) -> Response:
    """What was tried, or the sentence that says why it cannot be."""
    try:
        said = tried()
    except NodeError as error:
        note(request, refused=on_record(error))
        return pages.page(request, "problem_part.html", visitor, {"sentence": str(error)})
    return pages.page(request, template, visitor, said)
