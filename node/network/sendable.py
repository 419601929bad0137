"""Files on their way out: which fit one association, and with which file meta information."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydicom.uid import UID
from pynetdicom.dsutils import create_file_meta, encode_file_meta, split_dataset

from node.network.contexts import MAXIMUM_CONTEXTS
from storage.records import InstanceHeader


def pair(header: InstanceHeader) -> tuple[str, str]:
    """What a presentation context is needed for: SOP class and transfer syntax."""
    return header.sop_class_uid, header.transfer_syntax_uid


def batches(files: Sequence[tuple[Path, InstanceHeader]]) -> Iterator[list[tuple[Path, InstanceHeader]]]:
    """Files whose contexts fit one association."""
    of_pair: dict[tuple[str, str], int] = {}
    for _, header in files:
        of_pair.setdefault(pair(header), len(of_pair) // MAXIMUM_CONTEXTS)
    for number in sorted(set(of_pair.values())):
        yield [(path, header) for path, header in files if of_pair[pair(header)] == number]


@contextmanager
def agreeing(path: Path, header: InstanceHeader) -> Iterator[Path]:
    """The file, or a passing copy whose file meta information agrees with the data set.

    pynetdicom takes the UIDs of the command from the file meta, where tools that give an object a new UID often
    leave the old one; a receiver would refuse the contradiction.
    """
    meta, offset = split_dataset(path)
    stated = meta.get("MediaStorageSOPClassUID"), meta.get("MediaStorageSOPInstanceUID")
    if stated == (header.sop_class_uid, header.sop_instance_uid):
        yield path
        return
    agreeing = create_file_meta(
        sop_class_uid=UID(header.sop_class_uid),
        sop_instance_uid=UID(header.sop_instance_uid),
        transfer_syntax=UID(header.transfer_syntax_uid),
    )
    with NamedTemporaryFile(suffix=".dcm") as copy, path.open("rb") as original:
        copy.write(bytes(128) + b"DICM" + encode_file_meta(agreeing))
        original.seek(offset)
        shutil.copyfileobj(original, copy)
        copy.flush()
        yield Path(copy.name)
