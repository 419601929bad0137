"""What the node runs with: the models in use, and the configuration as it was read."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from node.operations.bundles import cards
from node.operations.configured import configured
from node.page.rendering import Pages
from node.page.visitors import Visitor, Visitors
from node.settings import Settings


def about_routes(settings: Settings, visitors: Visitors, pages: Pages) -> APIRouter:
    """The two pages; nothing of them changes while the node runs."""
    router = APIRouter(prefix="/node")
    Looking = Annotated[Visitor, Depends(visitors.visitor)]  # noqa: N806 - a type

    @router.get("/models")
    def models(request: Request, visitor: Looking) -> Response:
        said = {"here": "/node/models", "cards": cards(settings.analysis)}
        return pages.page(request, "node_models.html", visitor, said)

    @router.get("/configuration")
    def configuration(request: Request, visitor: Looking) -> Response:
        said = {"here": "/node/configuration", "values": configured(settings)}
        return pages.page(request, "node_configuration.html", visitor, said)

    return router
