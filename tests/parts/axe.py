"""axe-core of npm: what of a page in a browser hinders people with a disability (WCAG 2.2, levels A and AA)."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from .dcmjs import SCRIPTS

_SOURCE = SCRIPTS / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async (rules) => {
  const found = await axe.run(document, { resultTypes: ["violations"], ...(rules && { runOnly: rules }) });
  return found.violations;
}"""
_GRAVE = ("serious", "critical")


def require_axe() -> None:
    """Skip the test where axe-core is not installed."""
    if not _SOURCE.is_file():
        pytest.skip("axe-core is not installed: `make tools` does it where the npm registry can be reached")


def grave_findings(tab: Page, *rules: str) -> list[str]:
    """What is serious or critical in the page of a tab, by all rules or by these: a line a finding and place."""
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(_SOURCE.read_text())  # past the policy of the page, which lets no script of another in
    violations: list[dict[str, Any]] = tab.evaluate(_RUN, list(rules) or None)
    return [
        f"{tab.url}: {each['id']}: {node['target']}: {node['failureSummary']}"
        for each in violations
        if each["impact"] in _GRAVE
        for node in each["nodes"]
    ]
