"""Cases of a cohort for the prediction models: features of its volumes under its masks, kept case by case."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from models.manifest import file_digest
from models.radiomics.settings import load_settings
from models.radiomics.t2_contrast import SpinEcho, spin_echo
from models.research.cohort.reading import read_cohort, volumes_of
from models.research.cohort.records import Case as CohortCase
from models.research.cohort.records import Cohort, Needs, Split
from models.research.errors import CohortError
from models.research.training.prediction.cases import MeasuredCase, at_resolutions, cache_key, keep, measure_case
from models.sequence import Sequence
from models.super_resolution.inference import load_super_resolver
from models.volume import volume_ml

_PROTOCOL_FAULT = (
    "case {}: T2WI.json lacks tr_ms or te_ms; with the field strength they make the contrast of scanners alike"
)


def labelled_cohort(folder: Path, folds: int) -> Cohort:
    """The cohort in `folder` without its cases that have no tumour, fit for a cross-validation of `folds`.

    Raises:
        CohortError: with a line for each fault; a scanner that cannot be left out is one.
    """
    cohort = read_cohort(folder, Needs(labels=True, cases=2 * folds, cases_a_class=folds))
    measured = Cohort(folder, tuple(case for case in cohort.cases if case.facts.tumour))
    fitted = [case.facts for case in measured.cases if case.facts.split is not Split.TEST]
    scanners = Counter(facts.equipment.name for facts in fitted)
    faults = []
    if len(scanners) < 2:
        faults.append("labels.csv: all cases are of one scanner; leaving a scanner out needs two")
    for name in scanners:
        if len({facts.label for facts in fitted if facts.equipment.name != name}) < 2 <= len(scanners):
            faults.append(f"labels.csv: without {name} there is one class only; leaving a scanner out needs two")
    if load_settings().t2wi_reference is not None:
        faults += [_PROTOCOL_FAULT.format(case.facts.case_id) for case in measured.cases if _t2wi(case) is None]
    if faults:
        raise CohortError(tuple(faults))
    return measured


def measured_cases(cohort: Cohort, bundle: Path, cache: Path) -> Iterator[MeasuredCase]:
    """Features of every case in the order of the cohort; those in the cache are read, the others made.

    The cache is keyed by files, super-resolution bundle and code, so that a changed mask is measured again.
    """
    resolver = None
    for number, case in enumerate(cohort.cases):
        path = cache_path(case, bundle, cache)
        if not path.is_file():
            resolver = resolver or load_super_resolver(bundle)
            images, masks = volumes_of(case)
            seconds: dict[str, float] = {}
            volumes = at_resolutions(images, case.slice_thickness_mm, resolver, seconds)
            measured = measure_case(volumes, masks, _t2wi(case), seconds)
            largest = max(volume_ml(mask) for mask in masks.values())
            keep({"volume_ml": largest, "features": measured.features, "seconds": seconds}, [measured], path)
        kept = json.loads(path.read_text("utf-8"))
        facts = case.facts
        yield MeasuredCase(number, facts.equipment.name, int(facts.label or 0), {}, patient=facts.patient_id, **kept)


def _t2wi(case: CohortCase) -> SpinEcho | None:
    known = case.volumes[Sequence.T2WI].acquisition
    return spin_echo(known.get("tr_ms"), known.get("te_ms"), case.facts.equipment.field_strength_t)


def cache_path(case: CohortCase, bundle: Path, cache: Path) -> Path:
    """Where the features of a case are kept."""
    total = hashlib.sha256(repr(_t2wi(case)).encode())
    for sequence, volume in sorted(case.volumes.items()):
        total.update(f"{sequence} {file_digest(volume.image)} ".encode())
        total.update(file_digest(volume.mask).encode() if volume.mask else b"")
    return cache / cache_key(bundle) / f"{case.facts.case_id}-{total.hexdigest()[:16]}.json"
