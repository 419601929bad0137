"""Windows over a volume, compared with MONAI's bit for bit."""

import numpy as np
import pytest
import torch
from monai.inferers.utils import sliding_window_inference

from models.interruption import Interrupted, ended_by
from models.segmentation.windows import blended

WINDOW = (8, 12, 10)
#: Smaller than the window along all axes or some, as large, and larger by odd numbers.
SIZES = [(5, 7, 3), (8, 12, 10), (9, 31, 4), (8, 25, 10), (21, 29, 33), (1, 13, 47)]


def of_window(window: torch.Tensor) -> torch.Tensor:
    """Values of which each depends on the whole window and on its place in it."""
    return torch.sin(window.cumsum(2) - 3 * window.cumsum(3).flip(4)) + window.mean()


def by_monai(values, window, overlap):
    tensor = torch.from_numpy(values)[None]
    return sliding_window_inference(tensor, window, 1, of_window, overlap=overlap, mode="gaussian")[0].numpy()


def by_us(values, window, overlap):
    return blended(values, window, overlap, lambda part: of_window(torch.from_numpy(part)).numpy())


def volume(channels, size):
    return np.random.default_rng(size[2]).normal(size=(channels, *size)).astype(np.float32)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_blended_windows_are_those_of_monai_bit_for_bit(channels, size, overlap):
    values = volume(channels, size)
    found, wanted = by_us(values, WINDOW, overlap), by_monai(values, WINDOW, overlap)
    assert found.dtype == np.float32
    assert np.array_equal(found, wanted)
    assert np.array_equal(torch.sigmoid(torch.from_numpy(found)), torch.sigmoid(torch.from_numpy(wanted)))


@pytest.mark.parametrize(("window", "size"), [((24, 48, 48), (33, 72, 64)), ((16, 16, 32), (20, 16, 18))])
def test_the_windows_in_use_are_those_of_monai_bit_for_bit(window, size):
    values = volume(3, size)
    assert np.array_equal(by_us(values, window, 0.25), by_monai(values, window, 0.25))


def test_a_computation_that_nobody_wants_any_more_ends_before_the_next_window():
    seen = []

    def run(window):
        seen.append(window)
        return window

    with pytest.raises(Interrupted), ended_by(lambda: len(seen) == 2):
        blended(volume(1, (8, 12, 40)), WINDOW, 0, run)
    assert len(seen) == 2
