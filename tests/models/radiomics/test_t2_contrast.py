"""Features of T2WI as a reference protocol would give them, whatever TR, TE and field strength were."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from models.analysis import measure
from models.radiomics.settings import load_settings
from models.radiomics.t2_contrast import (
    FIELD_POWER,
    T1_WITH_T2,
    TUMOUR_T1_3T_MS,
    TUMOUR_T2_MS,
    SpinEcho,
    spin_echo,
    stretch_to,
    t2_contrast,
)
from models.research.phantom.scanners import load_scanners
from models.research.phantom.signal import turbo_spin_echo
from models.research.training.simulated_cases import t2wi_protocol
from models.sequence import Sequence
from models.volume import Grid, image_from

from .measured import extract

SETTINGS = load_settings().model_copy(update={"image_types": {"Original": {}}, "surroundings_mm": None})
REFERENCE = SETTINGS.t2wi_reference
GRID = Grid((40, 40, 12), (1.0, 1.0, 4.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
PROTOCOLS = [t2wi_protocol(scanner) for scanner in load_scanners()]


def t1_ms(protocol: SpinEcho, relative):
    """T1 of a tumour whose T2 is `relative` times the usual one."""
    return TUMOUR_T1_3T_MS * (protocol.field_strength_t / 3) ** FIELD_POWER * relative**T1_WITH_T2


def tumour(protocol: SpinEcho):
    """The same uneven tumour, T1 going with T2, as a spin echo of that protocol shows it; and its mask."""
    uneven = gaussian_filter(np.random.default_rng(6).normal(size=GRID.size[::-1]), (0.5, 2, 2))
    relative = np.exp(0.12 * uneven / uneven.std())
    t1 = t1_ms(protocol, relative)
    values = turbo_spin_echo(
        np.float32(900), t1, TUMOUR_T2_MS * relative, protocol.tr_ms, protocol.te_ms, flip_deg=180.0
    )
    z, y, x = np.indices(values.shape)
    mask = ((z - 5.5) * 4) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 15**2
    return image_from(values, GRID), image_from(mask.astype(np.uint8), GRID)


def heterogeneity(protocol: SpinEcho, stretch: float) -> float:
    """Interquartile range as a share of the median."""
    found = extract(*tumour(protocol), SETTINGS, stretch)
    return found["original_firstorder_InterquartileRange"] / found["original_firstorder_Median"]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_the_contrast_is_the_derivative_of_the_signal(protocol):
    def signal(relative: float) -> float:
        return (1 - np.exp(-protocol.tr_ms / t1_ms(protocol, relative))) * np.exp(
            -protocol.te_ms / (TUMOUR_T2_MS * relative)
        )

    step = 1e-4
    slope = (np.log(signal(1 + step)) - np.log(signal(1 - step))) / (2 * step)
    assert t2_contrast(protocol) == pytest.approx(slope, abs=1e-5)


def test_the_same_tumour_is_equally_heterogeneous_on_every_scanner():
    reference = heterogeneity(REFERENCE, 1.0)
    as_acquired = [heterogeneity(protocol, 1.0) / reference for protocol in PROTOCOLS]
    stretched = [heterogeneity(protocol, stretch_to(REFERENCE, protocol)) / reference for protocol in PROTOCOLS]
    assert max(as_acquired) > 1.7 * min(as_acquired)
    assert all(0.92 < share < 1.08 for share in stretched), stretched


def test_the_stretch_leaves_the_median_and_multiplies_what_lies_around_it():
    image, mask = tumour(PROTOCOLS[0])
    plain, wide = (extract(image, mask, SETTINGS, stretch) for stretch in (1.0, 2.0))
    assert wide["original_firstorder_Median"] == pytest.approx(plain["original_firstorder_Median"], rel=1e-5)
    for name in ("InterquartileRange", "Range", "MeanAbsoluteDeviation"):
        name = f"original_firstorder_{name}"
        assert wide[name] == pytest.approx(2 * plain[name], rel=1e-5)
    assert wide["original_shape_MeshVolume"] == plain["original_shape_MeshVolume"]


@pytest.mark.parametrize(
    ("protocol", "reason"),
    [
        (spin_echo(4000, None, 3.0), "TR, TE or field strength is not known"),
        (spin_echo(4000, -85, 3.0), "TR, TE or field strength is not known"),
        (spin_echo(500, 10, 1.5), "hardly weighted by T2"),
    ],
    ids=["no echo time", "an echo time that cannot be", "T1 weighting"],
)
def test_without_a_t2_weighting_that_is_known_t2wi_has_no_features_and_others_have(protocol, reason, caplog):
    image, mask = tumour(REFERENCE)
    both = (Sequence.T2WI, Sequence.DWI)
    with caplog.at_level(logging.WARNING):
        found = measure({it: {"normal": image} for it in both}, dict.fromkeys(both, mask), SETTINGS, protocol)
    assert {name.split("|")[0] for name in found.features} == {"DWI"}
    assert reason in caplog.text


def test_the_provenance_says_by_how_much_the_contrast_was_stretched():
    image, mask = tumour(PROTOCOLS[0])
    images, masks = {Sequence.T2WI: {"normal": image}}, {Sequence.T2WI: mask}
    found = measure(images, masks, SETTINGS, PROTOCOLS[0])
    assert found.provenance["T2WI|normal"].stretch == stretch_to(REFERENCE, PROTOCOLS[0])
    assert found.features["T2WI|normal|original_firstorder_Range"] == pytest.approx(
        extract(image, mask, SETTINGS, stretch_to(REFERENCE, PROTOCOLS[0]))["original_firstorder_Range"]
    )
    without = SETTINGS.model_copy(update={"t2wi_reference": None})
    assert measure(images, masks, without).provenance["T2WI|normal"].stretch == 1
