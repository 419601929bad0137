"""Programs and libraries of others that read results: what they say against an object of any kind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom as hd
import pydicom
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage

BINARIES = Path(sys.executable).parent


def one_of_each_series(paths: Iterable[Path]) -> list[Path]:
    """The first object of each series."""
    found: dict[str, Path] = {}
    for path in sorted(paths):
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        found.setdefault(header.SeriesInstanceUID, path)
    return list(found.values())


def faults(path: Path) -> list[str]:
    """What dciodvfy, DCMTK, dcmqi and highdicom find wrong with an object.

    A pydicom or highdicom that cannot read it raises.
    """
    sop_class = pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID
    found = [line for line in _said("dciodvfy", "-new", path).splitlines() if line.startswith("Error")]
    with TemporaryDirectory() as folder:
        if sop_class == SegmentationStorage:
            hd.seg.segread(path).get_volume(combine_segments=True)
            found += _failure(
                BINARIES / "segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nifti"
            )
        elif sop_class == Comprehensive3DSRStorage:
            hd.sr.srread(path)
            found += _failure("dsrdump", path)
            metadata = Path(folder) / "report.json"
            found += _failure(BINARIES / "tid1500reader", "--inputDICOM", path, "--outputMetadata", metadata)
        elif sop_class == EncapsulatedPDFStorage:
            found += _failure("dcm2pdf", path, Path(folder) / "page.pdf")
        else:
            hd.imread(path).get_frame(1)
    return found


def _said(*command: object) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120).stderr


def _failure(*command: object) -> Iterator[str]:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        yield f"{Path(str(command[0])).name}: {done.stdout}{done.stderr}"
