"""Outlines that readers drew elsewhere, taken back on the page of a study."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from node.callers import client_address
from node.operations.intake import Intake
from node.operations.outlines import Outlines
from node.page.answers import carried_out
from node.page.files import UPLOADED, received
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import Visitor, Visitors
from node.settings import Settings
from storage.files import ObjectStore
from storage.readings import ReaderVerdict, Reading

LARGEST = 2**30
"""Bytes of a segmentation."""


def outlines_routes(
    settings: Settings, files: ObjectStore, intake: Intake, outlines: Outlines, visitors: Visitors, pages: Pages
) -> APIRouter:
    """Where outlines come in, and go out again."""
    router = APIRouter(prefix="/studies/{study}/outlines")
    Reader = Annotated[Visitor, Depends(visitors.reader)]  # noqa: N806 - a type

    @router.post("/file")
    async def take(request: Request, study: str, visitor: Reader) -> Response:
        note(request, detail=ReaderVerdict.OUTLINED)

        def order() -> str:
            with intake.given_by(UPLOADED, client_address(request)) as giver:
                return kept(outlines.give(study, file, giver, visitor.name))

        what, back = f"outline of study {study}", f"/studies/{study}"
        async with received(request, files, settings.listener, LARGEST) as file:
            return await run_in_threadpool(carried_out, pages, request, visitor, what, back, order)

    @router.post("/{instance}")
    def adopt(request: Request, study: str, instance: str, visitor: Reader) -> Response:
        note(request, detail=ReaderVerdict.OUTLINED)
        what, back = f"outline {instance} of study {study}", f"/studies/{study}"
        return carried_out(
            pages, request, visitor, what, back, lambda: kept(outlines.adopt(study, instance, visitor.name))
        )

    @router.get("/{instance}", dependencies=[Depends(visitors.visitor)])
    def download(study: str, instance: str) -> Response:
        return FileResponse(
            outlines.file(study, instance), media_type="application/dicom", filename=f"outline-{instance}.dcm"
        )

    return router


def kept(said: Reading) -> str:
    """The sentence that says what was taken back, and how it agrees."""
    assert said.outline is not None
    own = said.outline.volume_ml
    if said.outline.dice is None:
        return f"Your outline of {own:.1f} ml is kept; the node outlined nothing on these images."
    return f"Your outline is kept: {own:.1f} ml against {said.outline.own_ml:.1f} ml, Dice {said.outline.dice:.2f}."
