"""The schema of answers is the one that is documented, and what commands print keeps to it."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from node.cli.main import app
from node.operations.json_schema import ANSWERS, json_schema
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.records import InstanceHeader, StudyState

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STUDY = "1.2.3"


def schema_of(command: str) -> dict[str, Any]:
    whole = json_schema()
    return whole["properties"][command] | {"$defs": whole["$defs"]}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node with a failed study and two broken files in quarantine."""
    path = tmp_path / "config.toml"
    path.write_text('root = "data"\n')
    index, store = Index(open_engine(f"sqlite:///{tmp_path}/data/index.sqlite")), ObjectStore(tmp_path / "data")
    header = InstanceHeader("1.2.840.10008.5.1.4.1.1.4", "1.2.3.1.1", STUDY, "1.2.3.1", "1.2.840.10008.1.2.1")
    index.register(header, store.store(b"bytes", header), "SCANNER", NOW)
    index.move(STUDY, 1, StudyState.FAILED, "the disk was full")
    for data in (b"broken", b"too short"):
        index.keep_quarantine(store.quarantine(data, "no DICOM"), "no DICOM", "SCANNER", NOW)
    return path


def run(config: Path, *arguments: str, ends_with: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json", "--config", str(config)])
    assert result.exit_code == ends_with, result.output
    return json.loads(result.stdout)


def structure(schema: Any) -> Any:
    """A schema without its descriptions, which follow the docstrings of many rooms."""
    if isinstance(schema, list):
        return [structure(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: structure(part) for key, part in schema.items() if key != "description" or isinstance(part, dict)}


def test_the_documented_schema_has_the_fields_and_types_of_the_code() -> None:
    kept = json.loads((ROOT / "docs" / "json-schema.json").read_text("utf-8"))
    assert structure(kept) == structure(json_schema()), "python -m node.operations.json_schema > docs/json-schema.json"
    assert len(kept["$defs"]) > 40


def test_every_answer_is_a_frozen_data_class_with_a_description() -> None:
    for kind in ANSWERS.values():
        assert is_dataclass(kind)
        assert kind.__dataclass_params__.frozen
        assert kind.__doc__
        assert not kind.__doc__.startswith(f"{kind.__name__}("), f"{kind.__name__} has no docstring of its own"
        assert fields(kind)


@pytest.mark.parametrize(
    "call",
    [
        ("status",),
        ("find",),
        ("account add", "eva"),
        ("account list",),
        ("replay",),
        ("rerun", STUDY),
        ("resend", STUDY),
        ("quarantine list",),
        ("quarantine show", "1"),
        ("quarantine discard", "1", "--reason", "a test"),
    ],
    ids=lambda call: call[0],
)
def test_what_a_command_prints_keeps_to_its_schema(config: Path, call: tuple[str, ...]) -> None:
    document = run(config, *call[0].split(), *call[1:])
    validator = Draft202012Validator(schema_of(call[0]))
    validator.validate(document)
    assert document


def test_a_document_with_another_type_does_not_keep_to_it(config: Path) -> None:
    document = run(config, "status")
    document["studies"][0]["study"]["revision"] = "first"
    assert not Draft202012Validator(schema_of("status")).is_valid(document)


def test_times_are_iso_8601_in_utc(config: Path) -> None:
    document = run(config, "status")
    assert document["studies"][0]["study"]["last_received_at"] == "2026-01-02T03:04:05Z"
    assert document["as_of"].endswith("Z")


def test_fields_that_scripts_read_are_there(config: Path) -> None:
    """Those of `status --json` before answers had a schema."""
    document = run(config, "status")
    line = document["studies"][0]
    study = {
        "study_instance_uid", "revision", "state", "series_count", "instance_count", "first_received_at",
        "last_received_at", "changed", "reason",
    }  # fmt: skip
    assert study <= set(line["study"])
    parts = {
        "refusals",
        "warnings",
        "set_aside",
        "locations",
        "series",
        "deliveries",
        "delivery_reasons",
        "withdrawals",
    }
    assert parts <= set(line)
    assert {"identifier", "file", "reason", "calling_ae", "received_at"} <= set(document["quarantine"][0])


def test_what_cannot_be_done_is_one_line_and_no_document(config: Path) -> None:
    result = CliRunner().invoke(app, ["cancel", STUDY, "--json", "--config", str(config)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "is FAILED: only an analysis that is queued" in str(result.exception)
