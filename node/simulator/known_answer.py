"""The study of the known-answer check: `python -m node.simulator.known_answer` writes it where the check finds it.

Of a simulated patient with a tumour: T2WI and DWI, of each the slices around the tumour, in one archive.
"""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from models.research.phantom import SimulatedStudy, find_scanner, simulate_study
from node.simulator.study import write_study

SEED, SCANNER, SLICES = 104, "Siemens Skyra", 10
#: Series that the study has, by a part of their description: T2WI, and DWI with its b-values.
SERIES = ("t2_tse_tra", "TRACEW")
PATIENT = {"PatientName": "Known^Answer", "PatientID": "KNOWN-ANSWER", "AccessionNumber": ""}
STUDY = Path(__file__).parents[1] / "maintenance" / "known_answer" / "study.zip"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write(path: Path = STUDY) -> int:
    """Write the archive, the same bytes each time; returns the number of files in it."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_study(_around_the_tumour(simulate_study(SEED, find_scanner(SCANNER))), Path(folder))
        wanted = [data for data in map(_named, files) if data is not None]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for number, data in enumerate(wanted, start=1):
            archive.writestr(zipfile.ZipInfo(f"{number:03d}.dcm", _LONG_AGO), data, zipfile.ZIP_LZMA)
    return len(wanted)


def _around_the_tumour(study: SimulatedStudy) -> SimulatedStudy:
    """The same study with only these slices of what is analysed."""
    mask = study.truth.tumour_mask
    middle = np.argwhere(sitk.GetArrayViewFromImage(mask)).mean(axis=0)[::-1]
    centre = mask.TransformContinuousIndexToPhysicalPoint([float(it) for it in middle])

    def cut(image: sitk.Image) -> sitk.Image:
        begin = round(image.TransformPhysicalPointToContinuousIndex(centre)[2] - SLICES / 2)
        begin = min(max(begin, 0), image.GetDepth() - SLICES)
        return image[:, :, begin : begin + SLICES]

    series = (replace(it, image=cut(it.image)) if it.kind in ("T2WI", "DWI", "ADC") else it for it in study.series)
    return replace(study, series=tuple(series))


def _named(path: Path) -> bytes | None:
    """An object of the study as it is shipped; None for one of another series."""
    image = pydicom.dcmread(path)
    if not any(part in image.get("SeriesDescription", "") for part in SERIES):
        return None
    for keyword, value in PATIENT.items():
        setattr(image, keyword, value)
    written = BytesIO()
    image.save_as(written)
    return written.getvalue()


if __name__ == "__main__":
    print(f"{write()} objects in {STUDY}, {STUDY.stat().st_size} bytes")
