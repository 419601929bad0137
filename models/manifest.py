"""The manifest of a bundle: what it is, how it was made, what was measured, and the digest of each of its files.

A bundle is a folder with `manifest.json` and the files that it names. Reading a manifest needs none of the libraries
that the weights need.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pydantic

from models.engines.execution import Execution
from models.errors import BundleError
from models.sequence import Analysed

MANIFEST_NAME = "manifest.json"
RESEARCH_STATEMENT = "trained on simulated studies; research use only, not for diagnosis"


class Manifest(pydantic.BaseModel):
    """Description of a bundle: what it is, how it was made and what was measured. Unknown keys are refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    name: str = pydantic.Field(min_length=1)
    version: str = pydantic.Field(min_length=1)
    kind: str
    """super-resolution, segmentation or prediction."""
    input_sequences: tuple[Analysed, ...]
    architecture: dict[str, Any]
    """Arguments of the function that builds the network."""
    settings: dict[str, Any] = {}
    """Parameters of preprocessing, inference and postprocessing that belong to these weights."""
    spacing_mm: tuple[float, float, float] | None = None
    """The network's grid (x, y, z; mm); None when it works on the acquired grid."""
    factor: tuple[int, int, int] | None = None
    """Refinement along each index axis (x, y, z)."""
    protocol: dict[Analysed, dict[str, tuple[float, float]]] = {}
    """Lowest and highest value in training of an acquisition parameter, by sequence: tr_ms, te_ms, flip_deg,
    slice_thickness_mm, pixel_spacing_mm (the finer of the two acquired), field_strength_t."""
    execution: Execution | None = None
    """The engine and precision that a measurement chose for these weights (docs/models/engines.md); None: nothing was
    measured."""
    training_data: str
    intended_use: str = RESEARCH_STATEMENT
    metrics: dict[str, Any] = {}
    seed: int
    command: str
    files: dict[str, str] = {}
    """File name -> SHA-256 digest (hex)."""


def load_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in `folder`. Raises BundleError when it is missing or not understood."""
    path = folder / MANIFEST_NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BundleError(f"bundle {folder.name}: {MANIFEST_NAME} is missing") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"bundle {folder.name}: {MANIFEST_NAME}, {where}: {first['msg']}") from error


def manifest_of(folder: Path, kind: str, file: str) -> Manifest:
    """The manifest of the bundle of a kind in `folder`, all of whose files are as it says, among them `file`.

    Raises BundleError when a file is missing or changed, or the bundle is of another kind.
    """
    manifest = load_manifest(folder)
    if manifest.kind != kind:
        raise BundleError(f"bundle {folder.name}: its kind is {manifest.kind}, {kind} is needed")
    check_files(folder, manifest)
    if file not in manifest.files:
        raise BundleError(f"bundle {folder.name}: the manifest does not name {file}")
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raises BundleError when a file of the manifest is missing or has another digest."""
    if not manifest.files:
        raise BundleError(f"bundle {folder.name}: the manifest names no file")
    for name, expected in manifest.files.items():
        path = folder / name
        if Path(name).name != name:
            raise BundleError(f"bundle {folder.name}: {name} is no plain file name")
        if not path.is_file():
            raise BundleError(f"bundle {folder.name}: {name} is missing")
        found = file_digest(path)
        if found != expected:
            raise BundleError(
                f"bundle {folder.name}: {name} has SHA-256 {found[:12]}…, the manifest says {expected[:12]}…"
            )


def digest(manifest: Manifest) -> str:
    """SHA-256 (hex) of the manifest and, through the digests it holds, of all its files."""
    # A key that came later enters where it is said: bundles that were made before keep their digest.
    later = {"execution"} if manifest.execution is None else None
    canonical = manifest.model_dump_json(exclude=later).encode("utf-8")
    return hashlib.sha256(canonical).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
