"""Protocols as they are set up on the day: TR follows the number of slices, the echo time the options chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.research.phantom.scanners import Protocol, Scanner

# Ranges of the factors of TR and TE (assumptions of this simulation).
_T2, _DWI, _DCE = ((0.92, 1.2), (0.94, 1.08)), ((0.92, 1.2), (0.97, 1.08)), ((0.97, 1.05), (0.97, 1.05))


def as_set_up(scanner: Scanner, rng: np.random.Generator) -> Scanner:
    """The scanner with TR and TE of its three protocols moved within what a site does; headers say the same."""
    return replace(
        scanner,
        t2wi=_varied(scanner.t2wi, *_T2, rng),
        dwi=_varied(scanner.dwi, *_DWI, rng),
        dce=_varied(scanner.dce, *_DCE, rng),
    )


def _varied(protocol: Protocol, tr: tuple[float, float], te: tuple[float, float], rng: np.random.Generator) -> Protocol:
    """Whole ms for long times, hundredths for short ones, as scanners round."""

    def rounded(value: float) -> float:
        return float(round(value)) if value > 20 else round(value, 2)

    return replace(
        protocol,
        tr_ms=rounded(protocol.tr_ms * float(rng.uniform(*tr))),
        te_ms=rounded(protocol.te_ms * float(rng.uniform(*te))),
    )
