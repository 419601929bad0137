"""The node as container and service run it: it writes nothing but its root and temporary files, by no capability."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..parts.dcmtk import Tool
from ..parts.node import ROOT, Node
from ..parts.orthanc import Orthanc
from ..parts.processes import ENVIRONMENT
from .conftest import SentStudy, running_node

#: The whole file system is read-only but for two folders; no capability is left, and none can be gained.
CONFINED = """
set -e
mount --make-rprivate /
for writable in "$0" "$1"; do mount --bind "$writable" "$writable"; done
mount -o remount,bind,ro /
export TMPDIR="$1" MPLCONFIGDIR="$1/matplotlib" HOME=/nonexistent
shift
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"
"""


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """What stands before a command of the node whose root is the folder `var` of "confined"."""
    folder = tmp_path_factory.mktemp("confined", numbered=False)
    for name in ("var", "tmp"):
        (folder / name).mkdir(mode=0o700)
    words = ["unshare", "--mount", "sh", "-c", CONFINED, folder / "var", folder / "tmp"]
    probe = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"this machine confines no process: {probe.stderr.strip()}")
    return words


@pytest.fixture(scope="module")
def confined(under: list[object], orthanc: Orthanc) -> Iterator[Node]:
    with running_node(Path(str(under[5])).parent, orthanc.dicom_port, under=under) as node:
        yield node


def test_nothing_else_can_be_written(under: list[object]) -> None:
    done = subprocess.run([*under, "touch", str(ROOT / "touched")], capture_output=True, text=True, check=False)
    assert "Read-only file system" in done.stderr


def test_a_study_is_analysed_and_its_results_are_delivered(confined: Node, skyra: SentStudy, storescu: Tool) -> None:
    assert storescu(skyra.folder, confined.port).returncode == 0
    settled = confined.wait_until_settled(skyra.uid)
    assert settled["study"]["state"] == "COMPLETED"
    assert set(settled["deliveries"]["pacs"]) == {"STORED"}


def test_its_health_check_passes(confined: Node, under: list[object]) -> None:
    call = [sys.executable, "-m", "node", "status", "--json", "--config", confined.config]
    done = subprocess.run([*under, *call], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_has_no_capability(confined: Node) -> None:
    assert confined.process is not None
    status = Path(f"/proc/{confined.process.pid}/status").read_text()
    held = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    assert held == dict.fromkeys(held, 0)
    assert len(held) == 5
    assert "NoNewPrivs:\t1" in status


def test_the_service_is_confined_further_than_most() -> None:
    """Exposure by systemd's own account, where 10 is none confined: at most 3.0."""
    call = [
        "systemd-analyze",
        "security",
        "--offline=yes",
        "--threshold=30",
        "--no-pager",
        ROOT / "setup/rectal-node.service",
    ]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_the_service_is_understood_by_systemd(tmp_path: Path) -> None:
    program = shutil.which("true")
    text = (ROOT / "setup" / "rectal-node.service").read_text()
    (tmp_path / "rectal-node.service").write_text(text.replace("/opt/rectal-node/.venv/bin/rectal-node", str(program)))
    call = ["systemd-analyze", "verify", "--man=no", tmp_path / "rectal-node.service"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
