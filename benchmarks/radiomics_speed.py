"""How fast a study is measured: the node's extraction beside plain pyradiomics, same volumes, masks and settings.

Plain is `RadiomicsFeatureExtractor` on whole exported volumes and masks, one after another. The study is simulated and
super-resolved once and kept in `--folder`. Prints the median of the rounds, and how far any value differs.

    python benchmarks/radiomics_speed.py
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Annotated

import SimpleITK as sitk
import typer
from radiomics.featureextractor import RadiomicsFeatureExtractor
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from models.analysis import NORMAL, SUPER, contrast_stretch, mask_on, measure
from models.radiomics.preparation import Prepared, scaled
from models.radiomics.settings import SHIPPED, RadiomicsSettings, load_settings
from models.radiomics.t2_contrast import SpinEcho
from models.research.phantom.scanners import find_scanner
from models.research.phantom.study import simulate_case
from models.research.training.simulated_cases import t2wi_protocol
from models.sequence import ANALYSED, Sequence
from models.super_resolution.inference import load_super_resolver, super_resolve
from models.volume import grid_of

WEIGHTS = Path(__file__).parents[1] / "models" / "weights"
Volumes = dict[Sequence, dict[str, sitk.Image]]
console = Console()


def main(
    scanner: Annotated[str, typer.Option(help="Whose study.")] = "Siemens Skyra",
    seed: Annotated[int, typer.Option(help="Of the patient.")] = 700_001,
    settings: Annotated[Path, typer.Option(help="Radiomics settings.")] = SHIPPED,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the node.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Plain and node take turns.")] = 3,
    folder: Annotated[Path, typer.Option(help="Where the study is kept.")] = Path("runs/radiomics-speed"),
) -> None:
    """Measure, compare and print."""
    loaded = load_settings(settings)
    images, masks = _study(folder / f"{seed}-{scanner.replace(' ', '-')}", seed, scanner)
    t2wi = t2wi_protocol(find_scanner(scanner))
    exported = _exported(images, masks, loaded, t2wi, folder)
    times: dict[str, list[float]] = {"plain": [], "node": []}
    difference = 0.0
    for _ in range(rounds):
        begun = time.perf_counter()
        plain = _plain(exported, loaded)
        times["plain"].append(time.perf_counter() - begun)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("node", total=1.0)
            begun = time.perf_counter()
            features = measure(
                images, masks, loaded, t2wi, workers, lambda share, task=task: progress.update(task, completed=share)
            ).features
            times["node"].append(time.perf_counter() - begun)
        if features.keys() != plain.keys():
            raise SystemExit(f"{len(features.keys() ^ plain.keys())} features are on one side only")
        difference = max(difference, *(_relative(features[name], plain[name]) for name in plain))
    _print(times, len(features), difference, workers)


def _study(folder: Path, seed: int, scanner: str) -> tuple[Volumes, dict[Sequence, sitk.Image]]:
    """Whole volumes at normal and super resolution, and one mask a sequence."""
    if not folder.exists():
        case = simulate_case(seed, find_scanner(scanner))
        resolver = load_super_resolver(WEIGHTS / "super-resolution")
        folder.mkdir(parents=True)
        for sequence, image in track(case.images.items(), "super-resolution", console=console, transient=True):
            made = {NORMAL: image, SUPER: super_resolve(image, resolver), "mask": case.masks[sequence]}
            for kind, volume in made.items():
                sitk.WriteImage(volume, folder / f"{sequence}.{kind}.nrrd")
    images = {
        sequence: {kind: sitk.ReadImage(folder / f"{sequence}.{kind}.nrrd") for kind in (NORMAL, SUPER)}
        for sequence in ANALYSED
    }
    return images, {sequence: sitk.ReadImage(folder / f"{sequence}.mask.nrrd") for sequence in ANALYSED}


def _exported(
    images: Volumes, masks: dict[Sequence, sitk.Image], settings: RadiomicsSettings, t2wi: SpinEcho, folder: Path
) -> dict[str, Prepared]:
    """Every tumour as it comes back from NIfTI files; reading them is not timed."""
    found = {}
    for sequence, by_resolution in images.items():
        stretch = contrast_stretch(sequence, settings, t2wi) or 1.0
        for resolution, image in by_resolution.items():
            made = scaled(image, mask_on(masks[sequence], grid_of(image)), settings, stretch)
            paths = [folder / f"{sequence}-{resolution}-{kind}.nii" for kind in ("image", "core", "whole")]
            for volume, path in zip((made.image, made.core, made.whole), paths, strict=True):
                sitk.WriteImage(volume, path)
            found[f"{sequence}|{resolution}"] = Prepared(*map(sitk.ReadImage, paths), made.bin_width)
    return found


def _plain(exported: dict[str, Prepared], settings: RadiomicsSettings) -> dict[str, float]:
    """Two calls a tumour: its shape, and the intensities of its core."""
    found: dict[str, float] = {}
    for name, tumour in track(exported.items(), "plain", console=console, transient=True):
        document = settings.pyradiomics(tumour.bin_width)
        shape = document | {"featureClass": {"shape": None}, "imageType": {"Original": {}}}
        others = document | {"featureClass": {it: None for it in document["featureClass"] if it != "shape"}}
        for chosen, mask in ((shape, tumour.whole), (others, tumour.core)):
            values = RadiomicsFeatureExtractor(chosen).execute(tumour.image, mask)
            found |= {f"{name}|{feature}": float(value) for feature, value in values.items()}
    return found


def _relative(value: float, expected: float) -> float:
    return abs(value - expected) / abs(expected) if expected else abs(value)


def _print(times: dict[str, list[float]], features: int, difference: float, workers: int) -> None:
    table = Table(title=f"{features} features of a study, {workers} processes, median of {len(times['node'])} rounds")
    for name in ("extraction", "s", "all rounds"):
        table.add_column(name)
    for name, found in times.items():
        table.add_row(name, f"{statistics.median(found):.2f}", ", ".join(f"{seconds:.2f}" for seconds in found))
    console.print(table)
    ratio = statistics.median(a / b for a, b in zip(times["plain"], times["node"], strict=True))
    console.print(f"plain / node: {ratio:.2f}; largest relative difference of a value: {difference:.1e}")


if __name__ == "__main__":
    typer.run(main)
