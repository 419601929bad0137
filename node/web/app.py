"""The application: its resources, who may use them, and how what goes wrong is answered."""

from __future__ import annotations

import logging

from fastapi import APIRouter, FastAPI, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from node.dicom.conversion.errors import ConversionError
from node.errors import told
from node.settings import WebSettings
from node.web.address import PREFIX
from node.web.problems import ProblemError
from storage.errors import HeaderError

log = logging.getLogger(__name__)


def application(settings: WebSettings, routers: tuple[APIRouter, ...], page: ASGIApp | None = None) -> FastAPI:
    """The application with the resources of DICOMweb below `PREFIX`; it describes itself to nobody.

    `page` has all other addresses.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Accept", "Authorization", "Content-Type", "If-None-Match", "Range"],
            expose_headers=["Content-Location", "Content-Range", "ETag", "Warning"],
        )
    for router in routers:
        app.include_router(router, prefix=PREFIX)
    if page is not None:
        app.mount("/", page)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(SQLAlchemyError, _database_problem)
    for kind in (HeaderError, ConversionError, OSError):
        app.add_exception_handler(kind, _file_problem)
    return app


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return PlainTextResponse(f"{error}\n", error.status, error.headers)


async def _http_problem(_request: Request, error: Exception) -> Response:
    """No such resource, or no such method on it."""
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)


async def _database_problem(_request: Request, error: Exception) -> Response:
    log.error("a request is not answered: the database does not answer: %s", told(error))
    return PlainTextResponse("the database does not answer, try again\n", 503, {"Retry-After": "5"})


async def _file_problem(_request: Request, error: Exception) -> Response:
    log.error("a request is not answered: %s", told(error))
    return PlainTextResponse("a stored file cannot be read\n", 500)
