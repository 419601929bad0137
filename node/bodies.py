"""The body of a request of HTTP that stores: in larger pieces, from one who sends them soon enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.requests import Request

_PIECE = 2**18
"""Bytes that are gathered before they are written, which is done in another thread."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Of one request: bytes in all, the longest silence in s, and the least rate in bytes a second."""

    largest: int
    silence_s: float
    slowest: float


class TooLargeError(Exception):
    """The body has more bytes than are allowed."""


class TooSlowError(Exception):
    """The body came too slowly."""


async def pieces(
    request: Request, limits: UploadLimits, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[bytes]:
    """The body in larger pieces.

    Raises:
        TooLargeError: it says that it is, or it is.
        TooSlowError: who sends it is not waited for.
        ClientDisconnect: of starlette, the request was broken off.
    """
    stated = request.headers.get("content-length") or "0"
    if not stated.isdecimal() or int(stated) > limits.largest:
        raise TooLargeError
    begun, received, gathered = clock(), 0, bytearray()
    stream = request.stream()
    while True:
        left = begun + limits.silence_s + received / limits.slowest - clock()
        try:
            piece = await asyncio.wait_for(anext(stream, b""), min(limits.silence_s, max(left, 0.0)))
        except TimeoutError as error:
            raise TooSlowError from error
        received += len(piece)
        if received > limits.largest:
            raise TooLargeError
        gathered += piece
        if len(gathered) >= _PIECE or (not piece and gathered):
            yield bytes(gathered)
            gathered.clear()
        if not piece:
            return
