"""Multipart/related messages (RFC 2387) on their way out, piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from node.web.media_types import RELATED

PIECE = 2**20
"""Bytes that are read from a file, and handed on, at once."""


def prefetched(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same, of which the first has been made: what is wrong with it is known now."""
    first = next(pieces, b"")
    return chain((first,), pieces)


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its media type, its size in bytes where it is known, and its bytes, which are made as they are sent."""

    content_type: str
    pieces: Iterable[bytes]
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Multipart:
    """A message of parts of one media type."""

    part_type: str
    boundary: str = field(default_factory=lambda: secrets.token_hex(20))

    @property
    def content_type(self) -> str:
        """Of the message."""
        return f'{RELATED}; type="{self.part_type}"; boundary={self.boundary}'

    def pieces(self, parts: Iterable[Part]) -> Iterator[bytes]:
        """The message."""
        for part in parts:
            yield self._head(part)
            yield from part.pieces
            yield b"\r\n"
        yield f"--{self.boundary}--\r\n".encode()

    def _head(self, part: Part) -> bytes:
        lines = [f"--{self.boundary}", f"Content-Type: {part.content_type}"]
        if part.length is not None:
            lines.append(f"Content-Length: {part.length}")
        return "\r\n".join((*lines, "", "")).encode()
