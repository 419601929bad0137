"""The result set in a folder: CSV files, figures, page, Word document, check-lists."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path

from models.errors import ModelError
from models.research.documents.blocks import Picture
from models.research.documents.figures import svg
from models.research.documents.page import page
from models.research.documents.word import word
from models.research.evaluation.feature_stability import FeatureStability
from models.research.evaluation.predictions import Model
from models.research.evaluation.report.answers import Bundle, clear_answers, tripod_answers
from models.research.evaluation.report.checklist import Item, clear, tripod_ai
from models.research.evaluation.report.content import document
from models.research.evaluation.results import Band, Curves, Evaluation
from models.spreadsheet import write_mappings

PAGE, WORD = "report.html", "supplement.docx"


def write_report(
    evaluation: Evaluation,
    folder: Path,
    bundle: Bundle | None,
    provenance: Mapping[str, str],
    stability: Sequence[FeatureStability] = (),
) -> tuple[Path, ...]:
    """Write everything into `folder`; returns what was written. The same evaluation gives the same bytes.

    `bundle` adds the weights of its features, `stability` how alike features are at two resolutions.

    Raises:
        ModelError: the folder holds something else, such as a result of another run that would be taken for this one's.
    """
    checklists = {
        "CLEAR": clear(clear_answers(evaluation, bundle)),
        "TRIPOD+AI": tripod_ai(tripod_answers(evaluation, bundle)),
    }
    report = document(evaluation, bundle, stability, checklists, provenance)
    pictures = {f"figures/{block.name}.svg": block for block in report.blocks if isinstance(block, Picture)}
    tables = {f"{name}.csv": rows for name, rows in _tables(evaluation, stability, checklists).items()}
    _require_no_other(folder, {PAGE, WORD, *tables, *pictures})  # before the figures are drawn, which takes the time
    drawn = {name: svg(block.figure) for name, block in pictures.items()}
    files: dict[str, bytes] = {
        PAGE: page(report, {block.name: drawn[name] for name, block in pictures.items()}).encode(),
        WORD: word(report),
        **{name: _csv(rows) for name, rows in tables.items()},
        **drawn,
    }
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return tuple(folder / name for name in files)


def _require_no_other(folder: Path, names: Set[str]) -> None:
    """Raises ModelError where the folder holds a file of another name."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if foreign := sorted(there - names):
        raise ModelError(f"{folder}: holds {foreign[0]}, which this run does not write; give an empty folder")


def _tables(
    evaluation: Evaluation, stability: Sequence[FeatureStability], checklists: Mapping[str, Sequence[Item]]
) -> dict[str, Iterable[Mapping[str, object]]]:
    """Rows by the name of their file; a file without rows is not written."""
    tables: dict[str, Iterable[Mapping[str, object]]] = {
        "performance": map(flat, evaluation.performances),
        "comparisons": map(flat, evaluation.comparisons),
        "subgroups": map(flat, evaluation.subgroups),
        "oracle": map(flat, evaluation.oracle_gaps),
        "feature-stability": map(flat, stability),
        "roc": (row for curves in evaluation.curves for row in _roc(curves)),
        "calibration-curves": (row for curves in evaluation.curves for row in _points(curves, curves.calibration)),
        "calibration-groups": (row for curves in evaluation.curves for row in _groups(curves)),
        "decision-curves": (row for curves in evaluation.curves for row in _points(curves, curves.decision)),
        "checklists": (
            {"checklist": name, "item": item.item, "section": item.section, "topic": item.topic}
            | {"state": item.extent.value, "answer": item.text}
            for name, items in checklists.items()
            for item in items
        ),
    }
    listed = {name: list(rows) for name, rows in tables.items()}
    return {name: rows for name, rows in listed.items() if rows}


def flat(row: object) -> dict[str, object]:
    """A finding as columns: `auc`, `auc_low`, `auc_high`; parts of a part are joined by underscores."""
    return dict(_columns(row))


def _columns(row: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    assert is_dataclass(row)
    for field in fields(row):
        value = getattr(row, field.name)
        name = prefix if field.name == "value" else f"{prefix}{'_' if prefix else ''}{field.name}"
        if isinstance(value, Model):
            yield "input", value.input
            yield "resolution", value.resolution.value
        elif is_dataclass(value):
            yield from _columns(value, name)
        else:
            yield name, value.value if isinstance(value, StrEnum) else value


def _of(curves: Curves) -> dict[str, object]:
    return {"cohort": curves.cohort.value, "input": curves.model.input, "resolution": curves.model.resolution.value}


def _roc(curves: Curves) -> Iterator[dict[str, object]]:
    points = zip(curves.cutoffs.tolist(), curves.false_positive.tolist(), curves.sensitivity.tolist(), strict=True)
    for cutoff, false_positive, sensitivity in points:
        yield _of(curves) | {"cutoff": cutoff, "specificity": 1 - false_positive, "sensitivity": sensitivity}


def _points(curves: Curves, band: Band) -> Iterator[dict[str, object]]:
    for x, y, low, high in zip(*(each.tolist() for each in (band.x, band.y, band.low, band.high)), strict=True):
        yield _of(curves) | {"x": x, "y": y, "y_low": low, "y_high": high}


def _groups(curves: Curves) -> Iterator[dict[str, object]]:
    for group in curves.groups:
        yield _of(curves) | flat(group)


def _csv(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Every column that any row has; figures to nine digits, which is more than any of them is worth."""
    listed = list(rows)
    columns = list(dict.fromkeys(name for row in listed for name in row))
    stream = io.StringIO()
    figures = (
        {name: f"{value:.9g}" if isinstance(value, float) else value for name, value in row.items()} for row in listed
    )
    write_mappings(stream, columns, figures)
    return stream.getvalue().encode()
