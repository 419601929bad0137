"""Programs and libraries of others that read results: what they say against an object of any kind."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import highdicom as hd
import pydicom
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

BINARIES = Path(sys.executable).parent
#: Whether the programs of Debian are installed; dcmqi and dcm2niix come from PyPI.
READERS = all(map(shutil.which, ("dciodvfy", "dsrdump")))
#: Supplement 243 is of 2024. dciodvfy and DCMTK as Debian has them are of 2022 and do not know it.
LABEL_MAP = UID("1.2.840.10008.5.1.4.1.1.66.7")
#: What dcmpschk says of values that PS3.5 6.2 allows: it knows neither names of several component groups nor an offset
#: from UTC in a date and time.
_UNKNOWN_TO_DCMPSCHK = re.compile(r"Affected attribute: \w+ \(\w{4},\w{4}\), Type (PN|DT)\n.*\n.*Expected format")


def one_of_each_series(paths: Iterable[Path]) -> list[Path]:
    """The first object of each series."""
    return [members[0] for members in _by_series(paths)]


def faults(path: Path) -> list[str]:
    """What dciodvfy, DCMTK, dcmqi, dcm2niix and highdicom find wrong with an object.

    A pydicom or highdicom that cannot read it raises.
    """
    header = pydicom.dcmread(path, stop_before_pixels=True)
    found = []
    if header.SOPClassUID != LABEL_MAP:
        found += [line for line in _said("dciodvfy", "-new", path).splitlines() if line.startswith("Error")]
    with TemporaryDirectory() as folder:
        return [*found, *_READERS[header.SOPClassUID](path, header, Path(folder))]


def faults_of_all(paths: Iterable[Path]) -> dict[str, list[str]]:
    """`faults` of one object of each series, and what dcm2niix makes of each series of images; by file."""
    found: dict[str, list[str]] = {}
    for members in _by_series(paths):
        said = faults(members[0])
        if pydicom.dcmread(members[0], stop_before_pixels=True).SOPClassUID == MRImageStorage:
            said += _as_one_volume(members)
        if said:
            found[members[0].name] = said
    return found


def _by_series(paths: Iterable[Path]) -> list[list[Path]]:
    series: dict[str, list[Path]] = {}
    for path in sorted(paths):
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        series.setdefault(header.SeriesInstanceUID, []).append(path)
    return list(series.values())


def _segmentation(path: Path, header: Dataset, folder: Path) -> Iterator[str]:
    labelled = header.SegmentationType == "LABELMAP"
    values = hd.seg.segread(path).get_volume(combine_segments=header.SegmentationType != "FRACTIONAL").array
    yield from _failure(
        *(BINARIES / "segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd")
    )
    masks = [sitk.GetArrayFromImage(sitk.ReadImage(mask)) for mask in folder.glob("*.nrrd")]
    # Of a label map dcmqi writes what is not in any segment, too.
    if not labelled and sum(int((mask > 0).sum()) for mask in masks) != int((values > 0).sum()):
        yield "dcmqi and highdicom find different voxels"


def _report(path: Path, _header: Dataset, folder: Path) -> Iterator[str]:
    hd.sr.srread(path)
    yield from _failure("dsrdump", path)
    yield from _failure(BINARIES / "tid1500reader", "--inputDICOM", path, "--outputMetadata", folder / "report.json")


def _key_objects(path: Path, header: Dataset, _folder: Path) -> Iterator[str]:
    named = header.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    hd.ko.KeyObjectSelectionDocument.from_dataset(header)
    classes = {item.ReferencedSOPClassUID for series in named for item in series.ReferencedSOPSequence}
    # It takes a label map, which it does not know, for no image: this is told to be no reason to end.
    yield from _failure("dsrdump", *(["-Ev"] if LABEL_MAP in classes else []), path)


def _presentation_state(path: Path, _header: Dataset, _folder: Path) -> Iterator[str]:
    said = _said("dcmpschk", path)
    blocks = [block for block in said.split("E: Error: ")[1:] if not _UNKNOWN_TO_DCMPSCHK.search(block)]
    yield from (f"dcmpschk: {block}" for block in blocks)
    if "Testing: " not in said:
        yield f"dcmpschk: {said}"


def _document(path: Path, _header: Dataset, folder: Path) -> Iterator[str]:
    yield from _failure("dcm2pdf", path, folder / "page.pdf")


def _capture(path: Path, _header: Dataset, folder: Path) -> Iterator[str]:
    hd.imread(path).get_frame(1)
    yield from _failure("dcmj2pnm", path, folder / "picture.ppm")


def _image(path: Path, _header: Dataset, _folder: Path) -> Iterator[str]:
    hd.imread(path).get_frame(1)
    yield from ()


def _enhanced_image(path: Path, _header: Dataset, _folder: Path) -> Iterator[str]:
    hd.imread(path).get_volume()
    yield from _as_one_volume([path])


_READERS: dict[str, Callable[[Path, Dataset, Path], Iterator[str]]] = {
    SegmentationStorage: _segmentation,
    LABEL_MAP: _segmentation,
    Comprehensive3DSRStorage: _report,
    KeyObjectSelectionDocumentStorage: _key_objects,
    GrayscaleSoftcopyPresentationStateStorage: _presentation_state,
    EncapsulatedPDFStorage: _document,
    SecondaryCaptureImageStorage: _capture,
    MRImageStorage: _image,
    EnhancedMRImageStorage: _enhanced_image,
}


def _as_one_volume(paths: list[Path]) -> Iterator[str]:
    """What dcm2niix says against a series, of which it makes one volume with every slice."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "series"
        source.mkdir()
        for path in paths:
            shutil.copy(path, source)
        command = [BINARIES / "dcm2niix", "-b", "n", "-f", "volume", "-o", folder, source]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
        volumes = [sitk.ReadImage(volume).GetSize() for volume in folder.glob("*.nii")]
        header = pydicom.dcmread(paths[0], stop_before_pixels=True)
        wanted = (header.Columns, header.Rows, int(header.get("NumberOfFrames", len(paths))))
        if done.returncode or "Error" in done.stdout + done.stderr or volumes != [wanted]:
            yield f"dcm2niix: {volumes} instead of {wanted}: {done.stdout}{done.stderr}"


def _said(*command: object) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120).stderr


def _failure(*command: object) -> Iterator[str]:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        yield f"{Path(str(command[0])).name}: {done.stdout}{done.stderr}"
