"""The page of the quarantine: what is held and why, each as a file, and its end."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from node.callers import client_address
from node.errors import NodeError
from node.operations import quarantine
from node.operations.intake import Intake
from node.page.answers import because, carried_out
from node.page.files import UPLOADED, received
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import Visitor, Visitors
from node.settings import Settings
from storage.files import ObjectStore

SHOWN = 200
_Reason = Annotated[str, Form(max_length=500)]
_BACK = "/quarantine"


def quarantine_routes(settings: Settings, visitors: Visitors, pages: Pages) -> APIRouter:
    """The list, and each entry."""
    router = APIRouter(prefix=_BACK)
    Viewer = Annotated[Visitor, Depends(visitors.visitor)]  # noqa: N806 - a type

    @router.get("")
    def held(request: Request, visitor: Viewer, ended: bool = False) -> Response:
        said = {"found": quarantine.entries(settings, ended, SHOWN), "ended": ended}
        return pages.page(request, "quarantine.html", visitor, said)

    @router.get("/{number}")
    def one(request: Request, number: int, visitor: Viewer) -> Response:
        return pages.page(request, "quarantine_entry.html", visitor, {"found": quarantine.detail(settings, number)})

    @router.get("/{number}/file", dependencies=[Depends(visitors.visitor)])
    def download(request: Request, number: int) -> Response:
        found = quarantine.detail(settings, number)
        if not found.path.exists():
            raise NodeError(f"quarantine {number}: the file is gone")
        note(request, found.study_instance_uid)
        return FileResponse(found.path, media_type="application/octet-stream", filename=f"quarantine-{number}.dcm")

    return router


def quarantine_orders(
    settings: Settings, files: ObjectStore, intake: Intake, visitors: Visitors, pages: Pages
) -> APIRouter:
    """What ends an entry."""
    router = APIRouter(prefix=_BACK)
    Operator = Annotated[Visitor, Depends(visitors.operator)]  # noqa: N806 - a type
    largest = int(settings.listener.largest_object_gb * 1e9)

    @router.post("/{number}/file")
    async def mended(request: Request, number: int, visitor: Operator) -> Response:
        def order() -> str:
            with intake.given_by(UPLOADED, client_address(request)) as giver:
                why = because("mended", visitor, "")
                taken = quarantine.replace(settings, number, intake, giver, path, why)
            note(request, taken.study_instance_uid, detail="mended")
            return f"The mended file is an object of study {taken.study_instance_uid}: {taken.became}."

        what, back = f"quarantine {number} mended", f"{_BACK}/{number}"
        async with received(request, files, settings.listener, largest) as path:
            return await run_in_threadpool(carried_out, pages, request, visitor, what, back, order)

    @router.post("/{number}/release")
    def release(request: Request, number: int, visitor: Operator, reason: _Reason = "") -> Response:
        def order() -> str:
            found = quarantine.release(settings, number, because("released", visitor, reason))
            note(request, found.study_instance_uid)
            return f"It is object {found.sop_instance_uid} of study {found.study_instance_uid}: {found.registration}."

        return carried_out(pages, request, visitor, f"release of quarantine {number}", _BACK, order)

    @router.post("/{number}/discard")
    def discard(request: Request, number: int, visitor: Operator, reason: _Reason = "") -> Response:
        def order() -> str:
            note(request, quarantine.detail(settings, number).study_instance_uid)
            quarantine.discard(settings, number, because("discarded", visitor, reason) if reason.strip() else "")
            return "It is discarded."

        return carried_out(pages, request, visitor, f"quarantine {number} discarded", _BACK, order)

    return router
