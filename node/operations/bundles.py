"""Model bundles: those that are configured, and those that lie beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import BundleError
from models.manifest import Manifest, digest, load_manifest
from node.settings import AnalysisSettings

#: Kind of a bundle -> key of [analysis].
KEYS = {"super-resolution": "super_resolution", "segmentation": "segmentation", "prediction": "prediction"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as its manifest describes it.

    `used_as`: keys of the configuration that name it. `fault`: why it cannot be used, as far as that was looked at;
    what the manifest says is empty where it cannot be read.
    """

    folder: Path
    used_as: tuple[str, ...]
    fault: str = ""
    kind: str = ""
    name: str = ""
    version: str = ""
    digest: str = ""
    training_data: str = ""
    intended_use: str = ""


@dataclass(frozen=True, slots=True)
class Bundles:
    """Several bundles, each once."""

    bundles: tuple[Bundle, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """A bundle that was copied, and the key of the configuration that makes the node use it."""

    bundle: Bundle
    key: str


def described(settings: AnalysisSettings, folders: Sequence[Path] = ()) -> Bundles:
    """Every bundle that is configured, lies beside one that is, or lies in `folders`; reads manifests only."""
    return Bundles(tuple(_described(settings, folder, load_manifest) for folder in _known(settings, folders)))


def verified(settings: AnalysisSettings, folders: Sequence[Path] = ()) -> Bundles:
    """The bundles of `folders`, else all that are known, loaded strictly: digests, tensors, radiomics settings."""
    # Torch, MONAI and catboost take seconds to import; `described` does without them.
    from models import installation

    wanted = [found for folder in folders for found in installation.bundles_in(folder) or (folder,)]
    return Bundles(
        tuple(_described(settings, folder, installation.verify) for folder in wanted or _known(settings, ()))
    )


def add(source: Path, to: Path) -> Added:
    """Verify a bundle, a folder or a zip file with one in it, and copy it into a folder of bundles.

    Raises:
        BundleError: it cannot be used, or another bundle has its name there.
    """
    from models import installation

    place, manifest = installation.add(source, to)
    return Added(_bundle(place, (), manifest), f"analysis.{KEYS[manifest.kind]}")


def _described(settings: AnalysisSettings, folder: Path, read: Callable[[Path], Manifest]) -> Bundle:
    used = tuple(f"analysis.{key}" for key in KEYS.values() if _same(getattr(settings, key), folder))
    try:
        manifest = read(folder)
    except BundleError as error:
        return Bundle(folder, used, str(error))
    return _bundle(folder, used, manifest)


def _bundle(folder: Path, used: tuple[str, ...], manifest: Manifest) -> Bundle:
    return Bundle(
        folder=folder,
        used_as=used,
        kind=manifest.kind,
        name=manifest.name,
        version=manifest.version,
        digest=digest(manifest),
        training_data=manifest.training_data,
        intended_use=manifest.intended_use,
    )


def _known(settings: AnalysisSettings, folders: Sequence[Path]) -> list[Path]:
    """The configured bundles, those that lie beside them, and those in `folders`, each once."""
    found = [*settings.bundles]
    for folder in [*(bundle.parent for bundle in settings.bundles), *folders]:
        found += sorted(
            path.parent for path in (folder / "manifest.json", *folder.glob("*/manifest.json")) if path.exists()
        )
    unique: dict[Path, Path] = {}
    for folder in found:
        unique.setdefault(folder.resolve(), folder)
    return list(unique.values())


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
