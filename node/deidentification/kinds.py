"""Which objects are exported at all: kinds whose attributes are known here, and images without burnt-in text."""

from __future__ import annotations

from pydicom import Dataset
from pydicom import uid as uids
from pydicom.multival import MultiValue

from node.deidentification.patient import is_registered
from node.errors import NodeError
from node.results.attributes import LABEL_MAP_SEGMENTATION
from storage.origin import PRODUCT

_IMAGES = frozenset(
    {
        uids.MRImageStorage,
        uids.EnhancedMRImageStorage,
        uids.LegacyConvertedEnhancedMRImageStorage,
        uids.CTImageStorage,
        uids.EnhancedCTImageStorage,
        uids.LegacyConvertedEnhancedCTImageStorage,
        uids.PositronEmissionTomographyImageStorage,
        uids.ParametricMapStorage,
    }
)
_OTHERS = frozenset(
    {
        uids.SegmentationStorage,
        LABEL_MAP_SEGMENTATION,
        uids.SurfaceSegmentationStorage,
        uids.RTStructureSetStorage,
        uids.BasicTextSRStorage,
        uids.EnhancedSRStorage,
        uids.ComprehensiveSRStorage,
        uids.Comprehensive3DSRStorage,
        uids.ExtensibleSRStorage,
        uids.KeyObjectSelectionDocumentStorage,
        uids.GrayscaleSoftcopyPresentationStateStorage,
        uids.ColorSoftcopyPresentationStateStorage,
        uids.SpatialRegistrationStorage,
        uids.DeformableSpatialRegistrationStorage,
        uids.RealWorldValueMappingStorage,
    }
)
EXPORTED = _IMAGES | _OTHERS
"""SOP classes that are exported."""
_PICTURES_OF_SCREENS = ("SCREEN SAVE", "SCREENSHOT", "CAPTURE", "SCREEN_CAPTURE")


class NotExportedError(NodeError):
    """An object that stays here, with the reason, which holds nothing of what it says of people."""


class UnreadableObjectError(NotExportedError):
    """An object that would be exported, and that nobody can read."""


def require_exportable(dataset: Dataset) -> None:
    """Refuse an object that may tell in its pixels, or in a document, whose it is.

    Raises:
        NotExportedError: it stays here.
    """
    sop_class = dataset.get("SOPClassUID", "")
    if sop_class not in EXPORTED:
        name = uids.UID(sop_class).name if is_registered(sop_class) else "of a class that is not known here"
        raise NotExportedError(f"a kind of object that may show names, and is not exported: {name}")
    if str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES":
        raise NotExportedError("text is burnt into its pixels (Burned In Annotation is YES)")
    if sop_class in _IMAGES:
        _require_no_picture(dataset)


def is_known_free_of_text(dataset: Dataset) -> bool:
    """Whether nobody has written into the pixels: images as they were acquired, and those of this node."""
    types = _types(dataset)
    acquired = types[:1] == ["ORIGINAL"] and types[1:2] == ["PRIMARY"]
    return dataset.get("SOPClassUID") in _IMAGES and (acquired or dataset.get("Manufacturer") == PRODUCT)


def _require_no_picture(dataset: Dataset) -> None:
    if any(name in each for each in _types(dataset) for name in _PICTURES_OF_SCREENS):
        raise NotExportedError("a picture of a screen (Image Type), which may show names")
    if dataset.get("SamplesPerPixel", 1) != 1 and dataset.get("BurnedInAnnotation") != "NO":
        raise NotExportedError("a colour image that does not say that no text is burnt in")
    if any(it.group & 0xFF00 == 0x6000 and it.element == 0x0102 and dataset[it].value for it in dataset.keys()):  # noqa: SIM118
        raise NotExportedError("an overlay stands in unused bits of its pixels")


def _types(dataset: Dataset) -> list[str]:
    value = dataset.get("ImageType") or []
    values = value if isinstance(value, MultiValue | list) else [value]
    return [str(it).strip().upper() for it in values]
