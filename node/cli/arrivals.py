"""Results of a study as a destination holds them, read back from the DICOM objects that arrived there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage, SegmentationStorage

from models.volume import grid_of, resample_onto
from node.settings import Settings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.overview import Overview


@dataclass(slots=True)
class Arrivals:
    """The results of one study.

    Attributes:
        volume_ml: volume of the first tumour in the report; 0 where none was found.
        probability: predicted probability in the report, where there is one.
        mask: first segmentation as uint8 image in LPS, where there is one.
        objects: how many objects arrived, by SOP class name.
    """

    volume_ml: float = 0.0
    probability: float | None = None
    mask: sitk.Image | None = None
    objects: dict[str, int] = field(default_factory=dict)
    _pictures: list[Dataset] = field(default_factory=list)

    def dice(self, truth: sitk.Image) -> float:
        """Dice of the segmentation that arrived with a true mask in the same patient space."""
        from models.research.evaluation.overlap import compare

        if self.mask is None:
            return 0.0
        return compare(self.mask, resample_onto(truth, grid_of(self.mask), sitk.sitkNearestNeighbor)).dice

    def save_pictures(self, folder: Path, name: str) -> None:
        """Write the summary pages that arrived as PNG."""
        for number, picture in enumerate(self._pictures):
            suffix = f"-{number}" if number else ""
            Image.fromarray(picture.pixel_array).save(folder / f"{name}{suffix}.png")


def read_arrivals(settings: Settings, concept: Code) -> dict[str, Arrivals]:
    """Everything that a node which only listens has received, by Study Instance UID.

    Args:
        settings: of that node.
        concept: concept name under which reports state the predicted probability.
    """
    files = ObjectStore(settings.root)
    with open_engine(settings.storage_url).connect() as connection:
        returned = Overview(connection).returned_files()
    return {study: _read([files.absolute(file) for file in stored], concept) for study, stored in returned.items()}


def _read(paths: list[Path], concept: Code) -> Arrivals:
    arrivals = Arrivals()
    for path in paths:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        name = header.SOPClassUID.name
        arrivals.objects[name] = arrivals.objects.get(name, 0) + 1
        if header.SOPClassUID == SecondaryCaptureImageStorage:
            arrivals._pictures.append(pydicom.dcmread(path))
        elif header.SOPClassUID == Comprehensive3DSRStorage:
            _read_report(path, concept, arrivals)
        elif header.SOPClassUID == SegmentationStorage and _is_finest(header, arrivals.mask):
            arrivals.mask = _mask(path)
    return arrivals


def _read_report(path: Path, concept: Code, arrivals: Arrivals) -> None:
    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    if not groups:
        return
    measured = {name: groups[0].get_measurements(name=name) for name in (codes.SCT.Volume, concept)}
    if measured[codes.SCT.Volume]:
        arrivals.volume_ml = float(measured[codes.SCT.Volume][0].value)
    if measured[concept]:
        arrivals.probability = float(measured[concept][0].value)


def _is_finest(header: Dataset, mask: sitk.Image | None) -> bool:
    """Whether a segmentation lies on a finer grid than the one at hand: the super-resolved T2WI has the finest."""
    measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    volume = float(np.prod(measures.PixelSpacing)) * float(measures.SpacingBetweenSlices)
    return mask is None or volume < float(np.prod(mask.GetSpacing()))


def _mask(path: Path) -> sitk.Image:
    """A segmentation as image; highdicom's array is slices x rows x columns, its affine in LPS, mm."""
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    image = sitk.GetImageFromArray((volume.array > 0).astype(np.uint8))
    image.SetOrigin([float(value) for value in volume.position])
    image.SetSpacing([float(value) for value in reversed(volume.spacing)])
    image.SetDirection([float(value) for value in np.array(volume.unit_vectors())[::-1].T.ravel()])
    return image
