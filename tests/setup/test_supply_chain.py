"""What a node is made of: its bill of materials, and what is told of known vulnerabilities."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from models.manifest import load_manifest

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "models" / "weights"
BILL = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "setup" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bill() -> dict:
    return script("sbom").with_models(BILL, iter([WEIGHTS]))


def test_a_bill_with_models_is_one_by_the_schema(bill: dict) -> None:
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
    assert fault is None, fault


def test_the_schema_refuses_a_card_that_is_none(bill: dict) -> None:
    (first, *others) = bill["components"]
    spoilt = {**bill, "components": [{**first, "modelCard": {"task": 3}}, *others]}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(spoilt)) is not None


def test_every_shipped_bundle_is_there_with_the_digests_of_its_files_and_its_training(bill: dict) -> None:
    found = {it["name"]: it for it in bill["components"]}
    manifests = [load_manifest(path.parent) for path in WEIGHTS.glob("*/manifest.json")]
    assert len(manifests) == 3
    for manifest in manifests:
        model = found[manifest.name]
        assert {it["name"]: it["hashes"][0]["content"] for it in model["components"]} == manifest.files
        assert model["modelCard"]["modelParameters"]["datasets"][0]["description"] == manifest.training_data
        assert model["modelCard"]["considerations"]["useCases"] == [manifest.intended_use]
        assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]


def package(name: str, *vulnerabilities: str, **more: object) -> dict:
    vulns = [{"id": it, "fix_versions": ["2"], "aliases": [], "description": ""} for it in vulnerabilities]
    return {"name": name, "version": "1", **({} if "skip_reason" in more else {"vulns": vulns}), **more}


def test_a_vulnerability_is_told_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert script("audit").told([package("a", "CVE-1"), package("b"), package("c", skip_reason="not found")]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "a 1: CVE-1; mended in 2",
        "2 packages audited, 1 unknown to the source, 1 vulnerabilities",
    ]


def test_that_nobody_could_be_asked_is_not_told_as_that_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert script("audit").told([package("a", skip_reason="not found on PyPI")]) == 0
    assert capsys.readouterr().out == "no source of advisories is reachable: none of 1 packages was audited\n"
