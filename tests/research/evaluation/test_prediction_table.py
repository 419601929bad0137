"""What a table of probabilities and labels may hold, and the line that each fault gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.research.errors import CohortError
from models.research.evaluation.prediction_table import read_predictions
from models.research.evaluation.predictions import CohortPart, Model, Resolution, TrainingProbabilities

HEADER = "case,cohort,scanner,label,T2WI normal,T2WI super"


def rows(cohort: str = "training", count: int = 12) -> list[str]:
    """A good cohort: every other case is positive."""
    letter = {"training": "t", "validation": "v", "test": "e"}[cohort]
    return [f"{letter}{i},{cohort},Siemens Skyra,{i % 2},0.{i % 9 + 1},0.{i % 8 + 1}" for i in range(count)]


def write(folder: Path, lines: list[str], header: str = HEADER, above: tuple[str, ...] = ()) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([*above, header, *lines]) + "\n", encoding="utf-8")
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(CohortError) as caught:
        read_predictions(path)
    return str(caught.value).splitlines()


def test_a_good_table_is_read_as_it_is(tmp_path: Path):
    above = ("# data: simulated", "# target: Grade", "# positive class: high", "# training probabilities: out-of-fold")
    found = read_predictions(write(tmp_path, rows() + rows("test"), above=above))
    assert found.models == (Model("T2WI", Resolution.NORMAL), Model("T2WI", Resolution.SUPER))
    assert list(found.cohorts_present()) == [CohortPart.TRAINING, CohortPart.TEST]
    test = found.cohort(CohortPart.TEST)
    assert test.cases[:2].tolist() == ["e0", "e1"]
    assert test.labels.tolist() == [0, 1] * 6
    assert test.of(found.models[1])[:3].tolist() == [0.1, 0.2, 0.3]
    assert (found.about.simulated, found.about.target, found.about.positive_class) == (True, "Grade", "high")
    assert found.about.training_probabilities is TrainingProbabilities.OUT_OF_FOLD


def test_what_the_table_does_not_say_is_unknown(tmp_path: Path):
    about = read_predictions(write(tmp_path, rows())).about
    assert (about.simulated, about.training_probabilities) == (None, TrainingProbabilities.UNKNOWN)


def test_a_spreadsheets_semicolons_and_padding_are_understood(tmp_path: Path):
    lines = [line.replace(",", ";") for line in rows()]
    path = write(tmp_path, lines, HEADER.replace(",", ";"), above=("# data: patients;;;;;",))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_predictions(path).about.simulated is False


def test_a_scanner_that_is_in_no_training_case_is_no_fault(tmp_path: Path):
    other = [line.replace("Siemens Skyra", "GE MR750") for line in rows("test")]
    assert set(read_predictions(write(tmp_path, rows() + other)).scanners) == {"Siemens Skyra", "GE MR750"}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("Skyra,1,0.2", "Skyra,,0.2", "table.csv:3: case t1: label is missing"),
        ("Skyra,1,0.2", "Skyra,2,0.2", "table.csv:3: case t1: label is '2'; 1 is the positive class, 0 the other"),
        ("Skyra,1,0.2", "Skyra,1,nan", "table.csv:3: case t1: T2WI normal is 'nan', not a number"),
        ("Skyra,1,0.2", "Skyra,1,1.2", "table.csv:3: case t1: T2WI normal is 1.2, not a probability from 0 to 1"),
        ("Skyra,1,0.2", "Skyra,1,-inf", "table.csv:3: case t1: T2WI normal is -inf, not a probability from 0 to 1"),
        (
            "Skyra,1,0.2",
            "Skyra,1,",
            "table.csv:3: case t1: T2WI normal is missing; models are compared on the same cases, so leave the case "
            "out and say why",
        ),
        ("t1,training", "t1,train", "table.csv:3: case t1: cohort is 'train'; known are training, validation, test"),
        (
            "training,Siemens Skyra,1,0.2",
            "training,unknown,1,0.2",
            "table.csv:3: case t1: unknown scanner: 'unknown'; manufacturer and model are wanted",
        ),
        ("t1,training", ",training", "table.csv:3: case (no name): case is empty"),
        ("Skyra,1,0.2", "Skyra,1,0,2", "table.csv:3: case t1: the row has more cells than there are columns"),
        ("t3,training", "T1,training", "table.csv: case t1 stands there 2 times"),
        ("t3,training", "e0,training", "table.csv: case e0 stands in two cohorts: test, training"),
        (
            "t3,training,Siemens Skyra",
            "t3,training,SIEMENS_Skyra",
            "table.csv: unknown scanner: SIEMENS_Skyra and Siemens Skyra are one; use one spelling",
        ),
    ],
)
def test_a_fault_is_one_line(tmp_path: Path, old: str, new: str, line: str):
    text = "\n".join(rows())
    assert text.count(old) >= 1
    assert faults(write(tmp_path, [text.replace(old, new, 1), *rows("test")])) == [line]


def test_all_faults_come_at_once(tmp_path: Path):
    lines = rows()
    lines[0] = lines[0].replace(",0,0.1", ",,0.1")
    lines[4] = lines[4].replace("training", "somewhere")
    assert len(faults(write(tmp_path, lines))) == 2


def test_one_class_only(tmp_path: Path):
    lines = [line.replace("Skyra,0", "Skyra,1") for line in rows("test")]
    assert faults(write(tmp_path, rows() + lines)) == [
        "table.csv: test cohort: every label is 1; two classes are needed"
    ]


def test_a_cohort_of_three_cases(tmp_path: Path):
    assert faults(write(tmp_path, rows() + rows("validation", 3))) == [
        "table.csv: validation cohort: 3 cases, 1 of them with label 1; at least 5 of each class are needed"
    ]


def test_without_training_cases_there_is_no_cutoff(tmp_path: Path):
    assert faults(write(tmp_path, rows("test"))) == [
        "table.csv: no training case; the cut-off is fixed on the training cohort"
    ]


def test_a_patient_in_two_cohorts(tmp_path: Path):
    lines = [f"P{number % 12}," + line for number, line in enumerate(rows() + rows("validation"))]
    found = faults(write(tmp_path, lines, "patient," + HEADER))
    assert found[0] == "table.csv: patient P0 stands in two cohorts: t0 in training, v0 in validation"
    assert len(found) == 12


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (
            HEADER.replace("scanner", "device"),
            "table.csv: column scanner is missing; needed are case, cohort, scanner, label and one column a model",
        ),
        (
            HEADER.replace("T2WI super", "T2WI supper"),
            "table.csv: column 'T2WI supper' is no model; a model is called by its input and one of normal, super, "
            "cubic, none, such as 'T2WI super'",
        ),
        (HEADER.replace("normal", "super"), "table.csv: column 'T2WI super' stands there twice"),
        (
            HEADER.replace("T2WI super", "oracle"),
            "table.csv: oracle: true parameters are known of simulated data; say '# data: simulated' or leave the "
            "column out",
        ),
    ],
)
def test_a_column_that_is_not_what_it_should_be(tmp_path: Path, header: str, line: str):
    assert faults(write(tmp_path, rows(), header)) == [line]


@pytest.mark.parametrize(
    ("above", "line"),
    [
        ("# data: real", "table.csv:1: data is 'real'; known are simulated, patients"),
        (
            "# made by me",
            "table.csv:1: '# made by me' is not understood; known are # data:, # target:, # positive class:, # "
            "training probabilities:",
        ),
    ],
)
def test_a_line_above_the_header_that_is_not_understood(tmp_path: Path, above: str, line: str):
    assert faults(write(tmp_path, rows(), above=(above,))) == [line]


def test_a_table_that_is_not_there(tmp_path: Path):
    assert faults(tmp_path / "none.csv") == [f"{tmp_path / 'none.csv'}: cannot be read: No such file or directory"]


def test_an_empty_file(tmp_path: Path):
    (tmp_path / "table.csv").write_text("")
    assert faults(tmp_path / "table.csv")[0].startswith("table.csv: column case, cohort, scanner, label is missing")


def test_the_oracle_stands_apart_from_the_models(tmp_path: Path):
    path = write(tmp_path, [line + ",0.5" for line in rows()], HEADER + ",oracle", above=("# data: simulated",))
    found = read_predictions(path)
    assert len(found.models) == 2
    assert np.array_equal(found.oracle, np.full(12, 0.5))
