"""Every method on every real series, with and without painted tumours: case by case, kept, so that a run goes on.

Found: the mask has an intersection over union of 0.1 or more with the true one, as a lesion is hit in PI-CAI (Saha et
al., Lancet Oncol 2024;25:879-887). A false finding is a connected part of a mask that touches no true voxel.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from models.findings import reviewed
from models.manifest import digest, load_manifest
from models.research.evaluation.overlap import compare
from models.research.evaluation.pelvis.cases import Images, Pelvis, pelvis_of, sets_of
from models.research.evaluation.pelvis.controls import Masks, blind, brightest_dwi
from models.research.evaluation.pelvis.patients import PelvicPatient, pelvic_patients
from models.research.evaluation.pelvis.plan import SIZES_ML, Implant, implants
from models.research.networks import tumour_mask
from models.research.source_digest import source_digest
from models.segmentation.inference import Segmenter, load_segmenter, read_together
from models.sequence import Sequence
from models.volume import grid_of, image_from

HIT = 0.1


class Method(StrEnum):
    """Ways to a mask."""

    NETWORK = "network"
    GATED = "network, with the node's gate"
    BLIND = "no image information"
    BRIGHTEST = "largest bright DWI at the rectum"


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one set of sequences of one case; `size_ml` 0: no tumour.

    found: in any sequence; dice: mean over the sequences; false_findings, false_ml: of the sequence with most.
    """

    patient: str
    size_ml: float
    number: int
    sequences: str
    method: str
    found: bool
    dice: float
    false_findings: int
    false_ml: float


def evaluate(data: Path, bundle: Path, cache: Path, count: int, minutes: float | None = None) -> Iterator[list[Row]]:
    """The rows of all patients without and with their first `count` tumours of each size; those in `cache` are read.

    All patients come in turn, so that a run that ends early has judged each alike: after some `minutes` no case is
    begun that is not in `cache`.
    Raises BundleError and VolumeError when the bundle or a series is missing.
    """
    folder = cache / _key(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    pelvises = {patient.name: pelvis_of(patient, data) for patient in pelvic_patients()}
    segmenter = load_segmenter(bundle)
    began = time.monotonic()
    for patient, implant in _cases(count):
        path = folder / f"{patient.name}-{'free' if implant is None else f'{implant.size_ml:g}-{implant.number}'}.json"
        if not path.is_file():
            if minutes is not None and time.monotonic() - began > 60 * minutes:
                continue
            rows = list(judged(pelvises[patient.name], implant, pelvises, segmenter))
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps([asdict(row) for row in rows]), "utf-8")
            partial.replace(path)
        yield [Row(**row) for row in json.loads(path.read_text("utf-8"))]


def cases_in_all(count: int) -> int:
    """How many cases `evaluate` judges."""
    return len(list(_cases(count)))


def judged(
    pelvis: Pelvis, implant: Implant | None, pelvises: Mapping[str, Pelvis], segmenter: Segmenter
) -> Iterator[Row]:
    """Every method on every set of sequences of one case."""
    images: Images = pelvis.images
    true = {
        sequence: image_from(np.zeros_like(sitk.GetArrayViewFromImage(it), np.uint8), grid_of(it))
        for sequence, it in images.items()
    }
    if implant is not None:
        painted = pelvis.with_tumour(implant)
        images = {sequence: it.image for sequence, it in painted.items()}
        true = {sequence: it.mask for sequence, it in painted.items()}
    others = [it for name, it in pelvises.items() if name != pelvis.patient.name]
    size, number = (implant.size_ml, implant.number) if implant else (0.0, 0)
    for names in sets_of(images):
        for method, masks in _masks(pelvis, images, names, others, segmenter):
            verdict = judge(masks, {name: true[name] for name in names})
            yield Row(pelvis.patient.name, size, number, "+".join(names), method.value, *verdict)


def judge(found: Masks, true: Mapping[Sequence, sitk.Image]) -> tuple[bool, float, int, float]:
    """Whether the tumour is found, mean Dice, number and volume (ml) of false findings."""
    overlaps = [compare(found[sequence], mask) for sequence, mask in true.items()]
    false = [_false(found[sequence], mask) for sequence, mask in true.items()]
    hits = [it.dice / (2 - it.dice) >= HIT and it.true_volume_ml > 0 for it in overlaps]
    return any(hits), round(float(np.mean([it.dice for it in overlaps])), 4), *max(false)


def _false(found: sitk.Image, true: sitk.Image) -> tuple[int, float]:
    parts = sitk.GetArrayFromImage(sitk.ConnectedComponent(found, True))
    touched = np.unique(parts[sitk.GetArrayViewFromImage(true) > 0])
    false = ~np.isin(parts, touched) & (parts > 0)
    voxel_ml = float(np.prod(found.GetSpacing())) / 1000
    return len(np.unique(parts[false])), round(float(false.sum()) * voxel_ml, 2)


def _masks(
    pelvis: Pelvis, images: Images, names: SequenceOf[Sequence], others: SequenceOf[Pelvis], segmenter: Segmenter
) -> Iterator[tuple[Method, Masks]]:
    chosen = {name: images[name] for name in names}
    reading = read_together(chosen, segmenter)
    yield (
        Method.NETWORK,
        {name: tumour_mask(reading.probabilities[name], chosen[name], segmenter) for name in names},
    )
    kept = reviewed(reading, chosen, chosen, segmenter).tumours
    yield Method.GATED, {name: kept[name].mask for name in names}
    yield Method.BLIND, blind(pelvis, others, names)
    if Sequence.DWI in names:
        yield Method.BRIGHTEST, brightest_dwi(pelvis, images, names)


def _cases(count: int) -> Iterator[tuple[PelvicPatient, Implant | None]]:
    patients = pelvic_patients()
    yield from ((patient, None) for patient in patients)
    planned: Iterable[tuple[PelvicPatient, Implant]] = (
        (patient, implant)
        for number in range(count)
        for size in SIZES_ML
        for patient in patients
        for implant in implants(patient.name)
        if (implant.number, implant.size_ml) == (number, size)
    )
    yield from planned


def _key(bundle: Path) -> str:
    """Of the bundle, weights and manifest, and of the code and tables that make and judge the cases (hex, 16)."""
    return hashlib.sha256(f"{digest(load_manifest(bundle))} {source_digest(__name__)}".encode()).hexdigest()[:16]
