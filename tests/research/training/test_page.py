"""The page at the end of a training: one file, everything in it, the same every time."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from models.research.training import page


@pytest.fixture
def record():
    image = np.random.default_rng(1).normal(size=(40, 60))
    mask = np.zeros(image.shape, np.uint8)
    mask[10:20, 15:30] = 1
    return page.TrainingRecord(
        title="rectal-segmentation 1.0",
        statement="research use only",
        command="python -m models.research.training.segmentation --data 'a <b>'",
        curves={"loss": [(0, 1.5), (1, 1.2), (2, 0.9)], "validation_dice": [(0, 0.1), (1, 0.3), (2, 0.6)]},
        pictures=[page.Slice("C1 T2WI, Dice 0.61", image, {page.TRUTH_COLOUR: mask})],
        figures={"test": {"T2WI": {"dice_mean": 0.61234, "cases": 4}}},
        recipe={"epochs": 3, "features": [4, 8]},
        environment={"torch": "2"},
        key={page.TRUTH_COLOUR: "truth"},
    )


def test_the_page_needs_nothing_else_and_tells_everything(record):
    text = page.training_page(record)
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert text.count("data:image/svg+xml") == 2
    assert text.count("data:image/png") == 1
    for told in (
        "rectal-segmentation 1.0",
        "research use only",
        "test › T2WI › dice_mean",
        "0.6123",
        "4, 8",
        "C1 T2WI",
    ):
        assert told in text
    assert "--data &#x27;a &lt;b&gt;&#x27;" in text


def test_the_page_reads_as_recorded(record, words_of_page, reads_as_before):
    reads_as_before("training", words_of_page(page.training_page(record)))


def test_the_same_record_gives_the_same_page(record):
    assert page.training_page(record) == page.training_page(record)


def test_a_record_without_curves_and_pictures_is_still_a_page(record):
    text = page.training_page(replace(record, curves={}, pictures=[]))
    assert "Curves" not in text
    assert "Examples" not in text
    HTMLParser().feed(text)


def test_curves_come_from_the_event_files_the_later_value_of_a_step_that_was_logged_twice(tmp_path):
    for run, values in enumerate(((0.9, 0.8), (0.7, 0.6))):
        with SummaryWriter(tmp_path) as writer:
            for step, value in enumerate(values, start=run):
                writer.add_scalar("loss", value, step, walltime=100.0 + 10 * run + step)
    curve = page.logged_curves(tmp_path)["loss"]
    assert curve == [(0, pytest.approx(0.9)), (1, pytest.approx(0.7)), (2, pytest.approx(0.6))]
