"""Files on their way out: in which transfer syntaxes, which fit one association, and where their data sets begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from node.dicom.contexts import MAXIMUM_CONTEXTS
from node.dicom.conversion.convert import TARGETS, convert
from storage.errors import HeaderError
from storage.filebytes import FileBytes
from storage.header import file_meta
from storage.records import InstanceHeader


@dataclass(frozen=True, slots=True)
class Sendable:
    """A file to be sent, with what is known of the object in it.

    Attributes:
        size: bytes of the file when it was stored; None where it was read just now.
    """

    path: Path
    header: InstanceHeader
    size: int | None = None


def candidates(header: InstanceHeader) -> tuple[tuple[str, str], ...]:
    """SOP class and transfer syntax of the contexts that an object can go in, the preferred first.

    As it is stored; beside that what every receiver knows: Implicit VR Little Endian is always proposed (PS3.5 10.1).
    """
    syntaxes = dict.fromkeys((header.transfer_syntax_uid, *map(str, TARGETS)))
    return tuple((header.sop_class_uid, syntax) for syntax in syntaxes)


def batches(files: Sequence[Sendable]) -> Iterator[list[Sendable]]:
    """Files whose contexts fit one association."""
    batch_of: dict[tuple[str, str], int] = {}
    number, proposed = 0, set[tuple[str, str]]()
    for file in files:
        if (kind := _kind(file)) in batch_of:
            continue
        needed = candidates(file.header)
        if len(proposed.union(needed)) > MAXIMUM_CONTEXTS:
            number, proposed = number + 1, set()
        proposed.update(needed)
        batch_of[kind] = number
    for wanted in sorted(set(batch_of.values())):
        yield [file for file in files if batch_of[_kind(file)] == wanted]


def _kind(file: Sendable) -> tuple[str, str]:
    return file.header.sop_class_uid, file.header.transfer_syntax_uid


@contextmanager
def opened(file: Sendable, syntax: str) -> Iterator[tuple[FileBytes, int]]:
    """The bytes of the file, or of a passing copy in another transfer syntax, and where the data set begins in them.

    Raises:
        ConversionError: it cannot be had in that transfer syntax.
        HeaderError: it is cut short or broken.
        OSError: it cannot be read, or no copy be written.
    """
    with file.path.open("rb", buffering=0) as original:
        content = FileBytes(original)
        if file.size is not None and len(content) != file.size:
            what = "cut short" if len(content) < file.size else "not what was stored"
            raise HeaderError(f"the file is {what}: {len(content)} bytes, {file.size} were stored")
        if syntax == file.header.transfer_syntax_uid:
            yield content, _data_set(content)
            return
    with NamedTemporaryFile(suffix=".dcm") as copy:
        convert(file.path, file.header, syntax, copy)
        copy.flush()
        converted = FileBytes(copy)
        yield converted, _data_set(converted)


def _data_set(content: FileBytes) -> int:
    _, start = file_meta(content)
    if start >= len(content):
        raise HeaderError("the file has no data set")
    return start
