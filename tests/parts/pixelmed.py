"""PixelMed's DicomSRValidator, which IHE's Connectathon asks: templates, their order, context groups."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

JAR = Path("/usr/share/java/pixelmed.jar")
#: For many files in one JVM; Java's own launcher compiles it.
_PROGRAM = Path(__file__).with_name("SRValidation.java")
#: Without them Java 17 refuses its style sheets, as too large.
_LIMITS = [f"-Djdk.xml.xpath{what}Limit=0" for what in ("TotalOp", "ExprOp", "ExprGrp")]
#: Of a process that ends after seconds the second compiler and a parallel collector take more than they give.
_SHORT_LIVED = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
_HEAD = "== "

needs_pixelmed = pytest.mark.skipif(not JAR.exists(), reason="pixelmed-apps is not installed")


def sr_errors(paths: Iterable[Path]) -> dict[Path, list[str]]:
    """What the validator calls an error, by file.

    The start and a full report take 7 s of a processor. Raises AssertionError where it did not come to the end of
    a file.
    """
    wanted = list(paths)
    command = ["java", *_SHORT_LIVED, *_LIMITS, "-cp", JAR, _PROGRAM, *wanted]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=550)
    assert done.returncode == 0, done.stderr
    said = dict(part.split("\n", 1) for part in done.stdout.split(_HEAD)[1:])
    assert set(said) == {str(path) for path in wanted}
    for path, text in said.items():
        assert "IOD validation complete" in text, (path, text)
    return {path: [line for line in said[str(path)].splitlines() if line.startswith("Error")] for path in wanted}
