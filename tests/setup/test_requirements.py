"""What is asked for, what was tested and what is packed agree with each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
#: But for the extras that name others of this project.
EXTRAS = [
    line
    for extra in PROJECT["optional-dependencies"].values()
    for line in extra
    if Requirement(line).name != PROJECT["name"]
]


@pytest.fixture(scope="module")
def tested() -> dict[str, str]:
    """Distribution and version of every line of the constraints."""
    lines = (ROOT / "setup" / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *EXTRAS, "setuptools", "versioneer"])
def test_every_requirement_was_tested_in_a_version_that_it_allows(line: str, tested: dict[str, str]) -> None:
    wanted = Requirement(line)
    assert tested[canonicalize_name(wanted.name)] in wanted.specifier


def test_the_checks_want_the_pythons_of_the_project() -> None:
    script = (ROOT / "setup" / "check.sh").read_text("utf-8")
    oldest, newest = map(int, re.search(r"^oldest=(\d+) newest=(\d+)", script, re.MULTILINE).groups())
    assert PROJECT["requires-python"] == f">=3.{oldest},<3.{newest + 1}"


def test_a_wheel_holds_every_file_of_the_packages_and_the_configuration(tmp_path: Path) -> None:
    for name in ("node", "storage", "models"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "config.toml"):
        shutil.copy(ROOT / name, tmp_path)
    packed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    call = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "made", "."]
    subprocess.run(call, cwd=tmp_path, check=True)
    (wheel,) = (tmp_path / "made").iterdir()
    names = set(zipfile.ZipFile(wheel).namelist())
    name = f"rectal_node-{PROJECT['version']}"
    assert f"{name}.data/data/share/rectal-node/config.toml" in names
    assert packed - names == {"pyproject.toml", "README.md", "LICENSE", "config.toml"}
