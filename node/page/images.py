"""The pictures of a study: what can be looked at as JSON, slices as PNG, contours as paths of SVG."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from node.operations.answers import as_json
from node.operations.images import Images
from node.page.visitors import Visitors
from node.viewing.lattice import Orientation
from node.viewing.pixels import Window

#: What a browser keeps it asks for again: nobody who has signed out sees it.
_KEEP = "private, no-cache"


def images_routes(images: Images, visitors: Visitors) -> APIRouter:
    """The resources of pictures."""
    router = APIRouter(prefix="/studies/{study}", dependencies=[Depends(visitors.visitor)])

    @router.get("/series/{series}/volumes")
    def volumes(study: str, series: str) -> Response:
        return _json(as_json(images.series(study, series)))

    @router.get("/series/{series}/volumes/{number}/presets")
    def presets(study: str, series: str, number: int) -> Response:
        return _json(as_json(images.presets(study, series, number)))

    @router.get("/series/{series}/volumes/{number}/{orientation}/{index}.png")
    def picture(
        request: Request,
        study: str,
        series: str,
        number: int,
        orientation: Orientation,
        index: int,
        centre: Annotated[float, Query()],
        width: Annotated[float, Query()],
    ) -> Response:
        data = images.picture(study, series, number, orientation, index, Window(centre, width))
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": _KEEP}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type="image/png", headers=headers)

    @router.get("/contours/{segmentation}/{orientation}")
    def outline(study: str, segmentation: str, orientation: Orientation) -> Response:
        return _json(as_json(images.outline(study, segmentation, orientation)))

    return router


def _json(document: str) -> Response:
    return Response(document, media_type="application/json", headers={"Cache-Control": _KEEP})
