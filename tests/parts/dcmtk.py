"""DCMTK: its tools, its receiver `storescp`, its archive `dcmqrscp`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from node.dicom.scu import echo

from .processes import ENVIRONMENT, free_port, running

#: The most studies that dcmqrscp keeps under one AE title, whatever is asked for.
MOST_STUDIES = 1000

Tool = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class StoreSCP:
    """A running receiver of DCMTK's that writes each object into a folder."""

    port: int
    folder: Path
    ae_title: str

    def files(self) -> list[Path]:
        """What it has received, one file as often as an object came."""
        return sorted(path for path in self.folder.iterdir() if path.suffix != ".log")

    def data_sets(self) -> list[pydicom.Dataset]:
        """The same, read."""
        return [pydicom.dcmread(path) for path in self.files()]


@dataclass(frozen=True)
class Archive:
    """A running dcmqrscp."""

    port: int
    folder: Path
    ae_titles: tuple[str, ...]

    def files(self, ae_title: str) -> list[Path]:
        """What it keeps under an AE title."""
        return sorted(path for path in (self.folder / ae_title).iterdir() if path.name != "index.dat")

    def data_sets(self, ae_title: str) -> list[pydicom.Dataset]:
        """The same, read."""
        return [pydicom.dcmread(path) for path in self.files(ae_title)]


def run_dcmtk(tool: str, *arguments: object, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end."""
    assert shutil.which(tool), f"{tool} of DCMTK is missing: `make tools` installs it"
    call = [tool, *map(str, arguments)]
    return subprocess.run(
        call, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout_s, env=ENVIRONMENT, check=False
    )


@contextmanager
def running_storescp(folder: Path, *options: str, ae_title: str = "PACS", port: int = 0) -> Iterator[StoreSCP]:
    """A receiver that writes the bits of each object as they came into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    found = StoreSCP(port or free_port(), folder, ae_title)
    call = ["storescp", "-v", "+B", "--fork", "--unique-filenames", *options]
    call += ["-aet", ae_title, "-od", str(folder), str(found.port)]
    with running("storescp", call, folder / "storescp.log", lambda: _answers(found.port, ae_title)):
        yield found


@contextmanager
def running_dcmqrscp(
    folder: Path, ae_titles: Sequence[str] = ("DCMQRSCP",), destinations: Mapping[str, int] | None = None, port: int = 0
) -> Iterator[Archive]:
    """An archive with a storage of its own under each AE title, open to any AE.

    Args:
        folder: a new one.
        ae_titles: as it is called.
        destinations: ports of those to whom it moves, by AE title.
        port: where it listens; 0: a free one.
    """
    found = Archive(port or free_port(), folder, tuple(ae_titles))
    for ae_title in ae_titles:
        (folder / ae_title).mkdir(parents=True)
    hosts = [f"host{n} = ({title}, localhost, {at})" for n, (title, at) in enumerate((destinations or {}).items())]
    storages = [f"{title} {folder / title} RW ({MOST_STUDIES}, 1024mb) ANY" for title in ae_titles]
    lines = [f"NetworkTCPPort = {found.port}", "MaxPDUSize = 131072", "MaxAssociations = 16"]
    lines += ["HostTable BEGIN", *hosts, "HostTable END", "VendorTable BEGIN", "VendorTable END"]
    lines += ["AETable BEGIN", *storages, "AETable END"]
    (folder / "dcmqrscp.cfg").write_text("\n".join(lines) + "\n")
    call = ["dcmqrscp", "-v", "-c", folder / "dcmqrscp.cfg"]
    with running("dcmqrscp", call, folder / "dcmqrscp.log", lambda: _answers(found.port, ae_titles[0])):
        yield found


@pytest.fixture(scope="session")
def dcmtk() -> Tool:
    """Run a tool of DCMTK: its name, then its arguments."""
    return run_dcmtk


def _answers(port: int, ae_title: str) -> bool:
    return not echo("127.0.0.1", port, ae_title, "READY", 30)
