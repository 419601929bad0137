"""The table of probabilities and labels (docs/evaluation.md); every fault is one line that names row and case."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import spreadsheet
from models.research.errors import CohortError
from models.research.evaluation.predictions import (
    About,
    CohortPart,
    Model,
    Predictions,
    Resolution,
    TrainingProbabilities,
)
from models.research.evaluation.table_consistency import PredictionRow, consistency, sizes

COLUMNS = ("case", "cohort", "scanner", "label")
PATIENT, ORACLE = "patient", "oracle"
_UNKNOWN = {"", "unknown", "other", "?", "-", "nan", "n/a", "none"}
#: What a line `# key: value` before the header may say; free text where nothing is listed.
_KEYS: dict[str, tuple[str, ...]] = {
    "data": ("simulated", "patients"),
    "target": (),
    "positive class": (),
    "training probabilities": tuple(TrainingProbabilities)[:2],
}


@dataclass(frozen=True, slots=True)
class _Header:
    """Known columns of the table; `first_line` is the line number of the header."""

    models: Mapping[str, Model]
    patient: bool
    oracle: bool


def read_predictions(path: Path) -> Predictions:
    """The table at `path`.

    Raises:
        CohortError: it cannot be evaluated; every fault is one line, all at once.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise CohortError((f"{path}: cannot be read: {error.strerror}",)) from error
    except UnicodeDecodeError as error:
        raise CohortError((f"{path}: not UTF-8; save it as CSV in UTF-8",)) from error
    lines = text.splitlines()
    above = next((number for number, line in enumerate(lines) if not line.startswith(("#", '"#'))), len(lines))
    said, faults = _said(path.name, lines[:above])
    body = "\n".join(lines[above:])
    reader = csv.DictReader(io.StringIO(body), delimiter=_delimiter(body))
    header, more = _header(path.name, tuple(_text(name) for name in reader.fieldnames or ()))
    if faults or more:
        raise CohortError((*faults, *more))
    rows = []
    for cells in reader:
        found, wrong = _row({_text(str(name)): _text(value) for name, value in cells.items()}, header)
        place = f"{path.name}:{above + reader.line_num}: case {_text(cells.get('case')) or '(no name)'}"
        rows += [found] if found else []
        faults += [f"{place}: {fault}" for fault in wrong]
    # A row that cannot be read is a fault of its own, not a smaller cohort.
    together = [*consistency(rows, said.get("data", ""), header.oracle), *(() if faults else sizes(rows))]
    if faults := [*faults, *(f"{path.name}: {fault}" for fault in together)]:
        raise CohortError(tuple(faults))
    about = About(
        name=path.name,
        digest=hashlib.sha256(content).hexdigest(),
        target=said.get("target", ""),
        positive_class=said.get("positive class", ""),
        simulated={"simulated": True, "patients": False}.get(said.get("data", "")),
        training_probabilities=TrainingProbabilities(said.get("training probabilities", "unknown")),
    )
    return _predictions(about, rows, header)


def _text(cell: str | list[str] | None) -> str:
    """A cell as text; cells beyond the last column come as a list."""
    return ";".join(cell) if isinstance(cell, list) else spreadsheet.read((cell or "").strip())


def _delimiter(body: str) -> str:
    first = body.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _said(name: str, lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """The content of the lines before the header, and their faults. A spreadsheet may have quoted or padded them."""
    said: dict[str, str] = {}
    faults = []
    for number, line in enumerate(lines, start=1):
        key, colon, value = (part.strip() for part in line.strip('",; \t').lstrip("#").partition(":"))
        allowed = _KEYS.get(key)
        if not colon or allowed is None:
            faults.append(
                f"{name}:{number}: {line!r} is not understood; known are {', '.join(f'# {k}:' for k in _KEYS)}"
            )
        elif allowed and value not in allowed:
            faults.append(f"{name}:{number}: {key} is {value!r}; known are {', '.join(allowed)}")
        else:
            said[key] = value
    return said, faults


def _header(name: str, columns: tuple[str, ...]) -> tuple[_Header, list[str]]:
    if missing := [column for column in COLUMNS if column not in columns]:
        return _Header({}, False, False), [
            f"{name}: column {', '.join(missing)} is missing; needed are {', '.join(COLUMNS)} and one column a model"
        ]
    faults = [f"{name}: column {column!r} stands there twice" for column in columns if columns.count(column) > 1]
    models: dict[str, Model] = {}
    for column in columns:
        if column in (*COLUMNS, PATIENT, ORACLE):
            continue
        looks_at, _, resolution = column.rpartition(" ")
        if looks_at and resolution in tuple(Resolution):
            models[column] = Model(looks_at, Resolution(resolution))
        else:
            known = ", ".join(Resolution)
            faults.append(
                f"{name}: column {column!r} is no model; a model is called by its input and one of {known}, such as "
                "'T2WI super'"
            )
    if not models and not faults:
        faults.append(f"{name}: no column of probabilities, such as 'T2WI super'")
    return _Header(models, PATIENT in columns, ORACLE in columns), list(dict.fromkeys(faults))


def _row(row: Mapping[str, str], header: _Header) -> tuple[PredictionRow | None, list[str]]:
    """The row as far as its cells can be understood, and what is wrong with it."""
    columns = [*header.models, *([ORACLE] if header.oracle else [])]
    if row.get("None"):
        return None, ["the row has more cells than there are columns"]
    faults = [*_cell_faults(row, header.patient), *(fault for name in columns for fault in _probability(name, row))]
    if faults:
        return None, faults
    return (
        PredictionRow(
            case=row["case"],
            patient=row[PATIENT] if header.patient else row["case"],
            cohort=CohortPart(row["cohort"]),
            scanner=row["scanner"],
            label=int(row["label"]),
            probabilities=tuple(float(row[name]) for name in columns),
        ),
        [],
    )


def _cell_faults(row: Mapping[str, str], patient: bool) -> Iterator[str]:
    if not row["case"]:
        yield "case is empty"
    if patient and not row[PATIENT]:
        yield "patient is empty; leave the column out where every case is a patient"
    if row["cohort"] not in tuple(CohortPart):
        yield f"cohort is {row['cohort']!r}; known are {', '.join(CohortPart)}"
    if row["scanner"].casefold() in _UNKNOWN:
        yield f"unknown scanner: {row['scanner']!r}; manufacturer and model are wanted"
    label = row["label"]
    if not label:
        yield "label is missing"
    elif label not in ("0", "1"):
        yield f"label is {label!r}; 1 is the positive class, 0 the other"


def _probability(name: str, row: Mapping[str, str]) -> Iterator[str]:
    text = row[name]
    if not text:
        yield f"{name} is missing; models are compared on the same cases, so leave the case out and say why"
        return
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        yield f"{name} is {text!r}, not a number"
    elif not 0 <= value <= 1:
        yield f"{name} is {text}, not a probability from 0 to 1"


def _predictions(about: About, rows: list[PredictionRow], header: _Header) -> Predictions:
    values = np.array([row.probabilities for row in rows], dtype=np.float64).T
    return Predictions(
        about=about,
        cases=np.array([row.case for row in rows]),
        patients=np.array([row.patient for row in rows]),
        cohorts=np.array([row.cohort.value for row in rows]),
        scanners=np.array([row.scanner for row in rows]),
        labels=np.array([row.label for row in rows]),
        models=tuple(header.models.values()),
        probabilities=values[: len(header.models)],
        oracle=values[-1] if header.oracle else None,
    )
