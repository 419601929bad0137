"""WADO-RS (PS3.18 10.4): studies, series and instances as DICOM files, and what is in them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from node.audit.recorder import Recorder
from node.clock import utc_now
from node.web.access import Access, Caller
from node.web.address import service_address
from node.web.frames import bulk_data_answer, frame_numbers, frames_answer
from node.web.media_types import DICOM, accepted, json_type
from node.web.metadata import encoded, listed, metadata
from node.web.multipart import Multipart, Part, prefetched
from node.web.objects import WebObject, WebObjects, entity_tag
from node.web.problems import NotAcceptableError
from node.web.rendered import rendered_answer, thumbnail_answer
from storage.audit import AuditAction, AuditEvent, Facts

log = logging.getLogger(__name__)

_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_OFFERED = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1, or * as it is stored'


class Retrieving:
    """Answers requests for objects."""

    def __init__(self, objects: WebObjects, public_url: str, recorder: Recorder) -> None:
        """`recorder` takes who has got what."""
        self.objects, self._public_url, self._recorder = objects, public_url, recorder

    def on_record(self, request: Request, octets: int, is_whole: bool) -> None:
        """What a caller has got of a study; of a viewer, which asks for frame after frame, once a minute."""
        caller, sent = request.state.caller, getattr(request.state, "sent", {})
        self._recorder.add_recurring(
            AuditEvent(
                utc_now(),
                AuditAction.SENT,
                is_whole,
                address=caller.address,
                study_instance_uid=str(request.path_params.get("study", "")),
                detail="" if is_whole else f"broken off after {octets} bytes",
                remote=caller.name,
                facts=Facts(service="WADO-RS", sop_classes=dict(sent)),
            )
        )

    def service(self, request: Request) -> str:
        """Address of the service."""
        return service_address(request, self._public_url)

    def files(self, request: Request, caller: Caller, study: str, series: str = "", instance: str = "") -> Response:
        """DICOM files; one of them alone where that is accepted."""
        ranges, found = accepted(request), self.objects.of(study, series, instance)
        tag = entity_tag(found, repr(ranges))
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        alone = bool(instance) and not any(each.takes(DICOM, multipart=True) for each in ranges)
        sent = [(each, syntax) for each in found if (syntax := each.chosen(ranges, not alone))]
        if not sent:
            raise NotAcceptableError(_OFFERED)
        headers = {"ETag": tag}
        if len(sent) < len(found):
            headers["Warning"] = (
                f'299 {self.service(request)} "{len(found) - len(sent)} objects cannot be decoded here"'
            )
        log.info("retrieval of %s from %s: %d objects of study %s", caller.name, caller.address, len(sent), study)
        counts: Counter[str] = Counter()
        request.state.sent = counts
        # Of one that is damaged the caller is told before anything is sent.
        first = prefetched(sent[0][0].pieces(sent[0][1]))
        if alone:
            return _alone(*sent[0], _counted(sent[0][0], first, counts), headers)
        message = Multipart(DICOM)
        headers["Content-Type"] = message.content_type
        status = 200 if len(sent) == len(found) else 206
        pieces = self.objects.served(study, message.pieces(_parts(sent, first, counts)))
        return StreamingResponse(pieces, status_code=status, headers=headers)

    def metadata(self, request: Request, study: str, series: str = "", instance: str = "") -> Response:
        """Data sets in the DICOM JSON model, without bulk data."""
        media_type = json_type(accepted(request))
        found = self.objects.of(study, series, instance)
        service = self.service(request)
        tag = entity_tag(found, f"metadata {media_type} {service}")
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        if len(found) == 1:  # of which the caller is told where it is damaged
            return Response(encoded([metadata(found[0], service)]), media_type=media_type, headers={"ETag": tag})
        pieces = self.objects.served(study, listed(found, service))
        return StreamingResponse(pieces, media_type=media_type, headers={"ETag": tag})


def _parts(sent: Sequence[tuple[WebObject, str]], first: Iterator[bytes], counts: Counter[str]) -> Iterator[Part]:
    """The parts, of which that of the first object has begun to be read."""
    for place, (found, syntax) in enumerate(sent):
        length = found.file.size if syntax == found.syntax else None
        pieces = _counted(found, found.pieces(syntax) if place else first, counts)
        yield Part(f"{DICOM}; transfer-syntax={syntax}", pieces, length)


def _counted(found: WebObject, pieces: Iterator[bytes], counts: Counter[str]) -> Iterator[bytes]:
    """An object, which counts by its SOP class once all of it was handed over."""
    yield from pieces
    counts[found.file.header.sop_class_uid] += 1


def _alone(found: WebObject, syntax: str, pieces: Iterator[bytes], headers: dict[str, str]) -> Response:
    headers["Content-Type"] = f"{DICOM}; transfer-syntax={syntax}"
    if syntax == found.syntax and found.file.size is not None:
        headers["Content-Length"] = str(found.file.size)
    return StreamingResponse(pieces, headers=headers)


class _Sent(Response):
    """An answer, of which is told how it ended once any of its body was sent: whole, or not."""

    def __init__(self, answer: Response, told: Callable[[int, bool], None]) -> None:
        self._answer, self._told = answer, told
        self.status_code, self.background = answer.status_code, None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. A caller that breaks off ends it before its last piece."""
        begun, octets, is_whole = False, 0, False

        async def counted(message: Message) -> None:
            nonlocal begun, octets, is_whole
            await send(message)
            if message["type"] == "http.response.body":
                begun, octets = True, octets + len(message.get("body", b""))
                is_whole = not message.get("more_body", False)

        try:
            await self._answer(scope, receive, counted)
        finally:
            if begun:
                self._told(octets, is_whole)


def _routes_on_record(retrieving: Retrieving) -> type[APIRoute]:
    """Routes whose answers go on record once they are sent; what was not there was not retrieved."""

    class OnRecord(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answered = super().get_route_handler()

            async def answer(request: Request) -> Response:
                return _Sent(await answered(request), partial(retrieving.on_record, request))

            return answer

    return OnRecord


def _retrieval(access: Access) -> Callable[..., Caller]:
    """A dependency: who retrieves, noted for the record."""

    may_retrieve = Depends(access.may_retrieve)

    def retrieval(request: Request, caller: Caller = may_retrieve) -> Caller:
        request.state.caller = caller
        return caller

    return retrieval


def retrieve_routes(retrieving: Retrieving, access: Access) -> APIRouter:
    """The resources that can be retrieved (PS3.18 Tables 10.4.1-1 to 10.4.1-6)."""
    router = APIRouter(route_class=_routes_on_record(retrieving))
    retrieve = Depends(_retrieval(access))

    @router.get(_STUDY)
    def study_files(request: Request, study: str, caller: Caller = retrieve) -> Response:
        return retrieving.files(request, caller, study)

    @router.get(_SERIES)
    def series_files(request: Request, study: str, series: str, caller: Caller = retrieve) -> Response:
        return retrieving.files(request, caller, study, series)

    @router.get(_INSTANCE)
    def instance_file(request: Request, study: str, series: str, instance: str, caller: Caller = retrieve) -> Response:
        return retrieving.files(request, caller, study, series, instance)

    @router.get(_STUDY + "/metadata", dependencies=[retrieve])
    def study_metadata(request: Request, study: str) -> Response:
        return retrieving.metadata(request, study)

    @router.get(_SERIES + "/metadata", dependencies=[retrieve])
    def series_metadata(request: Request, study: str, series: str) -> Response:
        return retrieving.metadata(request, study, series)

    @router.get(_INSTANCE + "/metadata", dependencies=[retrieve])
    def instance_metadata(request: Request, study: str, series: str, instance: str) -> Response:
        return retrieving.metadata(request, study, series, instance)

    @router.get(_INSTANCE + "/frames/{frames}", dependencies=[retrieve])
    def frames(request: Request, study: str, series: str, instance: str, frames: str) -> Response:
        numbers = frame_numbers(frames)
        return frames_answer(request, retrieving.objects.one(study, series, instance), numbers)

    @router.get(_INSTANCE + "/bulkdata/{place:path}", dependencies=[retrieve])
    def bulk_data(request: Request, study: str, series: str, instance: str, place: str) -> Response:
        return bulk_data_answer(request, retrieving.objects.one(study, series, instance), place)

    return router


def rendered_routes(retrieving: Retrieving, access: Access) -> APIRouter:
    """The same as pictures (PS3.18 10.4.1.1.3, 10.4.1.1.4); of several objects the one in the middle is shown."""
    router = APIRouter(route_class=_routes_on_record(retrieving), dependencies=[Depends(_retrieval(access))])
    objects = retrieving.objects

    def middle(study: str, series: str = "") -> WebObject:
        found = objects.of(study, series)
        return found[len(found) // 2]

    @router.get(_STUDY + "/rendered")
    def study_rendered(request: Request, study: str) -> Response:
        return rendered_answer(request, middle(study), None)

    @router.get(_SERIES + "/rendered")
    def series_rendered(request: Request, study: str, series: str) -> Response:
        return rendered_answer(request, middle(study, series), None)

    @router.get(_INSTANCE + "/rendered")
    def instance_rendered(request: Request, study: str, series: str, instance: str) -> Response:
        return rendered_answer(request, objects.one(study, series, instance), None)

    @router.get(_INSTANCE + "/frames/{frames}/rendered")
    def frames_rendered(request: Request, study: str, series: str, instance: str, frames: str) -> Response:
        return rendered_answer(request, objects.one(study, series, instance), frame_numbers(frames))

    @router.get(_STUDY + "/thumbnail")
    def study_thumbnail(request: Request, study: str) -> Response:
        return thumbnail_answer(request, middle(study), None)

    @router.get(_SERIES + "/thumbnail")
    def series_thumbnail(request: Request, study: str, series: str) -> Response:
        return thumbnail_answer(request, middle(study, series), None)

    @router.get(_INSTANCE + "/thumbnail")
    def instance_thumbnail(request: Request, study: str, series: str, instance: str) -> Response:
        return thumbnail_answer(request, objects.one(study, series, instance), None)

    @router.get(_INSTANCE + "/frames/{frames}/thumbnail")
    def frame_thumbnail(request: Request, study: str, series: str, instance: str, frames: str) -> Response:
        return thumbnail_answer(request, objects.one(study, series, instance), frame_numbers(frames))

    return router
