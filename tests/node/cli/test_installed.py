"""An installation tells its versions and hands out a configuration."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from models.engines.execution import Precision
from models.engines.processor import computes_bfloat16
from node.settings import load_settings

from ...parts import engines

ROOT = Path(__file__).parents[3]
DECISIVE = (
    "torch",
    "openvino",
    "monai",
    "SimpleITK",
    "numpy",
    "scipy",
    "catboost",
    "highdicom",
    "pydicom",
    "pynetdicom",
)


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "node", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_version_names_the_node_and_every_library_that_decides_results(tmp_path: Path) -> None:
    answer = command("--version", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    said = dict(line.split(" ", 1) for line in answer.stdout.splitlines())
    assert said["rectal-node"] == metadata.version("rectal-node")
    assert {name: said[name] for name in DECISIVE} == {name: metadata.version(name) for name in DECISIVE}
    assert sum(name.startswith("pyradiomics") for name in said) == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the variable limits x86 instructions")
def test_a_new_configuration_on_a_processor_without_bfloat16_sets_float32(tmp_path: Path, monkeypatch) -> None:
    """OpenVINO leaves newer instructions unused where this variable says so."""
    monkeypatch.setenv("OV_CPU_MAX_ISA", "AVX2")
    assert command("new-config", folder=tmp_path).returncode == 0
    written = load_settings(tmp_path / "config.toml")
    assert written.analysis.precision is Precision.FLOAT32
    engines.share(tmp_path / "var")
    assert command("check-config", folder=tmp_path).returncode == 0


@pytest.mark.skipif(not computes_bfloat16(), reason="the processor computes no bfloat16")
def test_a_new_configuration_is_the_committed_one_and_works_where_it_was_written(tmp_path: Path) -> None:
    assert command("new-config", folder=tmp_path).returncode == 0
    assert (tmp_path / "config.toml").read_text() == (ROOT / "config.toml").read_text()
    assert load_settings(tmp_path / "config.toml").root == tmp_path / "var"
    (tmp_path / "config.toml").write_text("[listener]\nport = 104\n")
    again = command("new-config", folder=tmp_path)
    assert again.returncode == 1
    assert again.stderr.strip() == "config.toml: cannot be written: File exists"
    assert load_settings(tmp_path / "config.toml").listener.port == 104
