"""A file that is the body of a request: streamed to the disk below the root, and gone when it was looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from node.bodies import TooLargeError, TooSlowError, UploadLimits, pieces
from node.settings import ListenerSettings
from storage.files import ObjectStore

NAME = "X-File-Name"
"""Header with the name of the file, percent-encoded."""

UPLOADED = "PAGE"
"""What objects are said to come from that were uploaded: in the place of an AE title."""

_CLOSE = {"Connection": "close"}
_LOOKED_AT_EVERY = 2**26
"""Bytes after which the free disk is looked at again."""


def name_of(request: Request) -> str:
    """What the file is called where it comes from; nothing is ever stored under this name."""
    return unquote(request.headers.get(NAME, ""))[:1024] or "file"


@asynccontextmanager
async def received(
    request: Request, files: ObjectStore, listener: ListenerSettings, largest: int
) -> AsyncIterator[Path]:
    """The body as a file of the spool, for as long as it is looked at.

    Args:
        request: whose sender is known.
        files: below whose root it is.
        listener: how soon it has to come, and how much of the disk has to stay free.
        largest: bytes that it has at the most.

    Raises:
        HTTPException: 413, 408, 400 or 507.
    """
    allowed = UploadLimits(largest, listener.network_timeout_s, listener.slowest_kb_s * 1e3)
    path = await run_in_threadpool(files.spooled)
    try:
        with path.open("wb") as file:
            await _write(request, file, files, allowed, listener.minimum_free_gb * 1e9)
        yield path
    finally:
        path.unlink(missing_ok=True)


async def _write(request: Request, file: BinaryIO, files: ObjectStore, allowed: UploadLimits, spare: float) -> None:
    looked_at = -_LOOKED_AT_EVERY
    try:
        async for piece in pieces(request, allowed):
            if file.tell() - looked_at >= _LOOKED_AT_EVERY:
                looked_at = file.tell()
                if files.free_bytes() < spare:
                    raise HTTPException(507, "disk space is low", _CLOSE)
            await run_in_threadpool(file.write, piece)
    except TooLargeError as error:
        raise HTTPException(413, f"a file has at most {allowed.largest / 1e9:g} GB here", _CLOSE) from error
    except TooSlowError as error:
        raise HTTPException(408, "the file came too slowly", _CLOSE) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the file was broken off", _CLOSE) from error
