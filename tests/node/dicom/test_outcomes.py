"""The table of policies: what each status of a C-STORE response means (PS3.4 B.2.3, PS3.7 C)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from node.dicom.outcomes import STATUS_POLICIES, StoreResult, classify, policies_as_markdown

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("policy", STATUS_POLICIES, ids=lambda policy: policy.statuses)
def test_every_status_of_a_row_has_its_meaning(policy):
    assert {classify(status) for status in (policy.first, policy.last)} == {policy.result}


def test_no_status_stands_in_two_rows():
    rows = sorted((policy.first, policy.last) for policy in STATUS_POLICIES)
    assert all(last < first for (_, last), (first, _) in pairwise(rows))


@pytest.mark.parametrize("status", [0x0118, 0x0119, 0xA600, 0xA800, 0xA8FF, 0xAA00, 0xAFFF, 0xD000, 0xFF00])
def test_a_status_that_no_row_has_is_a_permanent_refusal(status):
    assert classify(status) is StoreResult.PERMANENT


def test_the_table_for_operators_is_the_one_of_the_code():
    assert policies_as_markdown() in (ROOT / "docs" / "operations.md").read_text("utf-8")
