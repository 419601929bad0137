"""What the tests of faults have shown: a line of JSON for each that has passed, under `runs/faults`."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "runs" / "faults" / "results.jsonl"
#: What decides about an outcome; a line of other code counts no more.
_CODE = ("node", "storage", "tests/faults")


@dataclass(frozen=True)
class Passed:
    """A test that has passed.

    Attributes:
        test: its name, such as `tests/faults/test_kills.py::test_…[3]`.
        code: digest of the node and of these tests.
        commit: of the repository.
        on: date.
        seconds: how long it took.
        figures: what it has counted.
    """

    test: str
    code: str
    commit: str
    on: str
    seconds: float
    figures: dict[str, float]

    @property
    def name(self) -> str:
        """Of the test function, whatever it was run with."""
        return self.test.rpartition("::")[2].partition("[")[0]


@cache
def code() -> str:
    """Digest of the code that the results are of."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in (ROOT / folder).rglob("*.py")):
        if path.name == "page.py" and path.parent.name == "faults":
            continue  # how results are written down changes none
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def commit() -> str:
    """Commit of the repository."""
    call = ["git", "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(call, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def append(passed: Passed) -> None:
    """Write one down."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with FILE.open("a") as file:
        file.write(json.dumps(asdict(passed)) + "\n")


def read() -> Iterator[Passed]:
    """Those of this code, the last one of each test."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    found = {each.test: each for each in (Passed(**json.loads(line)) for line in lines) if each.code == code()}
    yield from found.values()
