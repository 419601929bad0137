"""From images to what is reported and what is set aside, with a network whose answers can be foreseen."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch import nn

from models.findings import find_tumours
from models.manifest import Manifest
from models.plausibility.records import APART, PLACE, UNCONFIRMED
from models.research.networks import segmenter_of
from models.segmentation.inference import InferenceSettings, read_together
from models.segmentation.preprocessing import PreprocessingSettings
from models.sequence import ANALYSED, Sequence
from models.volume import divided, grid_of, resample_onto

RECTUM, PROSTATE, GLUTEAL = (0.0, 25.0), (0.0, -35.0), (-60.0, 62.0)


class BrightIsTumour(nn.Module):
    """Tumour where the sum of the sequences is bright; with `own`, each sequence for itself."""

    def __init__(self, least: float, own: bool) -> None:
        super().__init__()
        self.least = nn.Parameter(torch.tensor(least))
        self.own = own

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        seen = images if self.own else images.sum(dim=1, keepdim=True).expand_as(images)
        return [20 * (seen - self.least)]


def _segmenter(least=3.0, own=False, largest_component=True):
    manifest = Manifest(
        name="bright", version="0", kind="segmentation", input_sequences=ANALYSED,
        architecture={}, training_data="none", seed=1, command="none",
    )  # fmt: skip
    settings = InferenceSettings(
        preprocessing=PreprocessingSettings(spacing_mm=(4.0, 4.0, 6.0), n4_iterations=(1,), clip_percentiles=(0, 100)),
        window=(16, 32, 32),
        largest_component=largest_component,
    )
    return segmenter_of(manifest, settings, BrightIsTumour(least, own).eval())


@pytest.fixture(scope="module")
def image(pelvis):
    """A pelvis with bright balls: (x, y), brightness and radius (mm) of each."""

    def made(*balls, centre=(0.0, -5.0), **options):
        picture = pelvis(centre=centre, fat=60.0, muscle=200.0, **options)
        k, j, i = np.indices(picture.GetSize()[::-1])
        points = np.stack([i, j, k], -1) * picture.GetSpacing() + picture.GetOrigin()
        values = sitk.GetArrayFromImage(picture)
        for (x, y), brightness, radius in balls:
            values[np.linalg.norm(points - (x, y, 0.0), axis=-1) < radius] = brightness
        bright = sitk.GetImageFromArray(values)
        bright.CopyInformation(picture)
        return bright

    return made


def _found(images, segmenter):
    finer = {name: resample_onto(image, divided(grid_of(image), (1, 1, 2))) for name, image in images.items()}
    return find_tumours(images, finer, segmenter)


def _mean_place(mask):
    index = np.argwhere(sitk.GetArrayFromImage(mask) > 0)[:, ::-1].mean(axis=0)
    return np.array(mask.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def test_a_finding_in_the_rectum_that_sequences_show_by_themselves_is_reported_and_located(image):
    bright = image((RECTUM, 1500.0, 14.0))
    found = _found({Sequence.T2WI: bright, Sequence.DWI: bright}, _segmenter())
    assert found.set_aside == ()
    assert found.location.established
    assert found.location.sequences == ("T2WI", "DWI")
    for tumour in found.tumours.values():
        assert _mean_place(tumour.mask)[:2] == pytest.approx(RECTUM, abs=4)
        assert _mean_place(tumour.mask_super)[:2] == pytest.approx(RECTUM, abs=4)


def test_the_part_at_an_impossible_place_is_set_aside_and_the_one_in_the_rectum_stays_on_both_grids(image):
    bright = image((RECTUM, 1500.0, 12.0), (GLUTEAL, 1500.0, 18.0))
    found = _found({Sequence.T2WI: bright, Sequence.PVP: bright}, _segmenter())
    assert {(it.sequence, it.code, it.place) for it in found.set_aside} == {
        ("T2WI", PLACE, "at the right gluteal region"),
        ("PVP", PLACE, "at the right gluteal region"),
    }
    assert found.set_aside[0].volume_ml == pytest.approx(4 / 3 * np.pi * 1.8**3, rel=0.3)
    assert found.set_aside[0].position_mm[:2] == pytest.approx(GLUTEAL, abs=4)
    for tumour in found.tumours.values():
        for mask in (tumour.mask, tumour.mask_super):
            assert _mean_place(mask)[:2] == pytest.approx(RECTUM, abs=4)


def test_what_is_set_aside_leaves_empty_masks_and_no_location(image):
    bright = image((PROSTATE, 1500.0, 16.0))
    found = _found({Sequence.T2WI: bright, Sequence.DWI: bright}, _segmenter())
    assert {it.code for it in found.set_aside} == {PLACE}
    assert found.location is None
    for tumour in found.tumours.values():
        assert tumour.volume_ml == 0
        assert not sitk.GetArrayViewFromImage(tumour.mask).any()


def test_a_finding_that_no_sequence_shows_by_itself_is_set_aside(image):
    bright = image((RECTUM, 800.0, 14.0))
    images = {Sequence.T2WI: bright, Sequence.DWI: bright}
    alone = max(_highest(images, sequence) for sequence in images)
    found = _found(images, _segmenter(least=1.4 * alone))
    assert {(it.sequence, it.code) for it in found.set_aside} == {("T2WI", UNCONFIRMED), ("DWI", UNCONFIRMED)}
    assert "none of T2WI, DWI shows it" in found.set_aside[0].reason
    assert not any(tumour.volume_ml for tumour in found.tumours.values())


def _highest(images, sequence):
    """Of the prepared sequence: what the network sees of it."""
    return float(read_together({sequence: images[sequence]}, _segmenter()).channels.max())


def test_sequences_that_show_different_places_report_nothing_and_both_places_are_named(image):
    images = {
        Sequence.T2WI: image(((-30.0, 25.0), 1500.0, 12.0)),
        Sequence.DWI: image(((30.0, 25.0), 1500.0, 12.0)),
    }
    found = _found(images, _segmenter(own=True))
    assert {(it.sequence, it.code) for it in found.set_aside} == {("T2WI", APART), ("DWI", APART)}
    for finding in found.set_aside:
        assert "about 30 mm right of the midline" in finding.reason
        assert "about 30 mm left of the midline" in finding.reason
    assert found.location is None


def test_a_single_sequence_is_reported_without_an_established_location(image):
    found = _found({Sequence.T2WI: image((RECTUM, 1500.0, 14.0))}, _segmenter())
    assert found.tumours[Sequence.T2WI].volume_ml > 0
    assert not found.location.established
    assert "one sequence alone" in found.location.reason


def test_a_field_of_view_that_cuts_the_body_off_leaves_the_location_open(image):
    bright = image((RECTUM, 1500.0, 14.0), width=180, height=170)
    found = _found({Sequence.T2WI: bright, Sequence.DWI: bright}, _segmenter())
    assert found.tumours[Sequence.T2WI].volume_ml > 0
    assert not found.location.established
