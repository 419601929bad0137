"""What people do on the page goes on record: after it was answered, and before the answer is sent.

Which requests are told of stands in one table; an order that is not in it is told of by its path. What the request does
not say (who signs in, that an order was refused, how it was given) its handler notes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from node.callers import client_address
from node.clock import utc_now
from node.errors import told
from node.page.security import SAFE
from node.page.visitors import Visitor
from storage.audit import Audit, AuditAction, AuditEvent

log = logging.getLogger(__name__)

_STUDY = "/studies/{study}"
#: By method and path, as the routes have them.
RECORDED: Mapping[tuple[str, str], AuditAction] = {
    ("POST", "/sign-in"): AuditAction.SIGNED_IN,
    ("GET", "/sign-in/provider/back"): AuditAction.SIGNED_IN,
    ("POST", "/welcome/{token}"): AuditAction.SET_PASSWORD,
    ("POST", "/sign-out"): AuditAction.SIGNED_OUT,
    ("GET", _STUDY): AuditAction.LOOKED,
    ("GET", f"{_STUDY}/series/{{series}}/volumes"): AuditAction.LOOKED,
    ("GET", f"{_STUDY}/series/{{series}}/volumes/{{number}}/{{orientation}}/{{index}}.png"): AuditAction.LOOKED,
    ("GET", f"{_STUDY}/contours/{{segmentation}}/{{orientation}}"): AuditAction.LOOKED,
    ("GET", f"{_STUDY}/results.zip"): AuditAction.DOWNLOADED,
    ("GET", f"{_STUDY}/results/{{instance}}"): AuditAction.DOWNLOADED,
    ("POST", f"{_STUDY}/rerun"): AuditAction.REPROCESSED,
    ("POST", f"{_STUDY}/cancel"): AuditAction.CANCELLED,
    ("POST", f"{_STUDY}/resend"): AuditAction.RESENT,
    ("POST", f"{_STUDY}/reading"): AuditAction.VERDICT,
    ("POST", f"{_STUDY}/outlines/file"): AuditAction.VERDICT,
    ("POST", f"{_STUDY}/outlines/{{instance}}"): AuditAction.VERDICT,
    ("GET", f"{_STUDY}/outlines/{{instance}}"): AuditAction.DOWNLOADED,
    ("GET", "/quarantine/{number}/file"): AuditAction.DOWNLOADED,
    ("POST", "/quarantine/{number}/file"): AuditAction.RELEASED,
    ("POST", "/quarantine/{number}/release"): AuditAction.RELEASED,
    ("POST", "/quarantine/{number}/discard"): AuditAction.DISCARDED,
    ("POST", "/upload/file"): AuditAction.UPLOADED,
    ("POST", "/retrievals/look"): AuditAction.ASKED_REMOTE,
    ("POST", "/retrievals/fetch"): AuditAction.RETRIEVED,
    ("POST", "/rules/file"): AuditAction.TRIED_RULES,
    ("POST", "/rules/stored"): AuditAction.TRIED_RULES,
    ("POST", "/node/echo"): AuditAction.ASKED_REMOTE,
    ("GET", "/node/log"): AuditAction.READ_AUDIT,
    ("POST", "/node/alerts/{number}/acknowledge"): AuditAction.ACKNOWLEDGED,
}
#: What only shows something is told of where it has come to that.
_SHOWING = frozenset({AuditAction.LOOKED, AuditAction.DOWNLOADED, AuditAction.READ_AUDIT})
#: What is told of once for each session (and study).
_ONCE = frozenset({AuditAction.LOOKED, AuditAction.READ_AUDIT})
#: Who guesses and has to wait, or comes while others do: told of once by what came before.
_PUT_OFF = 429
_FAILED = 500
_REMEMBERED = 10_000
_MOST_STUDIES = 100

Next = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Note:
    """What a handler says of its request; empty where there is nothing to say.

    Attributes:
        account: who it was, where that is not who is signed in.
        subject: what it was done to, where that does not stand in the path.
        studies: UIDs of the studies that it was done to, likewise; an event each.
        detail: how.
        refused: why it was not done.
    """

    account: str = ""
    subject: str = ""
    studies: tuple[str, ...] = ()
    detail: str = ""
    refused: str = ""


def note(request: Request, *studies: str, **said: str) -> None:
    """Say something of a request (`Note`), beside what was said before; of many studies the first are told of."""
    known = getattr(request.state, "note", Note())
    request.state.note = replace(known, **said, studies=tuple(filter(None, studies))[:_MOST_STUDIES] or known.studies)


class Trail:
    """Keeps what is done; `kept` goes round every request."""

    def __init__(self, engine: Engine) -> None:
        self._audit = Audit(engine)
        self._lock = threading.Lock()
        self._looked: dict[tuple[str, str], None] = {}  # by session and study, so that pictures cost no question

    async def kept(self, request: Request, call_next: Next) -> Response:
        """Answer a request; what cannot be put on record is not shown."""
        try:
            answer = await call_next(request)
        except Exception:
            await self._recorded(request, _FAILED)  # what was done before is done
            raise
        if not await self._recorded(request, answer.status_code):
            return PlainTextResponse("what is done here cannot be put on record, try again\n", 503)
        return answer

    async def _recorded(self, request: Request, status: int) -> bool:
        """Put a request on record, if it is one that is told of; whether that could be done."""
        event = _event(request, status)
        if event is None:
            return True
        said: Note = getattr(request.state, "note", Note())
        try:
            for study in said.studies or (event.study_instance_uid,):
                await run_in_threadpool(self._keep, replace(event, study_instance_uid=study))
        except SQLAlchemyError as error:
            log.error("account %s: %s cannot be put on record: %s", event.account, event.action, told(error))
            return False
        return True

    def _keep(self, event: AuditEvent) -> None:
        if event.action not in _ONCE:
            self._audit.add(event)
            return
        key = (event.session, event.study_instance_uid)
        with self._lock:
            if key in self._looked:
                return
        self._audit.add_once(event)  # may wait for others who write, while nobody waits for this one
        with self._lock:
            self._looked[key] = None
            while len(self._looked) > _REMEMBERED:
                del self._looked[next(iter(self._looked))]


def _event(request: Request, status: int) -> AuditEvent | None:
    """What a request was, if it is one that is told of."""
    route = str(getattr(request.scope.get("route"), "path", ""))
    action = RECORDED.get((request.method, route))
    if action is None and route and request.method not in SAFE:
        action = AuditAction.ORDERED
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    said: Note = getattr(request.state, "note", Note())
    # Of who is not signed in what a handler tells, which counts as an attempt: else anybody could fill the log.
    if action is None or status == _PUT_OFF or not (visitor or said.account or said.refused):
        return None
    succeeded = status < 400 and not said.refused
    if action in _SHOWING and not succeeded:
        return None
    path = request.path_params
    subject = route if action is AuditAction.ORDERED else str(path.get("number", path.get("instance", "")))
    return AuditEvent(
        at=utc_now(),
        action=action,
        succeeded=succeeded,
        account=said.account or (visitor.name if visitor else ""),
        session=visitor.session if visitor else "",
        address=client_address(request),
        study_instance_uid=str(path.get("study", "")),
        subject=said.subject or subject,
        detail=said.refused or said.detail or ("" if succeeded else f"refused with {status}"),
    )
