"""A pelvis of 32 × 32 × 8 voxels as a scanner writes it, and bundles that were trained on it for seconds.

They are kept in tests/data/tiny, since each worker that trains them takes as long as a hundred tests; made anew by

    python -m tests.node.tiny
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from pydicom import Dataset

import models
from models.manifest import Manifest
from models.research.phantom.scanners import Protocol, find_scanner
from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from models.research.training.bundles import save_weights
from models.research.training.segmentation.loss import soft_dice_loss
from models.segmentation.inference import InferenceSettings
from models.segmentation.network import build_network, final_head
from models.segmentation.preprocessing import PreprocessingSettings, prepare_together
from models.sequence import ANALYSED, Sequence
from models.super_resolution.network import build_generator
from models.volume import resample_onto
from node.settings import AnalysisSettings
from node.simulator.study import instances_of

from .conftest import make_series
from .copies import copied

WEIGHTS = Path(models.__file__).parent / "weights"
TRAINED = Path(__file__).parents[1] / "data" / "tiny"
SIDE, SLICES = 32, 8
PHASE_TIMES_S = (-30.0, 25.0, 70.0)
#: Signal of body, muscle and tumour.
SIGNAL = {"T2WI": (900, 250, 500), "DWI": (150, 120, 700), "PVP": (250, 450, 800)}
FEATURES = (4, 4, 4, 4, 4, 4)
SETTINGS = InferenceSettings(
    preprocessing=PreprocessingSettings(spacing_mm=(10.0, 10.0, 6.0), n4_iterations=(4,)),
    window=(16, 16, 32),
    minimum_peak=0.5,
    minimum_volume_ml=0.1,
)


def pelvis(sequence: str, spacing_mm: float, step_mm: float, signal: float = 1.0, slices: int = SLICES) -> sitk.Image:
    """A body with a rim of fat, and a ball a little behind its middle, which is the tumour."""
    shape = (slices, SIDE, SIDE)
    z, y, x = (axis - size / 2 for axis, size in zip(np.indices(shape, np.float32), shape, strict=True))
    radius = np.hypot(x / (0.46 * SIDE), y / (0.4 * SIDE))
    fat, muscle, tumour = SIGNAL[sequence]
    values = np.where(radius < 1, np.where(radius < 0.85, muscle, fat), 5.0)
    values[(x**2 + (y - 4) ** 2) + (z * step_mm / spacing_mm) ** 2 < 4.5**2] = tumour * signal
    values += np.random.default_rng(len(sequence)).normal(0, 12, values.shape)
    image = sitk.GetImageFromArray(np.rint(np.clip(values, 0, 4000)).astype(np.float32))
    image.SetSpacing((spacing_mm, spacing_mm, step_mm))
    image.SetOrigin((-SIDE * spacing_mm / 2, -SIDE * spacing_mm / 2, -slices * step_mm / 2))
    return image


def centre_of_tumour(name: str) -> tuple[float, ...]:
    """Where the T2WI of the tiny study of a scanner has its tumour, in mm (LPS)."""
    image = pelvis("T2WI", 5.0, find_scanner(name).t2wi.slice_thickness_mm + 1)
    return tuple(image.TransformContinuousIndexToPhysicalPoint((SIDE / 2, SIDE / 2 + 4, SLICES / 2)))


def tiny_study(name: str, slices: int = SLICES) -> SimulatedStudy:
    """What a scanner measures: every series that it would send."""
    scanner = find_scanner(name)

    def made(kind: str, sequence: str, protocol: Protocol, signal: float = 1.0, **more: float) -> SimulatedSeries:
        image = pelvis(sequence, 5.0, protocol.slice_thickness_mm + 1, signal, slices)
        return make_series(kind, image, protocol, **more)

    t2wi, dwi, dce = scanner.t2wi, scanner.dwi, scanner.dce
    return SimulatedStudy(
        seed=7,
        scanner=scanner,
        truth=None,
        series=(
            *(made(kind, "T2WI", t2wi) for kind in ("LOCALIZER", "T2WI_SAG", "T2WI")),
            *(made("DWI", "DWI", dwi, 1 - b / 2000, b_value=b) for b in (0.0, 800.0)),
            made("ADC", "DWI", dwi),
            *(made("DCE", "PVP", dce, 0.5 + at / 140, phase_time_s=at) for at in PHASE_TIMES_S),
            made("SUBTRACTION", "PVP", dce, phase_time_s=PHASE_TIMES_S[-1]),
        ),
    )


def volumes_of(scanner: str) -> Iterator[tuple[str, float, Dataset]]:
    """The images of T2WI, DWI and DCE of the tiny study of a scanner: kind, b-value or phase, data set."""
    for source, instance in instances_of(tiny_study(scanner)):
        if source.kind in ("T2WI", "DWI", "DCE") and source.b_value != 0:
            yield source.kind, source.phase_time_s or source.b_value or 0, copied(instance)


def tiny_bundles() -> AnalysisSettings:
    """Small networks, one of them trained on the tiny pelvis, and the shipped prediction."""
    return AnalysisSettings(
        super_resolution=TRAINED / "super-resolution",
        segmentation=TRAINED / "segmentation",
        prediction=WEIGHTS / "prediction",
        threads=1,
    )


def write_bundles(folder: Path) -> None:
    """The two networks as bundles."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    common = dict(
        command="python -m tests.node.tiny",
        version="0",
        input_sequences=ANALYSED,
        training_data="a drawn pelvis",
        seed=1,
    )
    generator = Manifest(
        name="tiny", kind="super-resolution", factor=(1, 1, 2), architecture={"features": 2, "blocks": 1}, **common
    )
    save_weights(folder / "super-resolution", generator, build_generator(generator))
    segmenter = Manifest(
        name="tiny",
        kind="segmentation",
        architecture={"features": FEATURES},
        settings=SETTINGS.model_dump(mode="json"),
        **common,
    )
    save_weights(folder / "segmentation", segmenter, trained())


def trained(steps: int = 70) -> torch.nn.Module:
    """A network that finds the ball, in all sequences together and in each alone."""
    network = build_network(FEATURES, len(ANALYSED))
    images = {sequence: pelvis(sequence, 5.0, 6.0) for sequence in ANALYSED}
    channels, grid = prepare_together(images, ANALYSED, SETTINGS.preprocessing)
    z, y, x = np.indices((SLICES, SIDE, SIDE), np.float32)
    ball = sitk.GetImageFromArray(
        (((x - SIDE / 2) ** 2 + (y - SIDE / 2 - 4) ** 2 + ((z - SLICES / 2) * 6 / 5) ** 2) < 4.5**2).astype(np.float32)
    )
    ball.CopyInformation(images[Sequence.T2WI])
    wanted = torch.from_numpy(sitk.GetArrayFromImage(resample_onto(ball, grid)))
    pad = [(0, wanted_size - size) for wanted_size, size in zip(SETTINGS.window, channels.shape[1:], strict=True)]
    values = torch.from_numpy(np.pad(channels, [(0, 0), *pad]))[None]
    share = torch.from_numpy(np.pad(wanted.numpy(), pad)).expand(1, len(ANALYSED), -1, -1, -1)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    network.train()
    for step in range(steps):
        optimizer.zero_grad()
        there = [channel for channel in range(len(ANALYSED)) if step % 2 or channel == step // 2 % len(ANALYSED)]
        seen = torch.zeros_like(values)
        seen[:, there] = values[:, there]
        probability = torch.sigmoid(final_head(network(seen)))[:, there]
        truth = share[:, there]
        loss = soft_dice_loss(probability[0], truth[0]) + torch.nn.functional.binary_cross_entropy(probability, truth)
        loss.backward()
        optimizer.step()
    return network.eval()


if __name__ == "__main__":
    write_bundles(TRAINED)
