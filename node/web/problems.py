"""Why a request is not answered as it was meant: a status of HTTP and the reason in words (PS3.18 8.5)."""

from __future__ import annotations

from collections.abc import Mapping

from storage.errors import HeaderError
from storage.header import check_uid


class ProblemError(Exception):
    """A request that cannot be served; the reason goes to the caller, and repeats nothing of what is stored.

    Attributes:
        status: of HTTP.
        headers: of the answer.
    """

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.headers = status, dict(headers or {})


class MalformedError(ProblemError):
    """The request is none (400)."""

    def __init__(self, reason: str) -> None:
        super().__init__(400, reason)


class NotHereError(ProblemError):
    """There is nothing of that name (404)."""

    def __init__(self, what: str) -> None:
        super().__init__(404, f"{what} is not here")


class NotAcceptableError(ProblemError):
    """What is asked for cannot be had in a media type, or transfer syntax, that is accepted (406)."""

    def __init__(self, offered: str) -> None:
        super().__init__(406, f"none of what is accepted can be had; there is {offered}")


def uid(value: str, name: str) -> str:
    """A UID in a request.

    Raises:
        MalformedError: it is none.
    """
    try:
        return check_uid(value, name)
    except HeaderError as error:
        raise MalformedError(str(error)) from error
