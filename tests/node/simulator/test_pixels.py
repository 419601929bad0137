"""Stored values give back the intensities of the phantom."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.pixels import apply_modality_lut


def _values(written, kind: str) -> dict[tuple[float, ...], list[np.ndarray]]:
    """Slices of a kind by the position of their first pixel, rounded to 0.01 mm."""
    slices: dict[tuple[float, ...], list[np.ndarray]] = {}
    for series in written.study.series:
        if series.kind == kind:
            for index, plane in enumerate(sitk.GetArrayFromImage(series.image)):
                place = series.image.TransformIndexToPhysicalPoint((0, 0, index))
                slices.setdefault(tuple(np.round(place, 2)), []).append(plane)
    return slices


@pytest.mark.parametrize("kind", ["T2WI", "DWI", "ADC", "DCE"])
def test_values_after_the_modality_lut_are_those_of_the_phantom_up_to_rounding(written, kind):
    wanted = _values(written, kind)
    found: set[tuple[int, ...]] = set()
    for instance in written.instances:
        place = tuple(np.round(np.array(instance.get("ImagePositionPatient", []), dtype=float), 2))
        step = float(instance.get("RescaleSlope", 1))
        values = apply_modality_lut(instance.pixel_array, instance)
        for number, plane in enumerate(wanted.get(place, ())):
            if plane.shape == values.shape and np.abs(values - plane).max() <= 0.51 * step:
                found.add((*place, number))
    assert len(found) == sum(len(planes) for planes in wanted.values())


def test_philips_spreads_values_over_12_bits_with_a_slope_of_its_own_for_each_dynamic(written_by):
    written = written_by("Multiva")
    dynamic = [each for each in written.instances if each.SeriesNumber == 501]
    slopes = {(int(each.TemporalPositionIdentifier), float(each.RescaleSlope)) for each in dynamic}
    assert len(slopes) == len({number for number, _ in slopes})
    assert all(slope not in (0.0, 1.0) for _, slope in slopes)
    assert max(each.pixel_array.max() for each in dynamic) == 4095


def test_philips_scale_slope_leads_to_one_comparable_scale_for_the_whole_study(written_by):
    """FP = DV / (RS x SS), so RS x SS is the same everywhere."""
    written = written_by("Multiva")
    images = [each for each in written.instances if "RescaleSlope" in each]
    creator = "Philips MR Imaging DD 001"
    products = [each.private_block(0x2005, creator)[0x0E].value * float(each.RescaleSlope) for each in images]
    assert np.ptp(products) == pytest.approx(0, abs=1e-9)


def test_bits_and_sign_are_those_of_the_vendor(written):
    wanted = {"Siemens": (12, 0), "GE": (16, 1), "Philips": (12, 0), "UIH": (16, 0)}[written.study.scanner.manufacturer]
    images = [each for each in written.instances if each.SamplesPerPixel == 1]
    assert {(each.BitsStored, each.PixelRepresentation) for each in images} == {wanted}
