"""What a person orders or says of a study; each through `node.operations`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from node.operations import cancel, readings, rerun, resend
from node.page.answers import because, carried_out
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import Visitor, Visitors
from node.settings import Settings
from storage.readings import ReaderVerdict
from storage.records import DELIVERED

_LONGEST_REASON = 500


def actions_routes(settings: Settings, engine: Engine, visitors: Visitors, pages: Pages) -> APIRouter:
    """The orders, each answered by a sentence."""
    router = APIRouter(prefix="/studies/{study}")
    Operator = Annotated[Visitor, Depends(visitors.operator)]  # noqa: N806 - a type

    @router.post("/rerun")
    def begin_again(request: Request, study: str, visitor: Operator) -> Response:
        what, back = f"rerun of study {study}", f"/studies/{study}"
        return carried_out(pages, request, visitor, what, back, lambda: begun(settings, study))

    @router.post("/cancel")
    def end(
        request: Request,
        study: str,
        visitor: Operator,
        reason: Annotated[str, Form(max_length=_LONGEST_REASON)] = "",
    ) -> Response:
        what, back, why = f"cancellation of study {study}", f"/studies/{study}", because("cancelled", visitor, reason)
        return carried_out(pages, request, visitor, what, back, lambda: cancelled(settings, study, why))

    @router.post("/resend")
    def send_again(
        request: Request,
        study: str,
        visitor: Operator,
        destination: Annotated[str, Form()] = "",
        delivered_too: Annotated[bool, Form()] = False,
    ) -> Response:
        note(request, subject=destination)
        what, back = f"results of study {study} sent again", f"/studies/{study}"
        return carried_out(
            pages, request, visitor, what, back, lambda: resent(settings, study, destination, delivered_too)
        )

    @router.post("/reading")
    def say(
        request: Request,
        study: str,
        visitor: Annotated[Visitor, Depends(visitors.reader)],
        revision: Annotated[int, Form()],
        verdict: Annotated[ReaderVerdict, Form()],
        comment: Annotated[str, Form()] = "",
    ) -> Response:
        note(request, detail=verdict)

        def order() -> str:
            readings.give(engine, study, revision, verdict, comment, visitor.name)
            return "Your verdict is kept."

        return carried_out(pages, request, visitor, f"verdict on study {study}", f"/studies/{study}", order)

    return router


def begun(settings: Settings, study: str) -> str:
    """Begin the next revision; the sentence that says so."""
    return f"Revision {rerun.rerun(settings, study, None).revision} is analysed at the next look of the running node."


def cancelled(settings: Settings, study: str, why: str) -> str:
    """End the analysis; the sentence that says so."""
    return f"The analysis of revision {cancel.cancel(settings, study, why).revision} is cancelled."


def resent(settings: Settings, study: str, destination: str, delivered_too: bool) -> str:
    """Queue deliveries again; the sentence that says which."""
    sent = resend.resend(settings, study, destination, also=DELIVERED if delivered_too else ())
    first = f", {sent.added} for the first time" if sent.added else ""
    refused = f" {sent.refused} are not sent: {'; '.join(sent.reasons)}" if sent.refused else ""
    return f"{sent.queued} of {sent.deliveries} deliveries are queued again{first}.{refused}"
