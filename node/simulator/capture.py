"""The screen save that a technologist leaves in a study: a colour secondary capture with text on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from models.research.phantom.study import SimulatedStudy
from node.simulator.elements import standard
from node.simulator.encoding import write_instance
from node.simulator.measurement import of_kind
from node.simulator.series import StorageFormat
from node.simulator.session import CAPTURE_S, Session

# Of the equipment and study elements, those that a secondary capture keeps (PS3.3 A.8.1.3).
_KEPT_GROUPS = (0x0008, 0x0010, 0x0020)
_LEFT_OUT = ("FrameOfReferenceUID", "PositionReferenceIndicator", "ComplexImageComponent")


def write_capture(
    study: SimulatedStudy, common: Dataset, session: Session, number: int, storage: StorageFormat, folder: Path
) -> Path:
    """Write a picture of the middle axial T2 slice, 8 bits RGB, as its own series; the path of the file."""
    pixels = _picture(of_kind(study, "T2WI")[0].image, session)
    stored_at = session.time(CAPTURE_S, storage.time_digits)
    instance = Dataset()
    instance.update({element.tag: element for element in common if element.tag.group in _KEPT_GROUPS})
    for keyword in _LEFT_OUT:
        instance.pop(keyword, None)
    instance.update(
        standard(
            {
                "SOPClassUID": SecondaryCaptureImageStorage,
                "SOPInstanceUID": session.uid("instance", number, 1),
                "SeriesInstanceUID": session.uid("series", number),
                "SeriesNumber": str(number),
                "InstanceNumber": "1",
                "Modality": "MR",
                "ConversionType": "WSD",
                "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"],
                "SeriesDescription": "Screen Save",
                "PatientOrientation": "",
                "BodyPartExamined": common.BodyPartExamined,
                "BurnedInAnnotation": "YES",
                "SeriesDate": session.date,
                "SeriesTime": stored_at,
                "ContentDate": session.date,
                "ContentTime": stored_at,
                "DateOfSecondaryCapture": session.date,
                "TimeOfSecondaryCapture": stored_at,
                "SamplesPerPixel": 3,
                "PhotometricInterpretation": "RGB",
                "PlanarConfiguration": 0,
                "Rows": pixels.shape[0],
                "Columns": pixels.shape[1],
                "BitsAllocated": 8,
                "BitsStored": 8,
                "HighBit": 7,
                "PixelRepresentation": 0,
                "PixelData": pixels.tobytes(),
            }
        )
    )
    path = folder / f"{number:04d}" / "00001.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_instance(instance, path)
    return path


def _picture(image: sitk.Image, session: Session) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    middle = sitk.GetArrayViewFromImage(image)[image.GetDepth() // 2]
    grey = np.clip(255 * middle / max(float(np.percentile(middle, 99.5)), 1.0), 0, 255).astype(np.uint8)
    picture = Image.fromarray(grey).convert("RGB").crop((0, 0, grey.shape[1] // 2 * 2, grey.shape[0] // 2 * 2))
    draw = ImageDraw.Draw(picture)
    draw.text((4, 4), f"SIMULATED {session.patient_id}", fill=(255, 220, 0))
    draw.line([(grey.shape[1] // 3, grey.shape[0] // 2), (grey.shape[1] // 2, grey.shape[0] // 2)], fill=(0, 255, 0))
    return np.asarray(picture, dtype=np.uint8)
