"""Files on their way out: in which transfer syntaxes, which fit one association, with which file meta information."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from pynetdicom.dsutils import split_dataset

from node.dicom.contexts import MAXIMUM_CONTEXTS
from node.dicom.conversion.convert import TARGETS, convert
from node.dicom.conversion.meta import write_file_meta
from storage.records import InstanceHeader


def candidates(header: InstanceHeader) -> tuple[tuple[str, str], ...]:
    """SOP class and transfer syntax of the contexts that an object can go in, the preferred first.

    As it is stored; beside that what every receiver knows: Implicit VR Little Endian is always proposed (PS3.5 10.1).
    """
    syntaxes = dict.fromkeys((header.transfer_syntax_uid, *map(str, TARGETS)))
    return tuple((header.sop_class_uid, syntax) for syntax in syntaxes)


def batches(files: Sequence[tuple[Path, InstanceHeader]]) -> Iterator[list[tuple[Path, InstanceHeader]]]:
    """Files whose contexts fit one association."""
    batch_of: dict[tuple[tuple[str, str], ...], int] = {}
    number, proposed = 0, set[tuple[str, str]]()
    for _, header in files:
        needed = candidates(header)
        if needed in batch_of:
            continue
        if len(proposed.union(needed)) > MAXIMUM_CONTEXTS:
            number, proposed = number + 1, set()
        proposed.update(needed)
        batch_of[needed] = number
    for wanted in sorted(set(batch_of.values())):
        yield [(path, header) for path, header in files if batch_of[candidates(header)] == wanted]


@contextmanager
def sendable(path: Path, header: InstanceHeader, syntax: str) -> Iterator[Path]:
    """The file, or a passing copy of it in another transfer syntax, or whose file meta information is mended.

    pynetdicom takes the UIDs of the command from the file meta, where tools that give an object a new UID often
    leave the old one; a receiver would refuse the contradiction.

    Raises:
        ConversionError: it cannot be had in that transfer syntax.
        HeaderError: it is cut short or broken.
        OSError: it cannot be read, or no copy be written.
    """
    if syntax == header.transfer_syntax_uid and _agrees(path, header):
        yield path
        return
    with NamedTemporaryFile(suffix=".dcm") as copy:
        if syntax == header.transfer_syntax_uid:
            write_file_meta(copy, header, syntax)
            with path.open("rb") as original:
                original.seek(split_dataset(path)[1])
                shutil.copyfileobj(original, copy)
        else:
            convert(path, header, syntax, copy)
        copy.flush()
        yield Path(copy.name)


def _agrees(path: Path, header: InstanceHeader) -> bool:
    """Whether the file meta information names the object as the data set does."""
    meta, _ = split_dataset(path)
    stated = meta.get("MediaStorageSOPClassUID"), meta.get("MediaStorageSOPInstanceUID")
    return stated == (header.sop_class_uid, header.sop_instance_uid)
