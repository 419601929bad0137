"""Simulated cases prepared for segmentation training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from inspect import getfile
from pathlib import Path

from models import rounding, volume
from models.radiomics.t2_contrast import SpinEcho
from models.research import phantom
from models.research.phantom.scanners import Scanner
from models.research.phantom.study import simulate_case
from models.research.training.prepared_cases import PreparedCase, Volumes, prepared
from models.segmentation import preprocessing
from models.segmentation.preprocessing import PreprocessingSettings
from models.volume import Sequence


@dataclass(frozen=True, slots=True)
class CaseKey:
    """What makes a simulated case: the seed of the patient and the scanner that images it."""

    seed: int
    scanner: Scanner


def case_keys(first_seed: int, count: int, scanners: Iterable[Scanner]) -> tuple[CaseKey, ...]:
    """`count` cases with consecutive seeds, the scanners taken in turn."""
    available = tuple(scanners)
    return tuple(CaseKey(first_seed + n, available[n % len(available)]) for n in range(count))


@lru_cache
def source_digest() -> str:
    """Digest of the sources that make and prepare a case, so that cached cases of older code are never used."""
    total = hashlib.sha256()
    preparing = (Path(getfile(module)) for module in (preprocessing, volume, rounding))
    for path in (*sorted(Path(phantom.__file__).parent.glob("*.*")), *preparing):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def prepared_case(
    key: CaseKey, sequences: tuple[Sequence, ...], settings: PreprocessingSettings, cache: Path
) -> PreparedCase:
    """The case with `sequences` as channels, from `cache` where it is there already."""

    def simulate() -> tuple[Volumes, Volumes]:
        case = simulate_case(key.seed, key.scanner)
        return case.images, case.masks

    recipe = hashlib.sha256(f"{settings.model_dump_json()} {sequences}".encode()).hexdigest()[:8]
    path = cache / source_digest() / f"{key.seed}-{key.scanner.model.replace(' ', '')}-{recipe}.npz"
    return prepared(f"{key.seed} {key.scanner.model}", path, simulate, sequences, settings)


def t2wi_protocol(scanner: Scanner) -> SpinEcho:
    """Of the T2WI, as the headers of that scanner say it."""
    protocol = scanner.t2wi
    return SpinEcho(tr_ms=protocol.tr_ms, te_ms=protocol.te_ms, field_strength_t=scanner.field_strength_t)


def slice_thickness_mm(scanner: Scanner) -> dict[Sequence, float]:
    """Of the slices of each sequence, as the headers of that scanner say it."""
    protocols = {Sequence.T2WI: scanner.t2wi, Sequence.DWI: scanner.dwi, Sequence.PVP: scanner.dce}
    return {sequence: protocol.slice_thickness_mm for sequence, protocol in protocols.items()}
