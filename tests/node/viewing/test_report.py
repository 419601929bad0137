"""A report read back says what was put into it."""

from __future__ import annotations

import pytest

from models.radiomics.words import in_words
from node.errors import PermanentError
from node.viewing.report import read_report

from ..results.conftest import CONTRIBUTIONS, PREDICTION


@pytest.fixture(scope="module")
def report(siemens):
    return read_report(siemens.first("report").path)


def test_all_eight_probabilities_come_back_with_their_cut_offs_the_main_one_first(report):
    assert [round(it.value, 6) for it in report.probabilities] == [
        round(it.probability, 6) for it in (PREDICTION.main, *PREDICTION.others)
    ]
    assert [it.is_main for it in report.probabilities] == [True] + [False] * 7
    assert {it.cutoff for it in report.probabilities} == {0.41}


def test_what_moved_the_main_one_comes_back_with_the_range_of_the_training_cohort(report):
    found = {(round(it.value, 4), it.low, it.high, round(it.log_odds, 4)) for it in report.moved}
    named = [it for it in CONTRIBUTIONS if it.outside or it in CONTRIBUTIONS[:4]]
    assert found == {(it.value, it.low, it.high, it.log_odds) for it in named}
    assert {it.feature for it in report.moved if it.outside} == {in_words(CONTRIBUTIONS[5].name).ibsi}


def test_measurements_name_their_segmentation_and_their_grid(report, siemens):
    uid = siemens.first("segmentation-t2wi").sop_instance_uid
    volumes = [it for it in report.measured if it.name == "Volume" and it.segmentation == uid]
    (result,) = [it for it in siemens.results.sequences if it.sequence == "T2WI"]
    assert [round(it.value, 3) for it in volumes] == [round(result.volume_ml, 3), round(result.acquired_ml, 3)]
    assert volumes[0].method == "Measured on the super-resolved grid"


def test_sentences_come_with_their_kinds(report):
    kinds = {it.kind for it in report.remarks}
    assert {"AI-RESULT", "WARNING", "AI-EXPLANATION", "AI-MODEL"} <= kinds
    assert any(it.text.startswith("Tumour segmented") for it in report.remarks)


def test_another_object_has_nothing_to_say_and_a_broken_one_is_refused_by_name(siemens, tmp_path):
    assert read_report(siemens.first("segmentation-t2wi").path).measured == ()
    (tmp_path / "broken").write_bytes(b"nothing")
    with pytest.raises(PermanentError, match="cannot be read"):
        read_report(tmp_path / "broken")
