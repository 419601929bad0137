"""DICOMweb (PS3.18): its resources, and what answers to searches have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydicom.datadict import dictionary_description

from node.conformance.markdown import table
from node.conformance.query import tag_of
from node.settings import ListenerSettings, WebSettings
from node.web.address import PREFIX
from node.web.answers import RETURNED
from node.web.server import WebServer
from storage.catalogue.attributes import Level
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index


def resources() -> str:
    """The resources, with what each is for."""
    rows = [
        (method, f"`{PREFIX}{route.path}`", route.endpoint.__name__.replace("_", " "))
        for route in _routes(_application())
        for method in sorted(route.methods or ())
    ]
    return table(("method", "resource", "what"), rows)


def returned() -> str:
    """The attributes that answers of each level have without being asked for."""
    rows = [
        (level.capitalize(), ", ".join(dictionary_description(tag_of(keyword)) for keyword in keywords))
        for level, keywords in RETURNED.items()
    ]
    return table(("level", "attributes"), rows)


def facts() -> dict[str, str]:
    """What stands in sentences."""
    settings = WebSettings()
    return {
        "web_host": settings.host,
        "web_port": str(settings.port),
        "web_most_matches": f"{settings.most_matches:,}",
        "web_largest_request": f"{settings.largest_request_gb:g}",
        "web_connections": str(settings.maximum_connections),
        "web_levels": ", ".join(level.lower() for level in Level if level in RETURNED),
    }


def _routes(application: FastAPI) -> Iterator[APIRoute]:
    """The routes of the routers that the application includes; none is left out."""
    for included in application.routes:
        router: APIRouter = included.original_router  # type: ignore[attr-defined]  # of FastAPI's own class
        yield from (route for route in router.routes if isinstance(route, APIRoute))


def _application() -> FastAPI:
    """That of a service on an empty root."""
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/index.sqlite")
        try:
            files, index = ObjectStore(Path(folder)), Index(engine)
            return WebServer(WebSettings(), ListenerSettings(), (), files, index).application
        finally:
            engine.dispose()
