"""labels.csv: one row a case, as `CaseFacts`; every fault is a line that names row and case."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from models import spreadsheet
from models.research.cohort.records import TABLE_NAME, CaseFacts, Equipment, Needs, Split

COLUMNS = ("case", "patient", "manufacturer", "model", "field_strength_t", "split", "label")
#: May be left out: "no" for a case without tumour.
TUMOUR_COLUMN = "tumour"
_CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOT_A_NUMBER = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity", "#n/a", "n/a", "null", "none"}
_UNKNOWN = {"", "unknown", "other", "?", "-"}
_STRONGEST_T = 20.0


def read_table(folder: Path) -> tuple[tuple[CaseFacts, ...], tuple[str, ...]]:
    """The rows that can be understood, and a line for everything that cannot."""
    try:
        text = (folder / TABLE_NAME).read_text("utf-8-sig")
    except OSError as error:
        return (), (f"{folder / TABLE_NAME}: cannot be read: {error.strerror}",)
    except UnicodeDecodeError:
        return (), (f"{folder / TABLE_NAME}: not UTF-8; save it as CSV in UTF-8",)
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",")
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        return (), (f"{TABLE_NAME}: column {', '.join(missing)} is missing; needed are {', '.join(COLUMNS)}",)
    entries, faults = [], []
    for row in reader:
        found = _facts(
            {
                spreadsheet.read(str(name)): spreadsheet.read((value or "").strip())
                for name, value in row.items()
                if not isinstance(value, list)  # cells beyond the last column; a row that is short has None
            }
        )
        if isinstance(found, CaseFacts):
            entries.append(found)
        else:
            faults += [f"{TABLE_NAME}:{reader.line_num}: {fault}" for fault in found]
    return tuple(entries), tuple(faults)


def consistency(entries: Iterable[CaseFacts], needs: Needs) -> Iterator[str]:
    """Faults of the rows taken together."""
    rows = tuple(entries)
    yield from _repeated(rows)
    yield from _patients_in_two_splits(rows)
    yield from _spellings(rows)
    if len(rows) < needs.cases:
        yield f"{TABLE_NAME}: {len(rows)} usable rows; at least {needs.cases} cases are needed"
    if needs.labels:
        yield from _labels(rows, needs)


def row_faults(facts: CaseFacts) -> tuple[str, ...]:
    """Why a row would not be understood when it is read again."""
    row = dict(zip((*COLUMNS, TUMOUR_COLUMN), _cells(facts), strict=True)) | dict(facts.clinical)
    return tuple(f"case {facts.case_id}: {fault}" for fault in _row_faults(row))


def write_table(folder: Path, entries: Iterable[CaseFacts]) -> None:
    """Writes the rows in the order of their case ids, whole or not at all."""
    rows = sorted(entries, key=lambda facts: facts.case_id)
    clinical = sorted({name for facts in rows for name in facts.clinical})
    partial = folder / f".{TABLE_NAME}.partial"
    with partial.open("w", encoding="utf-8", newline="") as stream:
        cells = ((*_cells(facts), *(facts.clinical.get(name, "") for name in clinical)) for facts in rows)
        spreadsheet.write_table(stream, (*COLUMNS, TUMOUR_COLUMN, *clinical), cells)
    os.replace(partial, folder / TABLE_NAME)


def _cells(facts: CaseFacts) -> tuple[str, ...]:
    return (
        facts.case_id,
        facts.patient_id,
        facts.equipment.manufacturer,
        facts.equipment.model,
        f"{facts.equipment.field_strength_t:g}",
        facts.split or "",
        "" if facts.label is None else str(facts.label),
        "yes" if facts.tumour else "no",
    )


def _facts(row: Mapping[str, str]) -> CaseFacts | list[str]:
    """The facts of a row, or its faults."""
    faults = list(_row_faults(row))
    if faults:
        return [f"case {row['case'] or '(no name)'}: {fault}" for fault in faults]
    own = (*COLUMNS, TUMOUR_COLUMN)
    return CaseFacts(
        case_id=row["case"],
        patient_id=row["patient"],
        equipment=Equipment(row["manufacturer"], row["model"], float(row["field_strength_t"])),
        split=Split(row["split"]) if row["split"] else None,
        label=int(row["label"]) if row["label"] else None,
        tumour=row.get(TUMOUR_COLUMN, "") != "no",
        clinical={name: value for name, value in row.items() if name not in own},
    )


def _row_faults(row: Mapping[str, str]) -> Iterator[str]:
    strange = {name for name, value in row.items() if value.casefold() in _NOT_A_NUMBER}
    yield from (f"{name} is {row[name]!r}; leave the cell empty where a value is not known" for name in sorted(strange))
    yield from (fault for name, fault in _cell_faults(row) if name not in strange)


def _cell_faults(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Column and fault."""
    if not _CASE_ID.fullmatch(row["case"]):
        yield "case", "the case id names a folder: letters, digits, dot, hyphen and underscore, 64 at most"
    if not row["patient"]:
        yield "patient", "patient is empty; it is needed to keep the cases of a patient in one split"
    for name in ("manufacturer", "model"):
        if row[name].casefold() in _UNKNOWN:
            yield name, f"unknown scanner: {name} is {row[name]!r}"
    if not 0 < _number(row["field_strength_t"]) <= _STRONGEST_T:
        yield "field_strength_t", f"unknown scanner: field_strength_t is {row['field_strength_t']!r}; T, above 0"
    if row["split"] not in ("", *Split):
        yield "split", f"split is {row['split']!r}; known are {', '.join(Split)} or nothing"
    if row["label"] not in ("", "0", "1"):
        label = repr(row["label"])
        yield "label", f"label is {label}; 1 is the positive class, 0 the other, nothing where it is not known"
    if row.get(TUMOUR_COLUMN, "") not in ("", "yes", "no"):
        yield TUMOUR_COLUMN, f"{TUMOUR_COLUMN} is {row[TUMOUR_COLUMN]!r}; known are yes, no or nothing"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _repeated(rows: tuple[CaseFacts, ...]) -> Iterator[str]:
    by_name = defaultdict(list)
    for facts in rows:
        by_name[facts.case_id.casefold()].append(facts)
    for group in by_name.values():
        splits = sorted({facts.split or "none" for facts in group})
        if len(splits) > 1:
            yield f"{TABLE_NAME}: case {group[0].case_id} stands in two splits: {', '.join(splits)}"
        elif len(group) > 1:
            yield f"{TABLE_NAME}: case {group[0].case_id} stands there {len(group)} times"


def _patients_in_two_splits(rows: tuple[CaseFacts, ...]) -> Iterator[str]:
    by_patient: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for facts in rows:
        by_patient[facts.patient_id].setdefault(facts.split or "none", facts.case_id)
    for patient, splits in by_patient.items():
        if len(splits) > 1 and len(set(splits.values())) > 1:
            described = ", ".join(f"{case} in {split}" for split, case in sorted(splits.items()))
            yield f"{TABLE_NAME}: patient {patient} stands in two splits: {described}"


def _spellings(rows: tuple[CaseFacts, ...]) -> Iterator[str]:
    """One scanner under two spellings would be two scanners wherever one is left out."""
    spelt = defaultdict(set)
    for facts in rows:
        spelt[re.sub(r"[\W_]+", "", facts.equipment.name).casefold()].add(facts.equipment.name)
    for names in spelt.values():
        if len(names) > 1:
            yield f"{TABLE_NAME}: unknown scanner: {' and '.join(sorted(names))} are one; use one spelling"


def _labels(every: tuple[CaseFacts, ...], needs: Needs) -> Iterator[str]:
    """A case without tumour has nothing to be measured and needs no label."""
    rows = [facts for facts in every if facts.tumour]
    if missing := [facts.case_id for facts in rows if facts.label is None]:
        yield from (f"{TABLE_NAME}: case {case}: label is missing" for case in missing)
        return
    counts = {label: sum(facts.label == label for facts in rows) for label in (0, 1)}
    if min(counts.values()) == 0 and max(counts.values()) > 0:
        yield f"{TABLE_NAME}: every label is {max(counts, key=lambda label: counts[label])}; two classes are needed"
    elif 0 < min(counts.values()) < needs.cases_a_class:
        rare = min(counts, key=lambda label: counts[label])
        yield (
            f"{TABLE_NAME}: {counts[rare]} cases have label {rare}; at least {needs.cases_a_class} of each class are "
            "needed"
        )
