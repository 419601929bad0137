"""How fast a study is measured: the node's extraction beside plain pyradiomics, same volumes, masks and settings.

Plain is `RadiomicsFeatureExtractor` on whole exported volumes and masks, one after another. The study is simulated and
super-resolved once and kept in `--folder`. Measured with the shipped settings, and with wavelets besides; ends with an
error where any value differs.

    python -m benchmarks.radiomics
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import SimpleITK as sitk
import typer
from radiomics.featureextractor import RadiomicsFeatureExtractor

from benchmarks.record import Row, record
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
#: Relative difference that the order of additions may make.
_ROUNDING = 1e-9


def main(
    scanner: Annotated[str, typer.Option(help="Whose study.")] = "Siemens Skyra",
    seed: Annotated[int, typer.Option(help="Of the patient.")] = 700_001,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the node.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Plain and node take turns.")] = 3,
    folder: Annotated[Path, typer.Option(help="Where the study is kept.")] = Path("runs/radiomics-speed"),
) -> None:
    """Measure, compare and record."""
    images, masks = _study(folder / f"{seed}-{scanner.replace(' ', '-')}", seed, scanner)
    t2wi = t2wi_protocol(find_scanner(scanner))
    shipped = load_settings(SHIPPED)
    wavelets = shipped.model_copy(update={"image_types": shipped.image_types | {"Wavelet": {"wavelet": "coif1"}}})
    for name, settings in (("shipped settings", shipped), ("shipped settings and wavelets", wavelets)):
        exported = _exported(images, masks, settings, t2wi, folder)
        for run in range(1, rounds + 1):
            begun = time.perf_counter()
            plain = _plain(exported, settings)
            between = time.perf_counter()
            features = measure(images, masks, settings, t2wi, workers).features
            ended = time.perf_counter()
            _require_equal(features, plain)
            case = f"{len(features)} features of a study, {name}, {workers} processes"
            record(Row("radiomics", case, "pyradiomics", run, between - begun, "s"))
            record(Row("radiomics", case, "node", run, ended - between, "s"))


def _study(folder: Path, seed: int, scanner: str) -> tuple[Volumes, dict[Sequence, sitk.Image]]:
    """Whole volumes at normal and super resolution, and one mask a sequence."""
    if not folder.exists():
        case = simulate_case(seed, find_scanner(scanner))
        resolver = load_super_resolver(WEIGHTS / "super-resolution")
        begun = folder.with_suffix(".begun")  # an interrupted run leaves no half of a study under its name
        begun.mkdir(parents=True, exist_ok=True)
        for sequence, image in case.images.items():
            made = {NORMAL: image, SUPER: super_resolve(image, resolver), "mask": case.masks[sequence]}
            for kind, volume in made.items():
                sitk.WriteImage(volume, begun / f"{sequence}.{kind}.nrrd")
        begun.rename(folder)
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
            read = [sitk.ReadImage(path) for path in paths]
            found[f"{sequence}|{resolution}"] = Prepared(read[0], read[1], read[2], made.bin_width)
    return found


def _plain(exported: dict[str, Prepared], settings: RadiomicsSettings) -> dict[str, float]:
    """Two calls a tumour: its shape, and the intensities of its core."""
    found: dict[str, float] = {}
    for name, tumour in exported.items():
        document = settings.pyradiomics(tumour.bin_width)
        shape = document | {"featureClass": {"shape": None}, "imageType": {"Original": {}}}
        others = document | {"featureClass": {it: None for it in document["featureClass"] if it != "shape"}}
        for chosen, mask in ((shape, tumour.whole), (others, tumour.core)):
            values = RadiomicsFeatureExtractor(chosen).execute(tumour.image, mask)
            found |= {f"{name}|{feature}": float(value) for feature, value in values.items()}
    return found


def _require_equal(features: Mapping[str, float], plain: Mapping[str, float]) -> None:
    """End with an error unless both have the same features with the same values."""
    if features.keys() != plain.keys():
        raise SystemExit(f"{len(features.keys() ^ plain.keys())} features are on one side only")
    scale = {name: abs(value) or 1.0 for name, value in plain.items()}
    different = [name for name in plain if abs(features[name] - plain[name]) > _ROUNDING * scale[name]]
    if different:
        raise SystemExit(f"{len(different)} features differ from plain pyradiomics: {', '.join(different[:3])}")


if __name__ == "__main__":
    typer.run(main)
