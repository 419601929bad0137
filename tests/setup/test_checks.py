"""`make` on a machine that lacks something says so in one line with the remedy, before anything is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What the checks call beside the interpreter and the compiler.
TOOLS = ("awk", "cat", "chmod", "df", "dirname", "env", "grep", "make", "mkdir", "mktemp", "rm", "sed", "sh", "touch")
SYSTEMS = ("Debian/Ubuntu: ", "Fedora: ", "macOS: ")


def checkout(folder: Path) -> Path:
    """What of a fresh clone the installation begins with."""
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "setup", folder / "setup")
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "clone").mkdir()
    return checkout(tmp_path / "clone")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH that holds the ordinary tools and no compiler."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    return folder


def make(clone: Path, target: str = ".venv/.made", python: str | Path = sys.executable, **environment: str | Path):
    call = ["make", "--no-print-directory", target, f"PYTHON={python}", "TORCH=cpu"]
    variables = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    return subprocess.run(call, cwd=clone, env=variables, capture_output=True, text=True, check=False)


def faults(answer: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that name a fault, each with its remedies, of an installation that did not begin."""
    assert answer.returncode != 0, answer.stdout
    assert "venv --clear" not in answer.stdout
    return [line for line in answer.stderr.splitlines() if all(system in line for system in SYSTEMS)]


def interpreter(path: Path, script: str) -> Path:
    """A Python that runs `script` before anything that it is told."""
    path.mkdir()
    (path / "sitecustomize.py").write_text(script)
    wrapper = path / "python3"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def test_no_c_compiler(clone: Path, tools: Path) -> None:
    (line,) = faults(make(clone, PATH=tools, CC="cc"))
    assert line.startswith("No C compiler (cc), ")
    assert "apt install gcc" in line


def test_a_compiler_that_cannot_compile_is_none(clone: Path) -> None:
    (line,) = faults(make(clone, CC="false"))
    assert line.startswith("No C compiler (false), ")


def test_no_headers_of_python(clone: Path, tmp_path: Path) -> None:
    bare = "import sysconfig\nsysconfig.get_path = lambda name, *_, **__: '/nowhere'\n"
    (line,) = faults(make(clone, python=interpreter(tmp_path / "bare", bare)))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert line.startswith(f"No headers of Python {version} (/nowhere/Python.h)")
    assert f"apt install python{version}-dev" in line


@pytest.mark.parametrize("version", ["2.7", "3.10", "3.15"])
def test_a_python_that_is_too_old_or_too_new(clone: Path, tmp_path: Path, version: str) -> None:
    other = tmp_path / "python3"
    other.write_text(f"#!/bin/sh\necho {version}\n")
    other.chmod(0o755)
    (line,) = faults(make(clone, python=other))
    assert line.startswith(f"Wrong Python: 3.11 to 3.14 is needed, {other} is Python {version}.")


def test_a_fitting_python_that_is_there_under_another_name_is_offered(clone: Path, tools: Path) -> None:
    (tools / "python3.12").symlink_to(sys.executable)
    (line,) = faults(make(clone, python="python3", PATH=tools))
    assert f"python3 does not run. {tools}/python3.12 is here: call make with PYTHON={tools}/python3.12." in line


def test_a_python_without_venv(clone: Path, tmp_path: Path) -> None:
    bare = interpreter(tmp_path / "bare", "import sys\nsys.modules['ensurepip'] = None\n")
    (line,) = faults(make(clone, python=bare))
    assert line.startswith(f"{bare} cannot make virtual environments")
    assert f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting a file system takes root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_no_space(small_disk: Path) -> None:
    (line,) = faults(make(checkout(small_disk)))
    assert line.startswith("No space: ")
    assert "are needed in .venv, 1 MB are free" in line


def test_every_fault_has_its_line_at_once(small_disk: Path) -> None:
    assert len(faults(make(checkout(small_disk), CC="false"))) == 2


def test_no_package_index_and_a_half_made_environment_is_made_anew(clone: Path, tmp_path: Path) -> None:
    left_over = clone / ".venv" / "lib" / "left-over.py"
    left_over.parent.mkdir(parents=True)
    left_over.touch()
    (tmp_path / "empty").mkdir()
    address = (tmp_path / "empty").as_uri()
    answer = make(clone, PIP_INDEX_URL=address, PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="")
    assert answer.returncode != 0
    line = answer.stderr.splitlines()[0]
    assert line.startswith(f"No package index: pip finds nothing at {address}. ")
    assert all(system in line for system in SYSTEMS)
    assert not left_over.exists()
    assert not (clone / ".venv" / ".made").exists()


@pytest.mark.parametrize(
    ("ended", "first"),
    [
        ((), "-m venv --clear"),
        ((".made",), "setup/torch.sh"),
        ((".made", ".torch-cpu"), "--editable ."),
    ],
)
def test_an_interrupted_installation_goes_on_with_the_step_that_did_not_end(clone: Path, ended, first: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", clone)
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for stamp in ended:
        (clone / ".venv" / stamp).touch()
    call = ["make", "-n", ".venv/.installed", f"PYTHON={sys.executable}"]
    steps = subprocess.run(call, cwd=clone, capture_output=True, text=True, check=True).stdout
    of_each = ["-m venv --clear", "setup/torch.sh", "--editable ."]
    assert [step for step in of_each if step in steps] == of_each[of_each.index(first) :]
