"""When masks of sequences show one finding, and when a sequence shows it by itself."""

import numpy as np

from models.plausibility.agreement import agreeing, confirmed, overlap
from models.volume import Grid

GRID = Grid((40, 40, 20), (2.5, 2.5, 5.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def _box(x, y, z=10, half=4):
    mask = np.zeros((20, 40, 40), bool)
    mask[z - 2 : z + 2, y - half : y + half, x - half : x + half] = True
    return mask


def test_masks_that_bowel_motion_has_shifted_overlap():
    assert overlap(_box(20, 20), _box(26, 20), GRID) > 0.4
    assert overlap(_box(20, 20), _box(32, 20), GRID) == 0


def test_a_small_mask_within_a_large_one_overlaps_whole():
    assert overlap(_box(20, 20, half=10), _box(22, 18, half=2), GRID) == 1


def test_sequences_that_show_one_place_agree():
    masks = {"T2WI": _box(20, 20), "DWI": _box(22, 20), "PVP": _box(20, 21)}
    assert agreeing(masks, GRID) == set(masks)


def test_two_sequences_that_show_two_places_agree_on_nothing():
    assert agreeing({"T2WI": _box(10, 20), "DWI": _box(30, 20)}, GRID) == set()


def test_two_of_three_that_agree_stand_against_the_third():
    masks = {"T2WI": _box(10, 20), "DWI": _box(11, 20), "PVP": _box(30, 20)}
    assert agreeing(masks, GRID) == {"T2WI", "DWI"}


def test_three_places_in_three_sequences_agree_on_nothing():
    masks = {"T2WI": _box(6, 6), "DWI": _box(20, 20), "PVP": _box(34, 34)}
    assert agreeing(masks, GRID) == set()


def test_one_sequence_with_a_finding_agrees_with_itself():
    assert agreeing({"DWI": _box(20, 20)}, GRID) == {"DWI"}
    assert agreeing({}, GRID) == set()


def test_a_sequence_confirms_a_finding_of_which_it_shows_a_tenth_by_itself():
    finding = _box(20, 20)
    alone = np.where(_box(17, 20, half=1), 0.9, 0.0).astype(np.float32)
    assert confirmed(finding, np.where(finding, 0.6, 0).astype(np.float32), 0.5)
    assert not confirmed(finding, alone, 0.5)
    assert not confirmed(finding, np.where(finding, 0.4, 0).astype(np.float32), 0.5)
