"""dcmjs-dimse of npm, which shares no code with pydicom and DCMTK: a user and a provider of each service."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from node.dicom.scu import echo

from .processes import ENVIRONMENT, free_port, running

SCRIPTS = Path(__file__).parent / "dcmjs"


@dataclass(frozen=True)
class DcmjsSCP:
    """A running provider, and the folder into which it writes what it is sent."""

    port: int
    folder: Path
    ae_title: str

    def files(self) -> list[Path]:
        """The data sets that it has received, one file as often as an object came, without file meta information."""
        return sorted(self.folder.glob("*.dataset"))

    def data_sets(self) -> list[pydicom.Dataset]:
        """The same, read."""
        return [_read(path) for path in self.files()]

    def log(self) -> str:
        """What it has been asked, a line a request."""
        return (self.folder / "dcmjs.log").read_text()


def require_dcmjs() -> None:
    """Skip the test where dcmjs-dimse cannot run."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine")
    if not (SCRIPTS / "node_modules" / "dcmjs-dimse").is_dir():
        pytest.skip("dcmjs-dimse is not installed: `make tools` does it where the npm registry can be reached")


@contextmanager
def running_dcmjs(
    folder: Path,
    ae_title: str = "PACS",
    port: int = 0,
    archive: Path | None = None,
    destinations: Mapping[str, int] | None = None,
) -> Iterator[DcmjsSCP]:
    """A provider of every service.

    Args:
        folder: a new one, into which it writes what it is sent.
        ae_title: as it calls others.
        port: where it listens; 0: a free one.
        archive: from whose files it answers queries and retrievals.
        destinations: ports of those to whom it moves, by AE title.
    """
    require_dcmjs()
    folder.mkdir(parents=True, exist_ok=True)
    found = DcmjsSCP(port or free_port(), folder, ae_title)
    call = ["node", SCRIPTS / "scp.cjs", found.port, folder, archive or "", ae_title, json.dumps(destinations or {})]
    log = folder / "dcmjs.log"
    with running("dcmjs-dimse", call, log, lambda: not echo("127.0.0.1", found.port, ae_title, "READY", 30)):
        yield found


def run_dcmjs(service: str, port: int, called: str, calling: str = "DCMJS", **asked: Any) -> list[dict[str, Any]]:
    """Ask for a service; the responses in their order, each with `status` and, where it has one, `dataset`.

    Raises:
        AssertionError: there was no association, or it did not end in order.
    """
    require_dcmjs()
    call = ["node", str(SCRIPTS / "scu.cjs"), service, "127.0.0.1", str(port), calling, called, json.dumps(asked)]
    ended = subprocess.run(call, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


def _read(path: Path) -> pydicom.Dataset:
    """A data set without file meta information, whose name ends in its transfer syntax."""
    syntax = UID(path.stem.partition("-")[2])
    data_set = pydicom.filereader.read_dataset(
        BytesIO(path.read_bytes()), syntax.is_implicit_VR, syntax.is_little_endian
    )
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    return data_set
