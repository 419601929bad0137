"""The application of the page: its resources, who is let in, and how what goes wrong is shown."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from node.audit.recorder import Recorder
from node.callers import client_address
from node.clock import utc_now
from node.errors import NodeError, told
from node.operations.images import Images
from node.operations.intake import Intake
from node.operations.outlines import Outlines
from node.page.about import about_routes
from node.page.actions import actions_routes
from node.page.alerts import alerts_routes
from node.page.connections import connections_routes
from node.page.figures import figures_routes
from node.page.forms import Forms
from node.page.images import images_routes
from node.page.journal import journal_routes
from node.page.language import language_routes
from node.page.outlines import outlines_routes
from node.page.quarantine import quarantine_orders, quarantine_routes
from node.page.rendering import HERE, Pages
from node.page.retrievals import retrievals_routes
from node.page.rules import rules_routes
from node.page.security import Guard, Hosts, Refused, allowed_hosts
from node.page.sign_in import sign_in_routes
from node.page.studies import studies_routes
from node.page.study import study_routes
from node.page.trail import Trail
from node.page.uploads import uploads_routes
from node.page.visitors import COOKIE, ForbiddenError, NotSignedInError, Visitors, sign_in_path
from node.settings import Settings
from storage.audit import AuditAction, AuditEvent, Facts
from storage.errors import StorageError
from storage.files import ObjectStore
from storage.index import Index

log = logging.getLogger(__name__)


def page(settings: Settings, engine: Engine, files: ObjectStore) -> FastAPI:
    """The page on one storage; it describes itself to nobody. `state.recorder` is to be closed at its end."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    visitors, pages = Visitors(engine, settings.web), Pages(settings.time_zone, settings.web.language)
    intake, images = Intake(settings.listener, files, Index(engine)), Images(engine, files)
    outlines = Outlines(engine, files, images, intake)
    oidc = settings.web.oidc
    if oidc is not None:
        from node.page.provider import provider_routes  # whose libraries nobody else needs

        app.include_router(provider_routes(engine, settings.web, oidc, visitors, pages))
    for router in (
        sign_in_routes(engine, visitors, pages, oidc.shown_name if oidc else ""),
        studies_routes(engine, settings.root, visitors, pages),
        study_routes(settings, engine, files, outlines, visitors, pages),
        images_routes(images, visitors),
        outlines_routes(settings, files, intake, outlines, visitors, pages),
        rules_routes(settings, files, visitors, pages),
        uploads_routes(settings, files, intake, visitors, pages),
        actions_routes(settings, engine, visitors, pages),
        quarantine_routes(settings, visitors, pages),
        quarantine_orders(settings, files, intake, visitors, pages),
        retrievals_routes(settings, visitors, pages),
        connections_routes(settings, engine, visitors, pages),
        alerts_routes(settings, engine, visitors, pages),
        about_routes(settings, visitors, pages),
        figures_routes(engine, settings.root, visitors, pages),
        journal_routes(settings, engine, visitors, pages),
        language_routes(visitors),
    ):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_middleware(BaseHTTPMiddleware, dispatch=Trail(engine).kept)
    recorder = app.state.recorder = Recorder(engine)

    def refused(address: str, why: str) -> None:
        facts = Facts(service="page")
        event = AuditEvent(utc_now(), AuditAction.REFUSED, False, address=address, detail=why, facts=facts)
        recorder.add_recurring(event)

    app.add_middleware(BaseHTTPMiddleware, dispatch=Guard(refused).guarded)
    app.add_middleware(Forms)
    app.add_middleware(Hosts, allowed_hosts=allowed_hosts(settings.web), refused=refused)
    _show_problems(app, pages, refused)
    return app


def _show_problems(app: FastAPI, pages: Pages, refused: Refused) -> None:
    def problem(request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
        said: dict[str, Any] = {"status": status, "sentence": sentence}
        part = "hx-request" in request.headers
        answer = pages.page(request, "problem_part.html" if part else "problem.html", None, said, status)
        answer.headers.update(headers or {})
        return answer

    async def not_signed_in(request: Request, error: Exception) -> Response:
        assert isinstance(error, NotSignedInError)
        return _to_sign_in(request, error, refused)

    async def forbidden(request: Request, error: Exception) -> Response:
        return problem(request, 403, str(error))

    async def not_here(request: Request, error: Exception) -> Response:
        return problem(request, 404, str(error))

    async def malformed(request: Request, _error: Exception) -> Response:
        return problem(request, 400, "the address, or the form, says something that it cannot")

    async def http_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(request, error.status_code, str(error.detail), error.headers)

    async def database_problem(request: Request, error: Exception) -> Response:
        log.error("a page is not shown: the database does not answer: %s", told(error))
        return problem(request, 503, "the database does not answer, try again", {"Retry-After": "5"})

    async def file_problem(request: Request, error: Exception) -> Response:
        log.error("a page is not shown: %s", told(error))
        return problem(request, 500, "a stored file cannot be read")

    app.add_exception_handler(NotSignedInError, not_signed_in)
    app.add_exception_handler(ForbiddenError, forbidden)
    app.add_exception_handler(NodeError, not_here)
    app.add_exception_handler(StorageError, not_here)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, http_problem)
    app.add_exception_handler(SQLAlchemyError, database_problem)
    app.add_exception_handler(OSError, file_problem)


def _to_sign_in(request: Request, error: NotSignedInError, refused: Refused) -> Response:
    if COOKIE in request.cookies:
        refused(client_address(request), "a cookie of no session: it is over, or was made up")
    where = sign_in_path(error.path)
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)
