"""Simulated cases that models are trained on, named by what makes them, and what their headers say."""

from __future__ import annotations

import random
from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

import typer

from models.radiomics.t2_contrast import SpinEcho
from models.research.phantom.scanners import Scanner, load_scanners
from models.sequence import Sequence


@dataclass(frozen=True, slots=True)
class CaseKey:
    """A simulated case by what makes it: the seed of the patient and the scanner that images it."""

    seed: int
    scanner: Scanner


def case_keys(first_seed: int, count: int, scanners: Iterable[Scanner]) -> tuple[CaseKey, ...]:
    """`count` cases with consecutive seeds, the scanners taken in turn."""
    available = tuple(scanners)
    return tuple(CaseKey(first_seed + n, available[n % len(available)]) for n in range(count))


def split_scanners(held_out: SequenceOf[str]) -> tuple[tuple[Scanner, ...], tuple[Scanner, ...]]:
    """Scanners to train on and scanners to test on only, by model name."""
    scanners = load_scanners()
    if strange := set(held_out) - {scanner.model for scanner in scanners}:
        raise typer.BadParameter(f"no scanner model is called {sorted(strange)[0]}")
    known = tuple(scanner for scanner in scanners if scanner.model not in held_out)
    return known, tuple(scanner for scanner in scanners if scanner.model in held_out)


def split_cases(keys: SequenceOf[CaseKey], seed: int) -> tuple[list[CaseKey], list[CaseKey]]:
    """Random split 8:2 by case, so that the sequences of a patient stay together."""
    shuffled = list(keys)
    random.Random(seed).shuffle(shuffled)
    count = round(0.8 * len(shuffled))
    return shuffled[:count], shuffled[count:]


def t2wi_protocol(scanner: Scanner) -> SpinEcho:
    """Of the T2WI, as the headers of that scanner say it."""
    protocol = scanner.t2wi
    return SpinEcho(tr_ms=protocol.tr_ms, te_ms=protocol.te_ms, field_strength_t=scanner.field_strength_t)


def slice_thickness_mm(scanner: Scanner) -> dict[Sequence, float]:
    """Of the slices of each sequence, as the headers of that scanner say it."""
    protocols = {Sequence.T2WI: scanner.t2wi, Sequence.DWI: scanner.dwi, Sequence.PVP: scanner.dce}
    return {sequence: protocol.slice_thickness_mm for sequence, protocol in protocols.items()}
