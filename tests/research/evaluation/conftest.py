"""Oracle data of the statistics."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

ORACLES = Path(__file__).parents[2] / "data" / "oracles"


def columns(name: str) -> dict[str, list[str]]:
    with (ORACLES / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: [row[key] for row in rows] for key in rows[0]}


@pytest.fixture(scope="session")
def asah() -> dict[str, np.ndarray]:
    """113 patients with subarachnoid haemorrhage (pROC's aSAH); event: poor outcome; ties included."""
    table = columns("aSAH.csv")
    scores = {name: np.array([float(value) for value in table[name]]) for name in ("wfns", "s100b", "ndka")}
    return scores | {"event": np.array([int(value == "Poor") for value in table["outcome"]])}


@pytest.fixture(scope="session")
def mtcars() -> dict[str, np.ndarray]:
    """Outcome vs of R's mtcars with the fitted probabilities of two logistic models."""
    table = columns("reclassification.csv")
    return {name: np.array([float(value) for value in values]) for name, values in table.items()}
