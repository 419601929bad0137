"""One study: its page, its live part, and its results as files."""

import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from node.errors import NodeError
from node.operations.outlines import Outlines
from node.operations.study import StudyDetail, StudyProgress, of_study, progress_of, results_of
from node.operations.study_log import log_of
from node.page.rendering import Pages
from node.page.visitors import Visitor, Visitors
from node.settings import Settings
from storage.files import ObjectStore
from storage.readings import ReaderVerdict, Readings
from storage.records import DeliveryRecord, DeliveryState, ResultRecord, StudyState

SAID_ALONE = (ReaderVerdict.ACCEPTED, ReaderVerdict.REJECTED, ReaderVerdict.COMMENT)
"""Verdicts that need nothing but words."""

_PIECE = 2**20
_IN_MEMORY = 2**22


@dataclass(frozen=True, slots=True)
class Pair:
    """The series of a sequence as it was acquired, and its refined one; the latter empty where there is none."""

    sequence: str
    acquired: str
    refined: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The deliveries of results of one role to one destination."""

    destination: str
    role: str
    states: dict[DeliveryState, int]
    objects: tuple[DeliveryRecord, ...]


def study_routes(
    settings: Settings, engine: Engine, files: ObjectStore, outlines: Outlines, visitors: Visitors, pages: Pages
) -> APIRouter:
    """The resources of a study but its pictures."""
    router = APIRouter(prefix="/studies/{study}")

    def standing(found: StudyProgress) -> dict[str, Any]:
        """What the live part shows."""
        return {
            "found": found,
            "sent": sent(found.deliveries),
            "destinations": [it.name for it in settings.destinations],
            "can": possible(found),
        }

    def said(study: str) -> dict[str, Any]:
        """What readers have said, and what came for them to take."""
        readings = Readings(engine).of_study(study)
        return {"study": study, "readings": readings, "received": outlines.received(study, readings)}

    @router.get("")
    def whole(request: Request, study: str, visitor: Annotated[Visitor, Depends(visitors.visitor)]) -> Response:
        found = of_study(engine, files, settings.root, study)
        more = {"pairs": pairs(found), "results": by_role(found.results), "verdicts": SAID_ALONE}
        more["viewer"] = settings.web.viewer_of(study)
        return pages.page(request, "study.html", visitor, standing(found) | said(study) | more)

    @router.get("/live")
    def live(request: Request, study: str, visitor: Annotated[Visitor, Depends(visitors.visitor)]) -> Response:
        # Every open page asks for it every few seconds.
        return pages.page(request, "study_live.html", visitor, standing(progress_of(engine, settings.root, study)))

    @router.get("/readings")
    def read(request: Request, study: str, visitor: Annotated[Visitor, Depends(visitors.visitor)]) -> Response:
        return pages.page(request, "study_readings.html", visitor, said(study))

    @router.get("/log")
    def events(request: Request, study: str, visitor: Annotated[Visitor, Depends(visitors.visitor)]) -> Response:
        return pages.page(request, "study_log.html", visitor, {"log": log_of(engine, settings.root, study)})

    @router.get("/results.zip", dependencies=[Depends(visitors.visitor)])
    def results(study: str) -> Response:
        headers = {"Content-Disposition": f'attachment; filename="results-{study}.zip"'}
        # The first piece is made now: where there are none the answer says so.
        pieces = packed(lambda: results_of(engine, study), files, study)
        return StreamingResponse(chain((next(pieces),), pieces), media_type="application/zip", headers=headers)

    @router.get("/results/{instance}", dependencies=[Depends(visitors.visitor)])
    def result(study: str, instance: str) -> Response:
        named = next((it for it in results_of(engine, study) if it.sop_instance_uid == instance), None)
        if named is None:
            raise NodeError(f"study {study}: no such result")
        name = f"{named.role}-{named.sop_instance_uid}.dcm"
        return FileResponse(files.absolute(named.file), media_type="application/dicom", filename=name)

    return router


def pairs(found: StudyDetail) -> list[Pair]:
    """The sequences that were analysed, as acquired and refined."""
    refined = {
        it.role.removeprefix("super-resolved-").upper(): it.series_instance_uid
        for it in found.results
        if it.role.startswith("super-resolved-")
    }
    stacks = found.plan.stacks if found.plan else ()
    return [Pair(str(it.role), it.series_instance_uid, refined.get(str(it.role), "")) for it in stacks]


def sent(deliveries: Sequence[DeliveryRecord]) -> list[Sent]:
    """Deliveries by destination and role of the result."""
    groups: dict[tuple[str, str], list[DeliveryRecord]] = defaultdict(list)
    for it in deliveries:
        groups[it.destination, it.result.role].append(it)
    lines = []
    for (destination, role), objects in groups.items():
        states: dict[DeliveryState, int] = defaultdict(int)
        for it in objects:
            states[it.state] += 1
        lines.append(Sent(destination, role, dict(states), tuple(objects)))
    return lines


def by_role(results: Sequence[ResultRecord]) -> dict[str, list[ResultRecord]]:
    """Results by what they are."""
    groups: dict[str, list[ResultRecord]] = defaultdict(list)
    for it in results:
        groups[it.role].append(it)
    return dict(groups)


@dataclass(frozen=True, slots=True)
class Possible:
    """Which orders make sense for a study as it stands."""

    rerun: bool
    cancel: bool
    resend: bool


def possible(found: StudyProgress) -> Possible:
    """Which orders make sense."""
    state = found.study.state
    ended = state not in (StudyState.RECEIVING, StudyState.QUEUED)
    return Possible(rerun=ended, cancel=state is StudyState.QUEUED, resend=bool(found.results))


def packed(results: Callable[[], Sequence[ResultRecord]], files: ObjectStore, study: str) -> Iterator[bytes]:
    """The results of a study as an archive (ZIP); nothing removes the study until the last piece is sent.

    Raises:
        NodeError: there are none.
    """
    with files.locks.using([study]), tempfile.SpooledTemporaryFile(_IN_MEMORY) as archive:
        found = results()
        if not found:
            raise NodeError(f"study {study}: there are no results")
        with zipfile.ZipFile(archive, "w") as written:
            for it in found:
                written.write(files.absolute(it.file), f"{it.role}/{it.sop_instance_uid}.dcm")
        archive.seek(0)
        while piece := archive.read(_PIECE):
            yield piece
