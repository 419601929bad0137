"""The page at the end of a super-resolution training, with sections across the slices of validation volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from lightning_fabric import Fabric

from models.research.training import page
from models.research.training.super_resolution.data import SuperResolutionData
from models.research.training.super_resolution.held_out_image_quality import Trial, judged, learned
from models.super_resolution.inference import SuperResolver

#: Thin slices and columns of a section that are shown, from the middle.
_SHOWN = 160
#: Of `curves.svg`: those that both phases have.
_CURVES = ("l1", "gradient", "validation_l1")


def write_page(
    fabric: Fabric, folder: Path, resolver: SuperResolver, data: SuperResolutionData, recipe: Mapping[str, object]
) -> None:
    """`training.html`, and its curves as `curves.svg`, in the folder of the run."""
    if fabric.logger is not None:
        fabric.logger.experiment.flush()
    manifest = resolver.manifest
    record = page.TrainingRecord(
        title=f"{manifest.name} {manifest.version}",
        statement=manifest.intended_use,
        command=manifest.command,
        curves=page.logged_curves(folder / "log"),
        pictures=[picture for trial in data.examples() for picture in section(trial, resolver)],
        figures={name: value for name, value in manifest.metrics.items() if name != "recipe"},
        recipe={"training data": manifest.training_data, **recipe},
        environment=page.environment(),
        key={},
    )
    (folder / "training.html").write_text(page.training_page(record), "utf-8")
    (folder / "curves.svg").write_text(page.curves_svg({name: record.curves[name] for name in _CURVES}), "utf-8")


def section(trial: Trial, resolver: SuperResolver) -> Iterator[page.Slice]:
    """Across the slices, through the middle row: the input's nearest voxels, cubic B-spline, the result, the truth."""
    found = {it.method: it for it in judged(trial, [learned(resolver, "super_resolution", modality=trial.modality)])}
    true, source = (sitk.GetArrayFromImage(image)[trial.judged] for image in (trial.truth, trial.image))
    columns, _, slices = trial.factor
    row = true.shape[1] // 2
    nearest = source[:, row // trial.factor[1]].repeat(slices, axis=0).repeat(columns, axis=1)
    cubic, made = found["cubic_b_spline"], found["super_resolution"]
    planes = {
        f"{trial.source} {trial.contrast}, input": nearest,
        f"cubic B-spline, {cubic.psnr_db:.1f} dB": cubic.volume[:, row],
        f"result, {made.psnr_db:.1f} dB": made.volume[:, row],
        "truth": true[:, row],
    }
    low, high = np.percentile(true[:, row], (0.5, 99.5))
    for caption, plane in planes.items():
        yield page.Slice(caption, _middle(plane), window=(float(low), float(high)))


def _middle(
    plane: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows, columns = (slice((size - min(size, _SHOWN)) // 2, (size + min(size, _SHOWN)) // 2) for size in plane.shape)
    return plane[rows, columns]
