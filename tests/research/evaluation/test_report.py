"""The result set on disk: complete, the same each time, and honest about what the table says."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import docx
import numpy as np
import pytest

from models.errors import ModelError
from models.prediction.predictor import load_catalogue
from models.research.evaluation.feature_stability import FeatureStability
from models.research.evaluation.prediction_table import read_predictions
from models.research.evaluation.predictions import CohortPart, Predictions, Resolution, TrainingProbabilities
from models.research.evaluation.report.cautions import SIMULATED, cautions
from models.research.evaluation.report.checklist import Answer, Extent, clear, tripod_ai
from models.research.evaluation.report.files import write_report
from models.research.evaluation.report.numbers import p_value, signed_interval
from models.research.evaluation.results import Evaluation, Options
from models.research.evaluation.study import evaluate
from models.research.statistics.estimates import Estimate

ROOT = Path(__file__).parents[3]
STABILITY = (
    FeatureStability("T2WI", Resolution.SUPER, "a", 90, Estimate(0.8, 0.7, 0.9), Estimate(0.79, 0.7, 0.9)),
    FeatureStability("T2WI", Resolution.SUPER, "b", 90, Estimate(0.6, 0.5, 0.7), Estimate(0.59, 0.5, 0.7)),
)
OPTIONS = Options(draws=100, seed=1, threshold=None, categories=(), groups={})


def small(predictions: Predictions) -> Predictions:
    """T2WI at normal and super resolution, training and test: what a report needs at least to be whole."""
    chosen = [i for i, m in enumerate(predictions.models) if m.name in ("T2WI normal", "T2WI super")]
    cases = predictions.where(predictions.cohorts != CohortPart.VALIDATION)
    models = tuple(predictions.models[i] for i in chosen)
    return replace(cases, models=models, probabilities=cases.probabilities[chosen])


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(small(read_predictions(ROOT / "docs" / "evaluation-example.csv")), OPTIONS)


@pytest.fixture(scope="module")
def written(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("report")
    bundle = load_catalogue(ROOT / "models" / "weights" / "prediction")
    paths = write_report(evaluation, folder, bundle, {"table": "<example>"}, STABILITY)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def alone(evaluation: Evaluation) -> Evaluation:
    """One model at one resolution, of patients that are not simulated."""
    predictions = evaluation.predictions
    about = replace(predictions.about, simulated=False)
    one = replace(predictions, about=about, models=predictions.models[:1], probabilities=predictions.probabilities[:1])
    return evaluate(one, OPTIONS)


@pytest.fixture(scope="module")
def written_alone(alone: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("alone")
    return {path.name: path for path in write_report(alone, folder, None, {"table": "example"})}


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_the_result_set_is_whole(written: dict[str, bytes]):
    assert sorted(written) == [
        "calibration-curves.csv",
        "calibration-groups.csv",
        "checklists.csv",
        "comparisons.csv",
        "decision-curves.csv",
        "feature-stability.csv",
        "figures/auc-differences.svg",
        "figures/curves-t2wi.svg",
        "figures/feature-stability.svg",
        "figures/feature-weights.svg",
        "figures/roc-normal.svg",
        "figures/roc-super.svg",
        "figures/subgroups.svg",
        "oracle.csv",
        "performance.csv",
        "report.html",
        "roc.csv",
        "subgroups.csv",
        "supplement.docx",
    ]


def test_the_same_evaluation_gives_the_same_bytes(written: dict[str, bytes], tmp_path: Path):
    evaluation = evaluate(small(read_predictions(ROOT / "docs" / "evaluation-example.csv")), OPTIONS)
    bundle = load_catalogue(ROOT / "models" / "weights" / "prediction")
    for path in write_report(evaluation, tmp_path, bundle, {"table": "<example>"}, STABILITY):
        assert path.read_bytes() == written[path.relative_to(tmp_path).as_posix()], path.name


def test_the_tables_hold_what_was_found(written: dict[str, bytes], evaluation: Evaluation):
    row, expected = rows(written["comparisons.csv"])[0], evaluation.comparisons[0]
    assert (row["cohort"], row["input"], row["resolution"], row["reference"]) == ("training", "T2WI", "super", "normal")
    for name, value in (
        ("difference", expected.difference.value),
        ("difference_low", expected.difference.low),
        ("p", expected.p),
        ("category_free_events_high", expected.category_free.events.high),
        ("idi_idi", expected.idi.idi.value),
        ("net_benefit", expected.net_benefit.value),
    ):
        assert float(row[name]) == pytest.approx(value, rel=1e-8)
    performance = rows(written["performance.csv"])
    assert len(performance) == 4
    assert {"auc", "auc_low", "calibration_slope_high", "point_sensitivity_low"} <= performance[0].keys()


def test_feature_stability_is_summed_up_by_sequence(written: dict[str, bytes]):
    assert [row["icc_low"] for row in rows(written["feature-stability.csv"])] == ["0.7", "0.5"]
    page = written["report.html"].decode()
    assert '<td class="figure">0.700</td><td class="figure">0.690</td><td class="figure">1 (50 %)</td>' in page


def test_the_page_needs_nothing_else_and_shows_the_figures_of_the_tables(
    written: dict[str, bytes], evaluation: Evaluation
):
    page = written["report.html"].decode()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("data:image/svg+xml;base64,", "#")) for source in sources)
    difference, _, interval = signed_interval(evaluation.comparisons[0].difference).partition("\n")
    assert f"{difference}<br><small>{interval}</small>" in page
    assert p_value(evaluation.comparisons[0].p) in page
    assert "&lt;example&gt;" in page


def test_page_and_document_read_as_recorded(written: dict[str, bytes], words_of_page, reads_as_before):
    reads_as_before("evaluation-page", words_of_page(written["report.html"].decode()))
    blocks = docx.Document(io.BytesIO(written["supplement.docx"])).iter_inner_content()
    texts = (
        [block.text] if hasattr(block, "runs") else [" | ".join(c.text for c in row.cells) for row in block.rows]
        for block in blocks
    )
    reads_as_before("evaluation-supplement", "\n".join(line for lines in texts for line in lines))


def test_simulated_data_say_so_in_page_and_document(written: dict[str, bytes]):
    assert SIMULATED in written["report.html"].decode()
    assert SIMULATED in [p.text for p in docx.Document(io.BytesIO(written["supplement.docx"])).paragraphs]


def test_patients_are_not_called_simulated(written_alone: dict[str, Path]):
    assert "Simulated data" not in written_alone["report.html"].read_text("utf-8")


def test_word_holds_the_same_tables_and_figures_as_the_page(written: dict[str, bytes]):
    document = docx.Document(io.BytesIO(written["supplement.docx"]))
    page = written["report.html"].decode()
    assert len(document.tables) == page.count("<table>")
    assert len(document.inline_shapes) == page.count("<img ") == 7
    captions = [p.text for p in document.paragraphs if p.text.startswith("Table S")]
    assert captions == re.findall(r"<caption>(.*?)</caption>", page)


def test_figures_are_drawings_without_a_date(written: dict[str, bytes]):
    for name, content in written.items():
        if name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag.endswith("svg")
            assert b"<dc:date>" not in content


def test_a_table_without_pairs_is_reported_without_comparisons(written_alone: dict[str, Path]):
    assert "comparisons.csv" not in written_alone
    assert "T2WI normal, test cohort: AUC" in written_alone["report.html"].read_text("utf-8")


def test_a_folder_with_the_result_of_another_run_is_refused(alone: Evaluation, tmp_path: Path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "roc-cubic.svg").touch()
    with pytest.raises(ModelError, match=r"holds figures/roc-cubic\.svg, which this run does not write"):
        write_report(alone, tmp_path, None, {"table": "example"})
    assert not (tmp_path / "report.html").exists()


def test_clear_has_58_items_and_tripod_ai_27():
    assert [item.item for item in clear({})] == [str(number) for number in range(1, 59)]
    numbers = [int(re.match(r"\d+", item.item).group()) for item in tripod_ai({})]
    assert list(dict.fromkeys(numbers)) == list(range(1, 28))


def test_an_item_that_the_run_cannot_answer_stays_open(written: dict[str, bytes]):
    items = {(row["checklist"], row["item"]): row for row in rows(written["checklists.csv"])}
    ethics = items["CLEAR", "8"]
    assert (ethics["state"], ethics["answer"]) == ("open", "")
    assert items["CLEAR", "40"]["state"] == "answered"
    assert items["TRIPOD+AI", "10"]["answer"].endswith("Open: how the size was arrived at, and whether it suffices.")


def test_an_answer_with_something_left_is_in_part():
    assert clear({"9": Answer("150 cases.", "how many are needed")})[8].extent is Extent.PART


def test_an_answer_to_an_item_that_is_not_there_is_refused():
    with pytest.raises(KeyError, match="59"):
        clear({"59": Answer("text")})


def test_the_cautions_name_what_makes_figures_too_good(evaluation: Evaluation):
    about = replace(evaluation.predictions.about, training_probabilities=TrainingProbabilities.RESUBSTITUTION)
    seen = replace(evaluation, predictions=replace(evaluation.predictions, about=about))
    assert any("resubstitution figure" in line for line in cautions(seen))
    assert not any("resubstitution" in line for line in cautions(evaluation))


def test_the_cautions_name_scanners_that_training_lacks(evaluation: Evaluation):
    assert "Test cohort: 15 of 90 cases are of scanners that no training case is of: Siemens Skyra." in cautions(
        evaluation
    )


def test_the_cautions_name_patients_with_several_cases(evaluation: Evaluation):
    predictions = evaluation.predictions
    twice = replace(predictions, patients=np.array([f"P{i // 2}" for i in range(predictions.cases.size)]))
    lines = cautions(replace(evaluation, predictions=twice))
    assert any("240 cases are of 120 patients" in line for line in lines)


def test_the_cautions_say_when_there_is_no_new_case(evaluation: Evaluation):
    training = evaluation.predictions.cohort(CohortPart.TRAINING)
    alone = evaluate(training, OPTIONS)
    assert any("no validation or test cohort" in line for line in cautions(alone))
