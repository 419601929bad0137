"""Model bundles: those that are configured, and those that lie beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.engines.execution import Installation
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


@dataclass(frozen=True, slots=True)
class Trained:
    """The lowest and highest value in training of an acquisition parameter of a sequence."""

    sequence: str
    parameter: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Card:
    """A bundle in use, with all that its manifest says of it.

    Attributes:
        execution: engine and precision of its network here; empty where it has none.
        sequences: that it reads.
        grid: on which it works, or by what it refines, in words; empty: on the grid of the image.
        trained: ranges of its training.
        measured: figures by a path of names, in the order of the manifest.
        command: by which it was made.
        document: what was measured, in the project's documents.
    """

    bundle: Bundle
    execution: str = ""
    sequences: tuple[str, ...] = ()
    grid: str = ""
    trained: tuple[Trained, ...] = ()
    measured: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    command: str = ""
    document: str = ""


#: Kinds of bundles that hold a network.
_NETWORKS = frozenset({"super-resolution", "segmentation"})


def cards(settings: AnalysisSettings) -> tuple[Card, ...]:
    """The bundles in use; of one that cannot be read why not. Reads manifests only."""
    return tuple(_card(settings, folder) for folder in settings.bundles)


def _card(settings: AnalysisSettings, folder: Path) -> Card:
    bundle = _described(settings, folder, load_manifest)
    if bundle.fault:
        return Card(bundle)
    manifest = load_manifest(folder)
    here = Installation(settings.engine, settings.precision)
    return Card(
        bundle=bundle,
        execution=str(here.execution(manifest.execution)) if manifest.kind in _NETWORKS else "",
        sequences=tuple(map(str, manifest.input_sequences)),
        grid=_grid(manifest),
        trained=tuple(
            Trained(str(sequence), name, low, high)
            for sequence, ranges in manifest.protocol.items()
            for name, (low, high) in ranges.items()
        ),
        measured=tuple(_figures(manifest.metrics, "")),
        seed=manifest.seed,
        command=manifest.command,
        document=f"docs/models/{manifest.kind}.md",
    )


def _grid(manifest: Manifest) -> str:
    if manifest.factor:
        return f"refined {' × '.join(map(str, manifest.factor))}"
    return f"{' × '.join(f'{it:g}' for it in manifest.spacing_mm)} mm" if manifest.spacing_mm else ""


def _figures(metrics: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """What was measured, by the path of its names."""
    for name, value in metrics.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _figures(value, f"{path} · ")
        elif isinstance(value, list | tuple):
            yield path, ", ".join(map(_figure, value))
        else:
            yield path, _figure(value)


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def described(settings: AnalysisSettings, folders: Sequence[Path] = ()) -> Bundles:
    """Every bundle that is configured, lies beside one that is, or lies in `folders`; reads manifests only."""
    return Bundles(tuple(_described(settings, folder, load_manifest) for folder in _known(settings, folders)))


def verified(settings: AnalysisSettings, folders: Sequence[Path] = ()) -> Bundles:
    """The bundles of `folders`, else all that are known, loaded strictly: digests, tensors, radiomics settings."""
    # Torch, MONAI and catboost take seconds to import; `described` does without them.
    from models import installation

    wanted = [found for folder in folders for found in installation.bundles_in(folder) or (folder,)]
    return Bundles(
        tuple(
            _described(settings, folder, partial(installation.verify, keys=settings.keys_for(folder)))
            for folder in wanted or _known(settings, ())
        )
    )


def add(source: Path, to: Path, keys: Sequence[Path] = ()) -> Added:
    """Verify a bundle, a folder or a zip file with one in it, and copy it into a folder of bundles.

    `keys`: public ones, by one of which it has to be signed, where there are any.

    Raises:
        BundleError: it cannot be used, is not signed as it has to be, or another bundle has its name there.
    """
    from models import installation

    place, manifest = installation.add(source, to, keys)
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
