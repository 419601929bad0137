"""The slices with tumour as pictures with its contour drawn in: RGB Secondary Captures (PS3.3 A.8.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from scipy import ndimage

from node.results import attributes
from node.results.findings import SequenceResult
from node.results.identity import RESEARCH_STATEMENT, SEGMENTATION, SUPER_RESOLUTION, Identity, statement
from node.results.image_planes import require_same_place
from node.results.modules import (
    SeriesFacts,
    complete_series,
    identify,
    patient_and_study,
    refer_to,
    rgb_pixels,
)
from node.results.segmentation import DISPLAY_COLOR
from node.results.source import SourceFrame, inherit, put, put_all
from node.results.window import grey_range

SERIES_NUMBER = {"T2WI": 9161, "DWI": 9162, "PVP": 9163}
#: Pictures are enlarged by a whole number until they are as wide, so that the contour is a thin line.
WIDTH = 512
#: Height of the strip below the image that says what it is.
STRIP = 24


def series_facts(sequence: str) -> SeriesFacts:
    """The facts that identify the series of a sequence."""
    return SeriesFacts(
        role=f"contour-images-{sequence.lower()}",
        number=SERIES_NUMBER[sequence],
        description=f"AI contour {sequence} tumour, pictures (research)",
        modality="OT",
        sop_class_uid=SecondaryCaptureImageStorage,
        algorithms=(SEGMENTATION, SUPER_RESOLUTION),
    )


def contour_images(
    result: SequenceResult, frames: Sequence[SourceFrame], identity: Identity
) -> Iterator[tuple[str, Dataset]]:
    """Role and picture of each acquired slice with tumour, in the order of the stack.

    Raises:
        PermanentError: mask and frames are not at the same place.
    """
    require_same_place(result.mask, frames)
    facts, volume = series_facts(result.sequence), sitk.GetArrayViewFromImage(result.acquired)
    inside, grey = sitk.GetArrayViewFromImage(result.mask) > 0, grey_range(volume)
    for index in np.flatnonzero(inside.any(axis=(1, 2))).tolist():
        label = f"{result.sequence} {index + 1}/{len(frames)}. AI tumour contour. {RESEARCH_STATEMENT}"
        pixels = np.concatenate([picture(volume[index], inside[index], grey), _strip(label, volume.shape[2])])
        yield facts.role, _image(frames[index], index, pixels, facts, identity)


def picture(slice_: np.ndarray, inside: np.ndarray, grey: tuple[float, float]) -> np.ndarray:
    """A slice (rows, columns) from black to white point as RGB (rows, columns, 3), enlarged, with the contour in it.

    The contour is the outermost row of enlarged pixels of the mask.
    """
    factor = _factor(slice_.shape[1])
    low, high = grey
    levels = np.rint(np.clip((slice_ - low) / (high - low), 0.0, 1.0) * 255).astype(np.uint8)
    large = np.repeat(np.repeat(levels, factor, 0), factor, 1)
    mask = np.repeat(np.repeat(inside, factor, 0), factor, 1)
    rgb = np.repeat(large[:, :, None], 3, axis=2)
    rgb[mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)))] = DISPLAY_COLOR
    return rgb


def _factor(columns: int) -> int:
    return max(1, -(-WIDTH // columns))


def _strip(label: str, columns: int) -> np.ndarray:
    """What the picture is, in white on black (rows, columns, 3); nothing of the patient is in it."""
    strip = Image.new("L", (columns * _factor(columns), STRIP))
    ImageDraw.Draw(strip).text((6, 4), label, fill=255, font=ImageFont.load_default(13))
    return np.repeat(np.asarray(strip)[:, :, None], 3, axis=2)


def _image(frame: SourceFrame, index: int, pixels: np.ndarray, facts: SeriesFacts, identity: Identity) -> Dataset:
    header = frame.header
    image = Dataset()
    patient_and_study(image, header)
    identify(image, facts, identity, header)
    values: dict[str, object] = {
        "SOPInstanceUID": identity.uid(f"{facts.role}/instance", index),
        "InstanceNumber": index + 1,
        "ConversionType": "WSD",
        "ImageType": ["DERIVED", "SECONDARY"],
        "DerivationDescription": statement(*(identity.algorithm(kind) for kind in facts.algorithms)),
        "PatientOrientation": None,
    }
    put_all(image, values)
    # The strip holds nothing of the patient: what is burnt in is what the source has, and only it can say so.
    if header.get("BurnedInAnnotation") in ("YES", "NO"):
        put(image, "BurnedInAnnotation", header.BurnedInAnnotation)
    inherit(image, header, ("BodyPartExamined", *attributes.LOSSY))
    rows, columns = (float(value) for value in header.PixelSpacing)
    if abs(rows - columns) > 1e-3 * columns:
        put(image, "PixelAspectRatio", [round(1000 * rows), round(1000 * columns)])
    complete_series(image)
    refer_to(image, [frame], preserved=False)
    rgb_pixels(image, pixels)
    return image
