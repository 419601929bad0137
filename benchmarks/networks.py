"""Networks of one simulated study, in turns: every engine and precision, what the bundles say, and MONAI's own inferer.

Cases: the super-resolution of the three sequences; the windows of the segmentation over the prepared sequences; both
steps as the node runs them, without files. `node` is what the manifests of the bundles say; MONAI is
`SlidingWindowInferer` around the same networks, in torch and float32, with the windows and the overlap of the node.
Networks are converted and run once before the first turn.

    python -m benchmarks.networks
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import SimpleITK as sitk
import torch
import typer
from monai.inferers import SlidingWindowInferer

import models
from benchmarks.comparison import NODE
from benchmarks.record import Row, record
from models.engines.execution import Engine, Execution, Installation, Precision
from models.findings import find_tumours
from models.research.phantom.scanners import find_scanner
from models.research.phantom.study import simulate_case
from models.segmentation.inference import Segmenter, load_segmenter, window_probability
from models.segmentation.network import load_deepest_head
from models.segmentation.preprocessing import prepare_together
from models.sequence import ANALYSED, Sequence
from models.super_resolution.inference import SuperResolver, load_super_resolver, super_resolve
from models.super_resolution.normalisation import intensity_range
from models.volume import Float32

PART = "networks"
WEIGHTS = Path(models.__file__).parent / "weights"
REFERENCE = Execution(engine=Engine.TORCH, precision=Precision.FLOAT32)
MONAI = "MONAI SlidingWindowInferer float32"
#: In-plane size of MONAI's windows for the super-resolution: about the largest that 1 GB of features leaves.
MONAI_PLANE = (192, 192)
Images = Mapping[Sequence, sitk.Image]


@dataclass(frozen=True, slots=True)
class Networks:
    """Both networks in one engine and precision."""

    resolver: SuperResolver
    segmenter: Segmenter

    @classmethod
    def of(cls, installation: Installation) -> Networks:
        """The shipped bundles."""
        return cls(
            load_super_resolver(WEIGHTS / "super-resolution", installation),
            load_segmenter(WEIGHTS / "segmentation", installation),
        )


def main(
    scanner: Annotated[str, typer.Option(help="whose study")] = "Siemens Skyra",
    seed: Annotated[int, typer.Option(help="of the patient")] = 700_001,
    rounds: Annotated[int, typer.Option(min=1, help="turns of each")] = 3,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    folder: Annotated[Path, typer.Option(help="where the study is kept")] = Path("runs/networks"),
) -> None:
    """Measure in turns."""
    torch.set_num_threads(threads)
    images = _study(folder / f"{seed}-{scanner.replace(' ', '-')}", seed, scanner)
    chosen = Networks.of(Installation(threads=threads))
    executions = [Execution(engine=engine, precision=precision) for engine, precision in product(Engine, Precision)]
    others = [execution for execution in executions if execution != chosen.resolver.execution]
    networks = {NODE: chosen} | {str(it): Networks.of(Installation(it.engine, it.precision, threads)) for it in others}
    refined = {sequence: super_resolve(image, chosen.resolver) for sequence, image in images.items()}
    order, settings = chosen.segmenter.manifest.input_sequences, chosen.segmenter.settings
    channels, _ = prepare_together(refined, order, settings.preprocessing)
    for warm in networks.values():
        warm.segmenter.logits(np.zeros((1, len(order), *settings.window), np.float32))
        super_resolve(images[Sequence.DWI], warm.resolver)

    reference = networks[str(REFERENCE)]
    made: dict[str, dict[str, Callable[[], object]]] = {
        "super-resolution of three sequences": {
            **{name: _refining(images, it.resolver) for name, it in networks.items()},
            MONAI: lambda: [_monai_refined(image, reference.resolver) for image in images.values()],
        },
        "segmentation, windows of one reading": {
            **{name: _reading(channels, it.segmenter) for name, it in networks.items()},
            MONAI: lambda: _monai_read(channels, reference.segmenter),
        },
        "both steps of a study": {
            str(REFERENCE): lambda: _both(images, reference),
            NODE: lambda: _both(images, chosen),
        },
    }
    for run in range(1, rounds + 1):
        for case, variants in made.items():
            for variant, work in variants.items():
                began = time.perf_counter()
                work()
                record(Row(PART, case, variant, run, time.perf_counter() - began, "s"))


def _study(folder: Path, seed: int, scanner: str) -> Images:
    """The acquired volumes of a simulated study."""
    if not folder.exists():
        case = simulate_case(seed, find_scanner(scanner))
        folder.mkdir(parents=True)
        for sequence, image in case.images.items():
            sitk.WriteImage(image, folder / f"{sequence}.nrrd")
    return {sequence: sitk.ReadImage(folder / f"{sequence}.nrrd") for sequence in ANALYSED}


def _refining(images: Images, resolver: SuperResolver) -> Callable[[], object]:
    return lambda: [super_resolve(image, resolver) for image in images.values()]


def _reading(channels: Float32, segmenter: Segmenter) -> Callable[[], object]:
    return lambda: window_probability(channels, segmenter.logits, segmenter.settings)


def _both(images: Images, networks: Networks) -> object:
    refined = {sequence: super_resolve(image, networks.resolver) for sequence, image in images.items()}
    return find_tumours(images, refined, networks.segmenter)


def _monai_refined(image: sitk.Image, resolver: SuperResolver) -> torch.Tensor:
    """Thin slices (1, 1, 4 Z, Y, X), before they are brought into agreement with the input."""
    values = sitk.GetArrayFromImage(sitk.Cast(image, sitk.sitkFloat32))
    low, high = intensity_range(values)
    scaled = torch.from_numpy(((values - low) / (high - low)).astype(np.float32))[None, None]
    inferer = SlidingWindowInferer((values.shape[0], *MONAI_PLANE), 1, overlap=0.25, mode="gaussian")
    with torch.inference_mode():
        found: torch.Tensor = inferer(scaled, lambda window: resolver.network(window)[0])
    return found


def _monai_read(channels: Float32, segmenter: Segmenter) -> torch.Tensor:
    """Probabilities (1, C, Z, Y, X)."""
    settings, head = segmenter.settings, load_deepest_head(WEIGHTS / "segmentation")
    inferer = SlidingWindowInferer(settings.window, 1, overlap=settings.overlap, mode="gaussian")
    with torch.inference_mode():
        return torch.sigmoid(inferer(torch.from_numpy(channels)[None], lambda window: head(window)[0]))


if __name__ == "__main__":
    typer.run(main)
