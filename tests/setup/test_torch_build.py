"""Which build of torch an installation gets: the CPU build where its index answers; where not, it does not wait."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = re.search(r"^torch==(.*)$", (ROOT / "setup" / "constraints.txt").read_text(), re.MULTILINE)[1]


def offer(folder: Path, version: str) -> str:
    """An index with one torch of that version, which holds nothing but its name."""
    place = folder / "torch"
    place.mkdir(parents=True)
    name = f"torch-{version}-py3-none-any.whl"
    about = f"torch-{version}.dist-info"
    with zipfile.ZipFile(place / name, "w") as wheel:
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    (place / "index.html").write_text(f'<a href="{name}">{name}</a>')
    return folder.as_uri()


@pytest.fixture
def pip(tmp_path: Path) -> Path:
    """pip of an empty environment: this interpreter's own, run by that one as `pip --python` runs it."""
    venv.create(tmp_path / "venv", with_pip=False)
    wrapper = tmp_path / "venv" / "bin" / "pip"
    runner = Path(find_spec("pip").origin).with_name("__pip-runner__.py")
    wrapper.write_text(f'#!/bin/sh\nexec "{tmp_path}/venv/bin/python" "{runner}" "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


@pytest.fixture
def usual(tmp_path: Path) -> dict[str, str]:
    index = {"PIP_INDEX_URL": offer(tmp_path / "usual", VERSION), "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    return {**os.environ, **index}


def install(pip: Path, build: str, environment: dict[str, str], megabytes: int = 0) -> subprocess.CompletedProcess[str]:
    call = ["sh", str(ROOT / "setup" / "torch.sh"), str(pip), build, str(megabytes)]
    return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)


def installed(pip: Path) -> list[str]:
    about = pip.parents[1].glob("lib/*/site-packages/torch-*.dist-info")
    return [path.stem.removeprefix("torch-") for path in about]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one build")
def test_the_cpu_build_comes_from_its_own_index_and_cuda_takes_its_place_when_asked_for(pip, usual, tmp_path) -> None:
    both = usual | {"TORCH_CPU_INDEX": offer(tmp_path / "cpu", f"{VERSION}+cpu")}
    assert install(pip, "cpu", both).stdout == ""
    assert installed(pip) == [f"{VERSION}+cpu"]
    install(pip, "cuda", both)
    assert installed(pip) == [VERSION]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one build")
def test_where_the_cpu_index_never_answers_the_usual_one_is_taken_within_seconds_and_said(pip, usual) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/whl/cpu"
        begun = time.monotonic()
        answer = install(pip, "cpu", usual | {"TORCH_CPU_INDEX": address})
        assert time.monotonic() - begun < 60
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"{address} has no torch {VERSION} for this Python, or does not answer")
    assert installed(pip) == [VERSION]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one build")
def test_the_larger_build_is_not_begun_without_the_space_for_it(pip, usual) -> None:
    answer = install(pip, "cpu", usual | {"TORCH_CPU_INDEX": "http://127.0.0.1:9/"}, megabytes=10**9)
    assert answer.returncode == 1
    assert answer.stderr.startswith("No space: 1000000000 MB are needed")
    assert installed(pip) == []
