"""Which objects are exported at all: kinds whose attributes are known here, and images without burnt-in text."""

from __future__ import annotations

from pydicom import Dataset
from pydicom import uid as uids
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from node.deidentification.patient import is_registered
from node.errors import NodeError
from node.results.attributes import LABEL_MAP_SEGMENTATION

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
#: Of others: what is drawn on an image may be handwriting.
_STATES = frozenset({uids.GrayscaleSoftcopyPresentationStateStorage, uids.ColorSoftcopyPresentationStateStorage})
#: Within values of Image Type: pictures of screens, and pages of text made into images.
_PAGES = ("SCREEN", "CAPTURE", "SNAPSHOT", "REPORT", "DOSE_INFO", "PROTOCOL", "DOSE INFO", "SECONDARY CAPTURE")
_OVERLAYS, _BIT_POSITION, _OVERLAY_DATA = 0x6000, 0x0102, 0x3000


class NotExportedError(NodeError):
    """An object that stays here, with the reason, which holds nothing of what it says of people."""


class UnreadableObjectError(NotExportedError):
    """An object that would be exported, and that nobody can read."""


def require_exportable(dataset: Dataset, made_here: bool = False) -> None:
    """Refuse an object that may tell in its pixels, or in a document, whose it is.

    Args:
        made_here: whether this node has made it, which writes no text into an image.

    Raises:
        NotExportedError: it stays here.
    """
    sop_class = dataset.get("SOPClassUID", "")
    if sop_class not in EXPORTED:
        name = uids.UID(sop_class).name if is_registered(sop_class) else "of a class that is not known here"
        raise NotExportedError(f"a kind of object that may show names, and is not exported: {name}")
    if _burned_in(dataset) == "YES":
        raise NotExportedError("text is burnt into its pixels (Burned In Annotation is YES)")
    if made_here:
        return
    if sop_class in _STATES:
        raise NotExportedError("a presentation state of another system: what is drawn may be handwriting")
    if sop_class in _IMAGES:
        _require_no_picture(dataset)
    if "ICCProfile" in dataset and not _is_grey(dataset):
        raise NotExportedError("it needs a colour profile of another system, which may hold text")


def is_known_free_of_text(dataset: Dataset, made_here: bool) -> bool:
    """Whether nobody has written into the pixels: images as they were acquired, and those of this node."""
    types = _types(dataset)
    acquired = types[:1] == ["ORIGINAL"] and types[1:2] == ["PRIMARY"]
    return dataset.get("SOPClassUID") in _IMAGES and (acquired or made_here)


def _require_no_picture(dataset: Dataset) -> None:
    if any(name in each for each in _types(dataset) for name in _PAGES):
        raise NotExportedError("a picture of a screen or a page (Image Type), which may show names")
    if dataset.get("ConversionType"):
        raise NotExportedError("a picture that was made into an image (Conversion Type), which may show names")
    if not _is_grey(dataset) and _burned_in(dataset) != "NO":
        raise NotExportedError("a colour image that does not say that no text is burnt in")
    for tag in dataset.keys():  # noqa: SIM118
        if tag.group & 0xFF00 != _OVERLAYS:
            continue
        in_pixels = tag.element == _BIT_POSITION and dataset[tag].value
        if in_pixels or Tag(tag.group, _OVERLAY_DATA) not in dataset:
            raise NotExportedError("an overlay stands in unused bits of its pixels")


def _is_grey(dataset: Dataset) -> bool:
    palette = str(dataset.get("PhotometricInterpretation") or "").strip().upper() == "PALETTE COLOR"
    return dataset.get("SamplesPerPixel", 1) == 1 and not palette


def _burned_in(dataset: Dataset) -> str:
    return str(dataset.get("BurnedInAnnotation") or "").strip().upper()


def _types(dataset: Dataset) -> list[str]:
    value = dataset.get("ImageType") or []
    values = value if isinstance(value, MultiValue | list) else [value]
    return [str(it).strip().upper() for it in values]
