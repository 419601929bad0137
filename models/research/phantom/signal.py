"""Signal equations: spin echo, diffusion-weighted echo-planar imaging, spoiled gradient echo. Times in ms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]


def spin_echo(pd: Values, t1: Values, t2: Values, tr_ms: float, te_ms: float, excitation_deg: float = 90.0) -> Values:
    """Steady state of a spin echo with excitation by `excitation_deg` and refocusing by 180°.

    S = PD sin a (1 - 2 exp(-(TR - TE/2)/T1) + exp(-TR/T1)) / (1 + cos a exp(-TR/T1)) exp(-TE/T2)
    (DiIorio et al., Magn Reson Imaging 1995;13:39-44).
    """
    angle = np.float32(np.deg2rad(excitation_deg))
    recovery = np.exp(-tr_ms / t1)
    inverted = np.exp(-(tr_ms - te_ms / 2) / t1)
    longitudinal = (1 - 2 * inverted + recovery) / (1 + np.cos(angle) * recovery)
    return np.asarray(pd * np.sin(angle) * longitudinal * np.exp(-te_ms / t2), dtype=np.float32)


def turbo_spin_echo(pd: Values, t1: Values, t2: Values, tr_ms: float, te_ms: float, flip_deg: float) -> Values:
    """Fast spin echo at effective echo time `te_ms`.

    A printed flip angle of up to 90° is taken as the excitation; a larger one as the refocusing angle after a 90°
    excitation, whose pseudo steady state keeps sin(angle/2) of the signal (Alsop, Magn Reson Med 1997;37:176-184).
    """
    if flip_deg <= 90:
        return spin_echo(pd, t1, t2, tr_ms, te_ms, flip_deg)
    kept = np.float32(np.sin(np.deg2rad(flip_deg) / 2))
    return np.asarray(kept * spin_echo(pd, t1, t2, tr_ms, te_ms), dtype=np.float32)


def diffusion_weighted(
    pd: Values, t1: Values, t2: Values, adc: Values, tr_ms: float, te_ms: float, b_value: float
) -> Values:
    """Spin-echo EPI with diffusion weighting: S = S_spin_echo exp(-b ADC); b in s/mm², ADC in mm²/s.

    The maps have one shape; T1 and T2 in ms.
    """
    return np.asarray(spin_echo(pd, t1, t2, tr_ms, te_ms) * np.exp(-b_value * adc), dtype=np.float32)


def spoiled_gradient_echo(
    pd: Values, t1: Values, t2_star: Values, tr_ms: float, te_ms: float, flip_deg: float
) -> Values:
    """Ernst formula: S = PD sin a (1 - E1)/(1 - cos a E1) exp(-TE/T2*), E1 = exp(-TR/T1).

    The maps have one shape; T1 and T2 in ms.
    """
    angle = np.float32(np.deg2rad(flip_deg))
    recovery = np.exp(-tr_ms / t1)
    longitudinal = (1 - recovery) / (1 - np.cos(angle) * recovery)
    return np.asarray(pd * np.sin(angle) * longitudinal * np.exp(-te_ms / t2_star), dtype=np.float32)
