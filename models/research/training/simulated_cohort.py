"""A simulated cohort in the layout of a real one, so that everything can be tried before there is patient data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import SimpleITK as sitk

from models.research.cohort.records import CaseFacts, Equipment
from models.research.cohort.writing import NewVolume, write_case, written_cases
from models.research.phantom.cohort import simulate_cohort
from models.research.phantom.scanners import Scanner
from models.research.phantom.study import SimulatedCase
from models.research.training.protocol_range import acquisition
from models.sequence import Sequence


def case_id(seed: int) -> str:
    """The case of a simulated patient."""
    return f"sim-{seed:06d}"


def write_simulated_cohort(
    folder: Path, seeds: Iterable[int], track: Callable[[list[int]], Iterable[int]] = list
) -> int:
    """Write one case a seed, whole fields of view, each on the scanner that the patient is sent to.

    Cases that are there already are left alone. `track` goes round the seeds that are simulated. Returns how many
    were written.

    Raises:
        CohortError: the table in `folder` cannot be understood.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = {facts.case_id for facts in written_cases(folder)}
    missing = [seed for seed in seeds if case_id(seed) not in known]
    for case in simulate_cohort(track(missing), region=None):
        write_case(folder, _facts(case), _volumes(case))
    return len(missing)


def _facts(case: SimulatedCase) -> CaseFacts:
    scanner = case.scanner
    return CaseFacts(
        case_id=case_id(case.seed),
        patient_id=case_id(case.seed),
        equipment=Equipment(scanner.manufacturer, scanner.model, scanner.field_strength_t),
        label=case.label,
        tumour=any(sitk.GetArrayViewFromImage(mask).any() for mask in case.masks.values()),
        clinical={"tumour_volume_ml": f"{case.tumour_volume_ml:.2f}"},
    )


def _volumes(case: SimulatedCase) -> dict[Sequence, NewVolume]:
    return {
        sequence: NewVolume(image, case.masks[sequence], _acquisition(case.scanner, sequence))
        for sequence, image in case.images.items()
    }


def _acquisition(scanner: Scanner, sequence: Sequence) -> dict[str, float]:
    protocols = {Sequence.T2WI: scanner.t2wi, Sequence.DWI: scanner.dwi, Sequence.PVP: scanner.dce}
    return acquisition(protocols[sequence], scanner.field_strength_t)
