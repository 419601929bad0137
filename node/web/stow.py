"""STOW-RS (PS3.18 10.5): objects come in as by C-STORE, streamed to the spool, and are acknowledged when durable.

A request that is open holds the studies that it brings, as an open association does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import anyio
from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from node.bodies import TooLargeError, TooSlowError, UploadLimits, pieces
from node.services.brought import Brought
from node.services.leases import Leases, Sender
from node.services.store import StorageSCP
from node.web.access import Access, Caller
from node.web.address import service_address
from node.web.media_types import DICOM, RELATED, accepted, json_type, of_request
from node.web.problems import MalformedError, ProblemError, uid
from node.web.stored import Stored, answer_of, status_of
from node.web.upload import Upload

log = logging.getLogger(__name__)

_LONGEST_BOUNDARY = 200
"""Characters; 70 are allowed (RFC 2046 5.1.1), and Orthanc sends 73."""


class OpenRequest:
    """A request that is storing, as the sender of its objects; hashed by identity."""

    def __init__(self, caller: Caller) -> None:
        self.ae_title, self.address = caller.title, caller.address
        self.open = True

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.open


class Storing:
    """Takes objects in."""

    def __init__(
        self,
        storage: StorageSCP,
        leases: Leases,
        limits: UploadLimits,
        public_url: str,
        recorded: Callable[[Sender, dict[str, Brought]], None],
    ) -> None:
        """`recorded` puts on record what a request has brought."""
        self._storage, self._leases, self._limits, self._public_url = storage, leases, limits, public_url
        self._recorded = recorded

    async def answer(self, request: Request, caller: Caller, study: str = "") -> Response:
        """Store what a request brings, in whatever study or in one alone, and tell what became of it.

        Raises:
            ProblemError: it brings nothing that could be stored.
        """
        media_type = json_type(accepted(request))
        boundary = _boundary(request)
        if study:
            uid(study, "Study Instance UID")
        sender = OpenRequest(caller)
        upload = Upload(self._storage, sender, boundary, study)
        try:
            await self._receive(request, upload)
            stored = await run_in_threadpool(upload.end)
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(upload.discard)
                sender.open = False
                await run_in_threadpool(self._leases.end, sender)
                await run_in_threadpool(self._recorded, sender, self._storage.brought_by(sender))
        return self._told(request, caller, stored, media_type)

    async def _receive(self, request: Request, upload: Upload) -> None:
        try:
            async for piece in pieces(request, self._limits):
                await run_in_threadpool(upload.write, piece)
        except TooLargeError as error:
            most = f"a request has at most {self._limits.largest / 1e9:g} GB"
            raise ProblemError(413, most, {"Connection": "close"}) from error
        except TooSlowError as error:
            raise ProblemError(408, "the body came too slowly", {"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise ProblemError(400, "the request was broken off") from error

    def _told(self, request: Request, caller: Caller, stored: list[Stored], media_type: str) -> Response:
        failed = sum(each.refusal is not None for each in stored)
        log.info("storing of %s from %s: %d objects, %d refused", caller.name, caller.address, len(stored), failed)
        model = answer_of(stored, service_address(request, self._public_url))
        body = json.dumps(model, separators=(",", ":")).encode()
        return Response(body, status_code=status_of(stored), headers={"Content-Type": media_type})


def _boundary(request: Request) -> bytes | None:
    """What stands between the parts; None of a body that is one object.

    Raises:
        ProblemError: the body is neither (415).
    """
    name, parameters = of_request(request.headers.get("content-type", ""))
    if name == DICOM:
        return None
    if name != RELATED or parameters.get("type", DICOM).lower() != DICOM:
        raise ProblemError(415, f'objects are stored as {RELATED}; type="{DICOM}", or one as {DICOM}')
    boundary = parameters.get("boundary", "")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
        raise MalformedError(f"the Content-Type has no boundary of 1 to {_LONGEST_BOUNDARY} characters")
    return boundary.encode()


def store_routes(storing: Storing, access: Access) -> APIRouter:
    """Where objects are stored (PS3.18 Table 10.5.1-1)."""
    router = APIRouter()
    store = Depends(access.may_store)

    @router.post("/studies")
    async def objects(request: Request, caller: Caller = store) -> Response:
        return await storing.answer(request, caller)

    @router.post("/studies/{study}")
    async def objects_of_study(request: Request, study: str, caller: Caller = store) -> Response:
        return await storing.answer(request, caller, study)

    return router
