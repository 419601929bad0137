"""The list of the objects that an analysis made, as a file of the work folder.

Steps hand it on by reference: what a step returns is kept in the database of the workflow, and a study has hundreds
of objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from pydantic import TypeAdapter

from node.errors import PermanentError
from storage.durability import write
from storage.records import ResultRecord

MANIFEST = "results.json"
_RECORDS = TypeAdapter(list[ResultRecord])


class ManifestReference(TypedDict):
    """Name of a manifest in its work folder, and SHA-256 (hex) of its bytes."""

    name: str
    digest: str


def write_manifest(folder: Path, results: Sequence[ResultRecord]) -> ManifestReference:
    """Write the list; the same results give the same bytes.

    Raises:
        OSError: the disk refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = _RECORDS.dump_json(list(results), indent=1)
    write(folder / MANIFEST, data)
    return ManifestReference(name=MANIFEST, digest=hashlib.sha256(data).hexdigest())


def read_manifest(folder: Path, reference: ManifestReference) -> list[ResultRecord]:
    """The results of a manifest.

    Raises:
        OSError: it is not there, or cannot be read.
        PermanentError: it is not the one that was written.
    """
    path = folder / reference["name"]
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != reference["digest"]:
        raise PermanentError(f"{path}: the list of results has changed since it was written: rerun the study")
    return _RECORDS.validate_json(data)


def read_results(path: Path) -> list[ResultRecord]:
    """The results of a manifest to which there is no reference.

    Raises:
        OSError: it is not there, or cannot be read.
        ValidationError: it is none.
    """
    return _RECORDS.validate_json(path.read_bytes())
