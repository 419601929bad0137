"""QIDO-RS (PS3.18 10.6): studies, series and instances of the catalogue, by the query that C-FIND has as well."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from itertools import islice

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Engine
from starlette.responses import Response

from node.audit.recorder import Recorder
from node.clock import utc_now
from node.errors import told
from node.services.query import LONGEST_ON_RECORD, exact
from node.web.access import Access, Caller
from node.web.address import service_address
from node.web.answers import Model, answer
from node.web.media_types import accepted, json_type
from node.web.parameters import Search, read_search
from node.web.problems import ProblemError, uid
from storage.audit import AuditAction, AuditEvent, Facts
from storage.catalogue.attributes import UNIQUE_KEYS, Level
from storage.catalogue.query import portions

log = logging.getLogger(__name__)

_MORE = "The number of results exceeded the maximum supported by the server. Additional results can be requested."


class Searching:
    """Answers searches from the catalogue."""

    def __init__(
        self, engine: Engine, most_matches: int, site_zone: tzinfo | None, public_url: str, recorder: Recorder
    ) -> None:
        """`most_matches` are answered at once; `site_zone` is of datetimes without an offset, None: the machine's;
        `recorder` takes who has asked for what."""
        self._recorder = recorder
        self._engine, self._most, self._zone, self._public_url = engine, most_matches, site_zone, public_url

    def answer(self, request: Request, caller: Caller, level: Level, **given: str) -> Response:
        """The answer to a request; `given` are the UIDs of its path, by keyword."""
        try:
            media_type = json_type(accepted(request))
            fixed = {keyword: uid(value, keyword) for keyword, value in given.items()}
            search = read_search(request.query_params.multi_items(), level, fixed, self._zone)
            service = service_address(request, self._public_url)
            found, more = self._found(search, service)
        except Exception as error:
            why = str(error) if isinstance(error, ProblemError) else f"not answered: {told(error)}"
            self._on_record(request, caller, given, why, succeeded=False)
            raise
        log.info("search of %s from %s: %d matches at %s level", caller.name, caller.address, len(found), level)
        self._on_record(request, caller, fixed, f"{len(found)} matches at {level} level")
        warnings = (*search.warnings, *((_MORE,) if more else ()))
        headers = {"Warning": ", ".join(f'299 {service} "{text}"' for text in warnings)} if warnings else {}
        if not found:
            return Response(status_code=204, headers=headers)
        body = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
        return Response(body, media_type=media_type, headers=headers)

    def _on_record(
        self, request: Request, caller: Caller, fixed: Mapping[str, str], detail: str, succeeded: bool = True
    ) -> None:
        asked = f"{request.url.path}?{request.url.query}".encode()
        left_out = f"{len(asked) - LONGEST_ON_RECORD} bytes at its end" if len(asked) > LONGEST_ON_RECORD else ""
        query = b64encode(asked[:LONGEST_ON_RECORD]).decode()
        said = dict(request.query_params)
        patient = said.get("PatientID") or said.get("00100020", "")
        study = fixed.get("StudyInstanceUID") or said.get("StudyInstanceUID") or said.get("0020000D", "")
        self._recorder.add_recurring(
            AuditEvent(
                utc_now(),
                AuditAction.QUERIED,
                succeeded,
                address=caller.address,
                study_instance_uid=exact(study.split(",")),
                patient_id=exact((patient,)),
                detail=detail,
                remote=caller.name,
                facts=Facts(service="QIDO-RS", query=query, left_out=left_out),
            )
        )

    def _found(self, search: Search, service: str) -> tuple[list[Model], bool]:
        """The answers, and whether there are more than are ever answered at once."""
        most = self._most if search.limit is None else min(search.limit, self._most)
        entities = (entity for portion in portions(self._engine, search.query) for entity in portion)
        asked: Iterator[Model] = (
            answer(entity, search, service) for entity in islice(entities, search.offset, search.offset + most)
        )
        found = list(asked)
        cut = len(found) == self._most and (search.limit is None or search.limit > self._most)
        return found, cut and next(entities, None) is not None


def search_routes(searching: Searching, access: Access) -> APIRouter:
    """The resources that can be searched (PS3.18 Table 10.6.1-1)."""
    router = APIRouter()
    study, series = UNIQUE_KEYS[Level.STUDY], UNIQUE_KEYS[Level.SERIES]
    query = Depends(access.may_query)

    @router.get("/studies")
    def studies(request: Request, caller: Caller = query) -> Response:
        return searching.answer(request, caller, Level.STUDY)

    @router.get("/series")
    def all_series(request: Request, caller: Caller = query) -> Response:
        return searching.answer(request, caller, Level.SERIES)

    @router.get("/instances")
    def all_instances(request: Request, caller: Caller = query) -> Response:
        return searching.answer(request, caller, Level.IMAGE)

    @router.get("/studies/{study_uid}/series")
    def series_of_study(request: Request, study_uid: str, caller: Caller = query) -> Response:
        return searching.answer(request, caller, Level.SERIES, **{study: study_uid})

    @router.get("/studies/{study_uid}/instances")
    def instances_of_study(request: Request, study_uid: str, caller: Caller = query) -> Response:
        return searching.answer(request, caller, Level.IMAGE, **{study: study_uid})

    @router.get("/studies/{study_uid}/series/{series_uid}/instances")
    def instances_of_series(request: Request, study_uid: str, series_uid: str, caller: Caller = query) -> Response:
        return searching.answer(request, caller, Level.IMAGE, **{study: study_uid, series: series_uid})

    return router
