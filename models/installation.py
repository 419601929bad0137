"""Bundles on disk: what lies in a folder, whether the node could run with it, and how a new one gets there."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.errors import BundleError, ModelError
from models.manifest import MANIFEST_NAME, Manifest, check_files, digest, load_manifest
from models.prediction.predictor import load_predictor
from models.radiomics.extraction import require_complete
from models.segmentation.inference import load_segmenter
from models.signature import SIGNATURE_NAME, signer
from models.super_resolution.inference import load_super_resolver

#: A bundle that unpacks to more is refused before it fills the disk.
LARGEST_BYTES = 8_000_000_000


def _load_measurable_predictor(folder: Path) -> None:
    settings = load_predictor(folder).radiomics
    try:
        require_complete(settings)
    except ModelError as error:
        raise BundleError(f"bundle {folder.name}: its features cannot be measured here: {error}") from error


_LOADERS: dict[str, Callable[[Path], object]] = {
    "super-resolution": load_super_resolver,
    "segmentation": load_segmenter,
    "prediction": _load_measurable_predictor,
}


def bundles_in(folder: Path) -> tuple[Path, ...]:
    """The bundles that lie in a folder, or the folder itself where it is one; in the order of their names."""
    if (folder / MANIFEST_NAME).is_file():
        return (folder,)
    return tuple(sorted(path.parent for path in folder.glob(f"*/{MANIFEST_NAME}")))


def verify(folder: Path, keys: Sequence[Path] = ()) -> Manifest:
    """The manifest of a bundle that the node could run with: digests, every tensor's name and shape, settings.

    `keys`: public ones, by one of which it has to be signed, where there are any.

    Raises:
        BundleError: a file is missing or changed, the kind is not known, or the weights do not fit their network or,
            of a prediction, pyradiomics does not give the features of its settings; it is not signed as it has to be.
    """
    manifest = load_manifest(folder)
    if keys:
        signer(folder, keys)
    if manifest.kind not in _LOADERS:
        raise BundleError(f"bundle {folder.name}: its kind is {manifest.kind}; known are {', '.join(_LOADERS)}")
    check_files(folder, manifest)
    _LOADERS[manifest.kind](folder)
    return manifest


def add(source: Path, folder: Path, keys: Sequence[Path] = ()) -> tuple[Path, Manifest]:
    """Copy a bundle, a folder or a zip file, into `folder` under its name and version; what it was verified as.

    Only the manifest, its signature and the files that it names are copied. Adding the same bundle again changes
    nothing. `keys`: as of `verify`.

    Raises:
        BundleError: it does not verify, or another bundle has its name and version already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=folder) as scratch, _opened(source, scratch) as found:
        manifest = load_manifest(found)
        place = folder / _folder_name(manifest)
        partial = Path(scratch) / "verified" / place.name
        _copy(found, partial, manifest)
        verify(partial, keys)
        if place.exists():
            if digest(load_manifest(place)) != digest(manifest):
                raise BundleError(f"bundle {place.name}: another one of this name and version lies in {folder}")
            verify(place, keys)
        else:
            os.replace(partial, place)
    return place, manifest


def _folder_name(manifest: Manifest) -> str:
    name = f"{manifest.name}-{manifest.version}"
    if name.startswith(".") or not all(letter.isalnum() or letter in "._-+" for letter in name):
        raise BundleError(f"bundle {name!r}: name and version hold more than letters, digits, dot, hyphen and plus")
    return name


def _copy(source: Path, target: Path, manifest: Manifest) -> None:
    check_files(source, manifest)
    target.mkdir(parents=True)
    signature = (SIGNATURE_NAME,) if (source / SIGNATURE_NAME).is_file() else ()
    for name in (MANIFEST_NAME, *signature, *manifest.files):
        shutil.copyfile(source / name, target / name)


@contextmanager
def _opened(source: Path, scratch: str) -> Iterator[Path]:
    """The folder of a bundle that is a folder already or a zip file with one bundle in it."""
    if source.is_dir():
        yield _only(source, source)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > LARGEST_BYTES:
                raise BundleError(
                    f"{source.name}: unpacks to {size / 1e9:.1f} GB, {LARGEST_BYTES / 1e9:.0f} are allowed"
                )
            unpacked = Path(scratch) / "unpacked"
            archive.extractall(unpacked)  # leaves out drives, roots and parents in names
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise BundleError(f"{source}: neither a folder nor a zip file that can be read: {error}") from error
    yield _only(unpacked, source)


def _only(folder: Path, source: Path) -> Path:
    found = bundles_in(folder)
    if len(found) != 1:
        raise BundleError(
            f"{source}: {len(found)} bundles in there; one {MANIFEST_NAME} is wanted, at the top or one below"
        )
    return found[0]
