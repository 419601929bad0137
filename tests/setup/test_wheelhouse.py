"""Installing from a folder of wheels, without a network: checked, switched in one step, and back to the one before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "rectal-node"
version = "{version}"
scripts = {{ rectal-node = "command:main" }}
[tool.setuptools]
py-modules = ["command"]
"""


def wheelhouse(folder: Path, version: str) -> Path:
    """One with a command of the node's name that says its version, and no more."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "pyproject.toml").write_text(PROJECT.format(version=version))
    (source / "command.py").write_text(f"def main():\n    print('rectal-node {version}')\n")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", folder / "wheels", source], check=True)
    shutil.rmtree(source)
    hashed = subprocess.run(
        [sys.executable, ROOT / "setup" / "hashed.py", folder / "wheels"], capture_output=True, text=True, check=True
    )
    (folder / "requirements.txt").write_text(hashed.stdout)
    shutil.copy(ROOT / "setup" / "install.sh", folder)
    sums = "find . -type f ! -name SHA256SUMS | sort | xargs sha256sum >SHA256SUMS"
    subprocess.run(["sh", "-c", sums], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {version: wheelhouse(tmp_path_factory.mktemp("made") / version, version) for version in ("1.0", "2.0")}


def install(script: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    call = ["sh", script / "install.sh", *arguments]
    environment = os.environ | {"PYTHON": sys.executable, "PIP_NO_INDEX": "1"}
    return subprocess.run(list(map(str, call)), env=environment, capture_output=True, text=True, check=False)


def runs(folder: Path) -> str:
    call = [folder / "current" / "bin" / "rectal-node"]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def installed(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both, one after another."""
    folder = tmp_path_factory.mktemp("installed") / "rectal-node"
    for version, each in made.items():
        done = install(each, folder)
        assert done.returncode == 0, done.stderr
        assert runs(folder) == f"rectal-node {version}"
    return folder


def test_what_ran_before_comes_back_and_what_was_left_as_well(made: dict[str, Path], installed: Path) -> None:
    for version in ("1.0", "2.0"):
        assert install(made["2.0"], "--back", installed).returncode == 0
        assert runs(installed) == f"rectal-node {version}"


def test_the_same_again_changes_nothing(made: dict[str, Path], installed: Path) -> None:
    before = sorted((path.name, path.lstat().st_mtime_ns) for path in installed.iterdir())
    assert install(made["2.0"], installed).returncode == 0
    assert sorted((path.name, path.lstat().st_mtime_ns) for path in installed.iterdir()) == before


def test_a_file_that_has_changed_on_its_way_is_not_installed(made: dict[str, Path], tmp_path: Path) -> None:
    spoilt = shutil.copytree(made["1.0"], tmp_path / "spoilt")
    (wheel,) = (spoilt / "wheels").iterdir()
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    done = install(spoilt, tmp_path / "target")
    assert done.returncode == 1
    assert "files are not those that were made" in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_wheel_that_is_not_the_one_of_the_requirements_is_not_installed(
    made: dict[str, Path], tmp_path: Path
) -> None:
    """Whoever can change a file can make the sums anew; what is required is looked at by pip."""
    spoilt = shutil.copytree(made["1.0"], tmp_path / "spoilt")
    text = (spoilt / "requirements.txt").read_text()
    (spoilt / "requirements.txt").write_text(text[:-5] + "0000\n")
    subprocess.run(
        ["sh", "-c", "find . -type f ! -name SHA256SUMS | xargs sha256sum >SHA256SUMS"], cwd=spoilt, check=True
    )
    done = install(spoilt, tmp_path / "target")
    assert done.returncode == 1
    assert "HASHES" in done.stderr
    assert not (tmp_path / "target" / "current").exists()


def test_where_nothing_was_before_there_is_no_way_back(made: dict[str, Path], tmp_path: Path) -> None:
    done = install(made["1.0"], "--back", tmp_path)
    assert (done.returncode, "nothing was installed before" in done.stderr) == (1, True)
