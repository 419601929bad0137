"""The page on which files, folders and archives are uploaded; each file is the body of a request."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from node.callers import client_address
from node.operations.intake import Became, Intake
from node.operations.uploads import Uploaded, upload
from node.page.files import UPLOADED, name_of, received
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import Visitor, Visitors
from node.settings import Settings
from storage.files import ObjectStore


def uploads_routes(
    settings: Settings, files: ObjectStore, intake: Intake, visitors: Visitors, pages: Pages
) -> APIRouter:
    """The page, and where its files go."""
    router = APIRouter(prefix="/upload")
    largest = int(settings.web.largest_request_gb * 1e9)

    @router.get("")
    def form(request: Request, visitor: Annotated[Visitor, Depends(visitors.visitor)]) -> Response:
        return pages.page(request, "upload.html", visitor, {"largest_gb": settings.web.largest_request_gb})

    @router.post("/file")
    async def take(request: Request, visitor: Annotated[Visitor, Depends(visitors.operator)]) -> Response:
        found = Uploaded()

        def order() -> None:
            with intake.given_by(UPLOADED, client_address(request)) as giver:
                upload(intake, giver, name_of(request), file, largest, found)

        async with received(request, files, settings.listener, largest) as file:
            try:
                await run_in_threadpool(order)
            finally:  # what was stored before an error is stored
                refused = "; ".join(filter(None, (found.counted, found.on_record))) if found.on_record else ""
                note(request, *found.studies, detail=found.counted, refused=refused)
        return pages.page(request, "upload_result.html", visitor, {"found": found, "outcomes": tuple(Became)})

    return router
