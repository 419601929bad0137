"""What the manifests of the shipped networks name was measured for their weights, and stays within the limits."""

from pathlib import Path

import numpy as np
import pytest

import models
from models.engines.execution import Engine, Execution, Precision
from models.manifest import load_manifest
from models.research.experiments.engines import (
    CHAIN,
    DICE_LIMIT,
    PSNR_LIMIT_DB,
    SEGMENTATION,
    SUPER_RESOLUTION,
    EngineRow,
    read_rows,
    summary,
    write_rows,
    write_summary,
)

ROOT = Path(models.__file__).parents[1]
TABLE = ROOT / "docs" / "models" / "engines.csv"
LIMITS = {SUPER_RESOLUTION: PSNR_LIMIT_DB, SEGMENTATION: DICE_LIMIT, CHAIN: DICE_LIMIT}


def manifest_of(kind: str):
    return load_manifest(ROOT / "models" / "weights" / kind)


@pytest.mark.parametrize("part", LIMITS)
def test_the_engine_and_precision_of_a_shipped_network_stay_within_the_limits(part):
    execution = manifest_of(SEGMENTATION if part == CHAIN else part).execution
    found = [row for row in read_rows(TABLE) if (row.part, row.execution) == (part, str(execution))]
    assert len({row.seed for row in found}) >= 6
    assert {row.scanner for row in found} >= {"uMR 570", "Skyra"}
    assert abs(np.mean([row.difference for row in found])) <= LIMITS[part]


def test_the_table_is_of_the_shipped_weights():
    digests = [manifest_of(kind).files["weights.safetensors"][:12] for kind in (SUPER_RESOLUTION, SEGMENTATION)]
    assert {row.weights for row in read_rows(TABLE)} == {" ".join(digests)}


def test_the_page_holds_what_the_table_says():
    page = (TABLE.with_suffix(".md")).read_text("utf-8")
    assert "\n".join(summary(read_rows(TABLE))) in page


def test_what_costs_more_than_the_limit_is_said_not_to_be_within(tmp_path):
    execution = str(Execution(engine=Engine.OPENVINO, precision=Precision.BFLOAT16))
    rows = [EngineRow(SUPER_RESOLUTION, "a b", 1, "Skyra", "T2WI", execution, 30.0, it, 0.1) for it in (-0.04, -0.08)]
    write_rows(rows, tmp_path / "rows.csv")
    (tmp_path / "page.md").write_text("Before\n<!-- measured -->\nold\n<!-- end -->\nAfter\n")
    write_summary(summary(read_rows(tmp_path / "rows.csv")), tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "| super-resolution | openvino bfloat16 | 30.0000 | -0.06000 | -0.08000 | 0.1 | no |" in page
    assert "old" not in page
    assert page.startswith("Before\n")
    assert page.endswith("After\n")
