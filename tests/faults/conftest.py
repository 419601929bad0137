"""Long forms of the tests of faults (`make faults`) write down what they have counted, and go on where they were."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from node.settings import AnalysisSettings

from ..node.tiny import tiny_bundles
from . import results


@pytest.fixture(scope="session")
def bundles() -> AnalysisSettings:
    """Tiny bundles."""
    return tiny_bundles()


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> dict[str, float]:
    """What a long form counts, by a name with its unit; written down when it passes."""
    found: dict[str, float] = {}
    request.node.stash[_FIGURES] = found
    return found


_FIGURES = pytest.StashKey[dict[str, float]]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A long form that has passed with this code is not run again."""
    if _is_long(item) and item.nodeid in {each.test for each in results.read()}:
        pytest.skip(f"has passed with this code; without {results.FILE} it is run again")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    report = yield
    if _is_long(item) and report.when == "call" and report.passed:
        on = datetime.now(UTC).date().isoformat()
        counted = item.stash.get(_FIGURES, {})
        results.append(results.Passed(item.nodeid, results.code(), results.commit(), on, call.duration, counted))
    return report


def _is_long(item: pytest.Item) -> bool:
    return item.path.parent == Path(__file__).parent and item.get_closest_marker("faults") is not None
