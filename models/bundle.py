"""A bundle: a folder with `manifest.json` and the weight files it names, each with its SHA-256 digest.

Weights are safetensors and are loaded strictly: nothing is unpickled, no missing or surplus tensor is
tolerated. Bundles with files of another kind (boosted trees, say) share manifest, digests and `check_files`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pydantic
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from models.errors import BundleError
from models.volume import Sequence

MANIFEST_NAME = "manifest.json"
WEIGHTS_NAME = "weights.safetensors"
RESEARCH_STATEMENT = "trained on simulated studies; research use only, not for diagnosis"


class Manifest(pydantic.BaseModel):
    """What a bundle is, how it was made and what was measured. Unknown keys are refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    name: str = pydantic.Field(min_length=1)
    version: str = pydantic.Field(min_length=1)
    kind: str
    """super-resolution, segmentation or prediction."""
    input_sequences: tuple[Sequence, ...]
    architecture: dict[str, Any]
    """Arguments of the function that builds the network."""
    settings: dict[str, Any] = {}
    """Parameters of preprocessing, inference and postprocessing that belong to these weights."""
    spacing_mm: tuple[float, float, float] | None = None
    """The network's grid (x, y, z; mm); None when it works on the acquired grid."""
    factor: tuple[int, int, int] | None = None
    """Refinement along each index axis (x, y, z)."""
    training_data: str
    intended_use: str = RESEARCH_STATEMENT
    metrics: dict[str, Any] = {}
    seed: int
    command: str
    files: dict[str, str] = {}
    """File name -> SHA-256 digest (hex)."""


def save_weights(folder: Path, manifest: Manifest, network: nn.Module) -> Manifest:
    """Writes the network's state as safetensors and the manifest with its digest; returns that manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / WEIGHTS_NAME, metadata={"name": manifest.name, "version": manifest.version})
    return save_manifest(folder, manifest, (WEIGHTS_NAME,))


def save_manifest(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> Manifest:
    """Writes `manifest.json` with the digests of the files `names`, which must already lie in `folder`."""
    files = {name: file_digest(folder / name) for name in names}
    complete = manifest.model_copy(update={"files": files})
    (folder / MANIFEST_NAME).write_text(complete.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return complete


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


def load_weights(
    folder: Path, build: Callable[[Manifest], nn.Module], kind: str | None = None
) -> tuple[Manifest, nn.Module]:
    """Manifest and network (evaluation mode, CPU) of the bundle in `folder`.

    `build` makes the untrained network from the manifest. `kind`, when given, must be the manifest's.
    Raises BundleError on a wrong kind, digest, tensor name or tensor shape.
    """
    manifest = load_manifest(folder)
    if kind is not None and manifest.kind != kind:
        raise BundleError(f"bundle {folder.name}: its kind is {manifest.kind}, {kind} is needed")
    check_files(folder, manifest)
    if WEIGHTS_NAME not in manifest.files:
        raise BundleError(f"bundle {folder.name}: the manifest does not name {WEIGHTS_NAME}")
    try:
        state = load_file(folder / WEIGHTS_NAME)
    except SafetensorError as error:
        raise BundleError(f"bundle {folder.name}: {WEIGHTS_NAME} is not a safetensors file") from error
    network = _build(folder, manifest, build)
    _check_state(folder, state, network.state_dict())
    network.load_state_dict(state, strict=True)
    return manifest, network.eval()


def digest(manifest: Manifest) -> str:
    """SHA-256 (hex) of the manifest and, through the digests it holds, of all its files."""
    canonical = manifest.model_dump_json().encode("utf-8")
    return hashlib.sha256(canonical).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _build(folder: Path, manifest: Manifest, build: Callable[[Manifest], nn.Module]) -> nn.Module:
    try:
        return build(manifest)
    except (TypeError, ValueError, KeyError) as error:
        raise BundleError(f"bundle {folder.name}: its architecture cannot be built: {error}") from error


def _check_state(folder: Path, found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Says the first difference in words; `load_state_dict` alone would list hundreds of lines."""
    if missing := sorted(wanted.keys() - found.keys()):
        raise BundleError(f"bundle {folder.name}: tensor {missing[0]} is missing")
    if surplus := sorted(found.keys() - wanted.keys()):
        raise BundleError(f"bundle {folder.name}: tensor {surplus[0]} is not part of the network")
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise BundleError(
                f"bundle {folder.name}: tensor {name} has shape {tuple(found[name].shape)}, "
                f"the network needs {tuple(tensor.shape)}"
            )
