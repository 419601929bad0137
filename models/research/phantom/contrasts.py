"""The contrasts that an examination holds: each a function from tissue properties to signal.

b-values are not in the table of protocols. Simulated: 0 and 800 s/mm² at 1.5 T, 0 and 1000 s/mm² at 3 T; the ESGAR
consensus asks for a high b-value of at least 800 s/mm² (Beets-Tan et al., Eur Radiol 2018;28:1465-1475).
Diffusion and dynamic series are fat suppressed, T2 is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.research.phantom.contrast_kinetics import enhanced_t1
from models.research.phantom.lattice import Array
from models.research.phantom.scanners import Protocol, Scanner
from models.research.phantom.signal import diffusion_weighted, spoiled_gradient_echo, turbo_spin_echo
from models.research.phantom.specimen import Contrast
from models.research.phantom.tissue import Properties

PHASES = ("PRE", "ARTERIAL", "PORTAL_VENOUS", "DELAYED")
_PHASE_TIMES_S = {"PRE": (-20.0, 3.0), "ARTERIAL": (25.0, 2.0), "PORTAL_VENOUS": (70.0, 3.0), "DELAYED": (120.0, 5.0)}
FAT_WATER = 0.5
"""Tissues of which fat suppression leaves less than this are fat."""
T2_STAR_MS = 25.0
"""Common T2* (ms) of the dynamic series; at an echo time of 1.5 ms it hardly matters."""


def b_values(scanner: Scanner) -> tuple[float, float]:
    """Low and high b-value, s/mm²."""
    return (0.0, 1000.0) if scanner.field_strength_t > 2 else (0.0, 800.0)


def draw_phase_times(rng: np.random.Generator) -> dict[str, float]:
    """Centre of k-space of each dynamic phase, s after injection (before it: negative)."""
    return {
        phase: round(mean + float(rng.uniform(-1, 1)) * jitter, 1) for phase, (mean, jitter) in _PHASE_TIMES_S.items()
    }


@dataclass(frozen=True, slots=True)
class T2Weighted:
    """Fast spin echo without fat suppression; flowing blood loses its signal."""

    protocol: Protocol

    def __call__(self, tissue: Properties) -> Array:
        """Signal of each element."""
        p = self.protocol
        signal = turbo_spin_echo(tissue.pd, tissue.t1, tissue.t2_tse, p.tr_ms, p.te_ms, p.flip_deg)
        return signal * tissue.moving


@dataclass(frozen=True, slots=True)
class DiffusionWeighted:
    """Fat-suppressed diffusion-weighted echo-planar image at one b-value (s/mm²), of water or of fat alone.

    `residue` scales what the suppression leaves of fat: it works better on some scanners and days than on others.
    """

    protocol: Protocol
    b_value: float
    fat: bool = False
    residue: float = 1.0

    def __call__(self, tissue: Properties) -> Array:
        """Signal of each element."""
        p = self.protocol
        is_fat = tissue.water < FAT_WATER
        kept = tissue.water * np.where(is_fat, np.float32(self.residue), np.float32(1)) * (is_fat == self.fat)
        pd = tissue.pd * kept * tissue.moving
        return diffusion_weighted(pd, tissue.t1, tissue.t2, tissue.adc, p.tr_ms, p.te_ms, self.b_value)


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Spoiled gradient echo, `time_s` after injection with the bolus arriving at `arrival_s`; with `fat_shown` fat is
    not suppressed."""

    protocol: Protocol
    field_strength_t: float
    time_s: float
    arrival_s: float
    fat_shown: bool = False

    def __call__(self, tissue: Properties) -> Array:
        """Signal of each element."""
        p = self.protocol
        t1 = enhanced_t1(tissue, self.time_s, self.field_strength_t, self.arrival_s)
        star = np.full_like(t1, T2_STAR_MS)
        pd = tissue.pd if self.fat_shown else tissue.pd * tissue.water
        return spoiled_gradient_echo(pd, t1, star, p.tr_ms, p.te_ms, p.flip_deg)


def brightest(contrast: Contrast, tissues: Properties, quantile: float = 0.95) -> float:
    """A high quantile of the tissues' signals, by which the receiver gain is set."""
    return float(np.quantile(contrast(tissues), quantile))
