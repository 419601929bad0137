"""Media types that a request accepts (PS3.18 8.7, RFC 9110 12.5.1), the preferred first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from node.web.problems import MalformedError, NotAcceptableError

DICOM_JSON, JSON = "application/dicom+json", "application/json"
DICOM, OCTETS = "application/dicom", "application/octet-stream"
RELATED = "multipart/related"

# A token, or what stands between quotation marks; between them there are separators.
_PARAMETER = re.compile(r'\s*;\s*([^\s=;,"]+)\s*=\s*(?:"([^"]*)"|([^\s;,"]*))\s*')
_RANGE = re.compile(r"\s*([^\s;,\"]+/[^\s;,\"]+)\s*")
_ANY = "*/*"


@dataclass(frozen=True, slots=True)
class Accepted:
    """One media type that is accepted.

    Attributes:
        name: of what is wanted, in a multipart message that of its parts; wild cards are `*/*` and `image/*`.
        multipart: in a multipart/related message; None where either will do.
        transfer_syntax: a UID, or `*` for whatever it is stored in; empty where nothing is said.
        quality: from 0 to 1.
    """

    name: str
    multipart: bool | None
    transfer_syntax: str = ""
    quality: float = 1.0

    def takes(self, name: str, multipart: bool) -> bool:
        """Whether this takes something of a media type, alone or in a multipart message."""
        kind = name.partition("/")[0]
        return self.multipart in (None, multipart) and self.name in (name, f"{kind}/*", _ANY)


def accepted(request: Request) -> tuple[Accepted, ...]:
    """What a request accepts, by its query parameter `accept` or its header (PS3.18 8.3.3.1); without both anything.

    Raises:
        MalformedError: that cannot be read.
    """
    said = request.query_params.getlist("accept") or request.headers.getlist("accept")
    found = [each for text in said for each in _read(text)]
    if not found:
        return (Accepted(_ANY, None),)
    return tuple(sorted((each for each in found if each.quality), key=lambda each: -each.quality))


def json_type(ranges: Sequence[Accepted]) -> str:
    """The media type of an answer in the DICOM JSON model.

    Raises:
        NotAcceptableError: it is not accepted.
    """
    for each in ranges:
        for name in (DICOM_JSON, JSON):
            if each.takes(name, multipart=False):
                return name
    raise NotAcceptableError(DICOM_JSON)


def of_request(content_type: str) -> tuple[str, dict[str, str]]:
    """Media type of the body of a request, and its parameters.

    Raises:
        MalformedError: the header cannot be read.
    """
    found = _RANGE.match(content_type)
    if found is None:
        raise MalformedError("the Content-Type cannot be read")
    parameters, end = _parameters(content_type, found.end())
    if end != len(content_type):
        raise MalformedError("the Content-Type cannot be read")
    return found[1].lower(), parameters


def _read(text: str) -> Iterator[Accepted]:
    position = 0
    while position < len(text):
        found = _RANGE.match(text, position)
        if found is None:
            raise MalformedError("what is accepted cannot be read")
        parameters, position = _parameters(text, found.end())
        if text[position : position + 1] not in ("", ","):
            raise MalformedError("what is accepted cannot be read")
        position += 1
        yield _accepted(found[1].lower(), parameters)


def _parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while (parameter := _PARAMETER.match(text, position)) is not None:
        quoted, plain = parameter[2], parameter[3]
        found[parameter[1].lower()] = plain if quoted is None else quoted
        position = parameter.end()
    return found, position


def _accepted(name: str, parameters: dict[str, str]) -> Accepted:
    try:
        quality = min(max(float(parameters.get("q", "1")), 0.0), 1.0)
    except ValueError as error:
        raise MalformedError("a quality of what is accepted is no number") from error
    multipart: bool | None = name == RELATED
    if name == _ANY or name == "multipart/*":
        name, multipart = _ANY, None if name == _ANY else True
    elif multipart:
        name = parameters.get("type", _ANY).lower()
    return Accepted(name, multipart, parameters.get("transfer-syntax", ""), quality)
