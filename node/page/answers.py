"""How an order is carried out and answered: a sentence, and a line in the log of who gave it."""

import logging
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from node.errors import NodeError
from node.page.rendering import Pages
from node.page.trail import note
from node.page.visitors import Visitor
from storage.errors import StorageError

log = logging.getLogger(__name__)


def carried_out(
    pages: Pages, request: Request, visitor: Visitor, what: str, back: str, order: Callable[[], str]
) -> Response:
    """Carry an order out; what the operation refuses is the sentence that is shown.

    `what` is for the log, `back` leads to where the order came from.
    """
    try:
        sentence, status = order(), 200
        log.info("account %s: %s", visitor.name, what)
    except (NodeError, StorageError) as error:
        sentence, status = str(error), 409
        note(request, refused=sentence)
    said = {"sentence": sentence, "refused": status != 200, "back": back}
    part = "hx-request" in request.headers  # of which htmx shows only what has succeeded
    template = "done_part.html" if part else "done.html"
    answer = pages.page(request, template, visitor, said, 200 if part else status)
    answer.headers["HX-Trigger"] = "changed"
    return answer


def because(done: str, visitor: Visitor, reason: str) -> str:
    """Who did it and, where that was said, why."""
    return f"{done} by {visitor.name}{f': {reason.strip()}' if reason.strip() else ''}"
