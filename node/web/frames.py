"""Frames and bulk data (PS3.18 10.4.1.1.5, 10.4.1.1.6): decoded, or as they are stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from pydicom import Dataset
from pydicom.tag import Tag
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from node.dicom.conversion.errors import ConversionError
from node.recognition.header.elements import MALFORMED
from node.web.media_types import OCTETS, Accepted, accepted
from node.web.multipart import PIECE, Multipart, Part
from node.web.objects import EXPLICIT, WebObject
from node.web.pixel_data import PIXEL_TAGS, frames_of, opened_little_endian, read_beginning
from node.web.problems import MalformedError, NotAcceptableError, NotHereError, ProblemError
from storage.errors import HeaderError

MOST_FRAMES = 10_000
"""Frames of one request."""

_LIST = re.compile(r"\d{1,9}(,\d{1,9})*")
_PLACE = re.compile(r"[0-9A-Fa-f]{8}(/\d{1,9}/[0-9A-Fa-f]{8})*")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
#: Media types of encapsulated frames (PS3.18 Table 8.7.3-5), the standard's first.
_IMAGES = {
    **dict.fromkeys(("50", "51", "57", "70"), ("image/jpeg",)),
    **dict.fromkeys(("80", "81"), ("image/jls", "image/x-jls")),
    **dict.fromkeys(("90", "91"), ("image/jp2",)),
    **dict.fromkeys(("92", "93"), ("image/jpx",)),
    **dict.fromkeys(("110", "111", "112"), ("image/jxl",)),
    **dict.fromkeys(("201", "202", "203"), ("image/jphc",)),
}
_RLE = "1.2.840.10008.1.2.5"
_JPEG_FAMILY = "1.2.840.10008.1.2.4."


def frame_numbers(text: str) -> list[int]:
    """The frames that a path names.

    Raises:
        MalformedError: it is no list of frames.
    """
    if not _LIST.fullmatch(text):
        raise MalformedError("frames are numbers from 1 on, with commas between")
    found = [int(number) for number in text.split(",")]
    if 0 in found:
        raise MalformedError("frames are counted from 1 on")
    if len(found) > MOST_FRAMES:
        raise MalformedError(f"more than {MOST_FRAMES} frames")
    return found


def frames_answer(request: Request, found: WebObject, numbers: Sequence[int] | None) -> Response:
    """Frames of an object; None: all.

    Raises:
        ProblemError: they are not there, or cannot be had as they are accepted.
    """
    ranges = accepted(request)
    with ExitStack() as stack:
        frames = stack.enter_context(frames_of(found))
        wanted = numbers if numbers is not None else range(1, frames.count + 1)
        if missing := [number for number in wanted if number > frames.count]:
            raise NotHereError(f"frame {missing[0]} of {frames.count}")
        name, syntax, multipart = _form(found, ranges, alone=len(wanted) == 1)
        read = frames.decoded if syntax == EXPLICIT and frames.encapsulated else frames.stored
        try:
            first = read(wanted[0])
        except ConversionError as error:
            raise ProblemError(406, str(error)) from error
        content_type = f"{name}; transfer-syntax={syntax}"
        if not multipart:
            return Response(first, headers={"Content-Type": content_type})
        open_while_sending = stack.pop_all()
    message = Multipart(name)
    parts = _parts(wanted, first, read, content_type, open_while_sending)
    return StreamingResponse(message.pieces(parts), headers={"Content-Type": message.content_type})


def _parts(
    numbers: Sequence[int],
    first: bytes,
    read: Callable[[int], bytes],
    content_type: str,
    source: ExitStack,
) -> Iterator[Part]:
    """The first frame, that was read before, and the others; then the file is closed."""
    with source:
        for place, number in enumerate(numbers):
            frame = first if place == 0 else read(number)
            yield Part(content_type, (frame,), len(frame))


def _form(found: WebObject, ranges: Sequence[Accepted], alone: bool) -> tuple[str, str, bool]:
    """Media type, transfer syntax, and whether in a multipart message."""
    stored = _image_types(found.syntax) if found.is_encapsulated else ()
    as_stored = found.syntax if stored else EXPLICIT
    for each in ranges:
        multipart = each.multipart is not False
        if not multipart and not alone:
            continue
        said = each.transfer_syntax
        if each.takes(OCTETS, multipart):
            if said in ("", EXPLICIT) and found.can_be_decoded:
                return OCTETS, EXPLICIT, multipart
            if said in ("*", as_stored):
                return OCTETS, as_stored, multipart
        for name in stored:
            if each.takes(name, multipart) and said in ("", "*", as_stored):
                return name, as_stored, multipart
    offered = (
        f"{RELATED_OCTETS}; transfer-syntax={EXPLICIT}",
        *(f'multipart/related; type="{name}"' for name in stored),
    )
    raise NotAcceptableError(" or ".join(offered))


RELATED_OCTETS = f'multipart/related; type="{OCTETS}"'


def _image_types(syntax: str) -> tuple[str, ...]:
    if syntax == _RLE:
        return "image/dicom-rle", "image/x-dicom-rle"
    return _IMAGES.get(syntax.removeprefix(_JPEG_FAMILY), (OCTETS,))


def bulk_data_answer(request: Request, found: WebObject, place: str) -> Response:
    """The value of an element; `place` is its tag, before which tags of sequences and numbers of items may stand.

    Raises:
        ProblemError: it is not there, or cannot be had as it is accepted.
    """
    if not _PLACE.fullmatch(place):
        raise MalformedError("bulk data are named by a tag, in items by the tag of the sequence and the item before it")
    with opened_little_endian(found) as file:
        beginning = read_beginning(file)
        pixels = beginning.pixels
        if pixels is None or int(place.partition("/")[0], 16) not in PIXEL_TAGS:
            value = _value(beginning.dataset, place.split("/"))
            return _octets(request, len(value), lambda first, last: iter((value[first:last],)))
        if pixels.length is None:
            return frames_answer(request, found, None)
        start = pixels.start
        if start + pixels.length > file.seek(0, 2):
            raise HeaderError("the file is cut short within its pixels")

    def read(first: int, last: int) -> Iterator[bytes]:
        with opened_little_endian(found) as file:
            file.seek(start + first)
            for at in range(first, last, PIECE):
                yield file.read(min(PIECE, last - at))

    return _octets(request, pixels.length, read)


def _value(dataset: Dataset, place: Sequence[str]) -> bytes:
    """The bytes of an element."""
    for sequence, item in zip(place[:-1:2], place[1::2], strict=True):
        try:
            dataset = dataset[int(sequence, 16)].value[int(item)]
        except (KeyError, IndexError, TypeError) as error:
            raise NotHereError("the bulk data") from error
    try:
        value = dataset[Tag(int(place[-1], 16))].value
    except MALFORMED as error:
        raise NotHereError("the bulk data") from error
    if not isinstance(value, bytes):
        raise NotHereError("the bulk data: that element is no binary one, and it")
    return value


def _octets(request: Request, length: int, read: Callable[[int, int], Iterator[bytes]]) -> Response:
    """Bytes as an octet stream: in a multipart message, or alone, where a range of them can be asked for."""
    choice = next((each for each in accepted(request) for it in (True, False) if each.takes(OCTETS, it)), None)
    if choice is None:
        raise NotAcceptableError(f"{RELATED_OCTETS} or {OCTETS}")
    if choice.multipart:
        message = Multipart(OCTETS)
        part = Part(OCTETS, read(0, length), length)
        return StreamingResponse(message.pieces((part,)), headers={"Content-Type": message.content_type})
    headers = {"Content-Type": OCTETS, "Accept-Ranges": "bytes"}
    first, last = _asked_range(request, length)
    if (first, last) == (0, length):
        return StreamingResponse(read(0, length), headers=headers | {"Content-Length": str(length)})
    headers |= {"Content-Length": str(last - first), "Content-Range": f"bytes {first}-{last - 1}/{length}"}
    return StreamingResponse(read(first, last), status_code=206, headers=headers)


def _asked_range(request: Request, length: int) -> tuple[int, int]:
    """First byte and the one after the last (RFC 9110 14.1.2); all where no single range is asked for."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or not any(found.groups()):
        return 0, length
    first, last = found.groups()
    if not first:
        return max(length - int(last), 0), length
    end = min(int(last) + 1, length) if last else length
    if int(first) >= end:
        raise ProblemError(416, f"there are {length} bytes", {"Content-Range": f"bytes */{length}"})
    return int(first), end
