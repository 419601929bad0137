"""Codes of studies and their objects: what is refused, used with a caution, or set aside."""

from __future__ import annotations

from models.plausibility import records
from node.codes.definition import Definition, Kind
from storage import identity


class Code(Definition):
    """A code of a study, of an object, or of what was found."""

    # --- studies and objects

    PATIENT_MIX = (
        "E-PATIENT-MIX",
        "The headers of one study name more than one patient; nothing of it is sent.",
        "Have the study corrected at its source, or say who is meant: `rectal-node rerun STUDY --patient ID`.",
        Kind.REFUSAL,
        Kind.WARNING,
    )
    NO_MR = (
        "E-NO-MR",
        "The study holds no MR image, or none that was not rejected.",
        "Nothing, unless MR images were expected: then send them, and the study is analysed again.",
    )
    BODY_PART = (
        "E-BODY-PART",
        "Body Part Examined is none that the node analyses.",
        "Nothing, or add the body part: `recognition.body_parts`, or `accept_body_parts` of a site rule.",
    )
    VENDOR_UNKNOWN = (
        "E-VENDOR-UNKNOWN",
        "The manufacturer is none of those whose headers the node knows.",
        "Send images of Siemens, GE, Philips or United Imaging; other vendors need a profile in node/recognition.",
    )
    UID_CLASH = (
        identity.CLASH,
        "One SOP Instance UID stands for several objects, in several series or studies; all are kept and analysed.",
        "Have the sender give each object its own UID; until then an archive may show one object in place of another.",
        Kind.WARNING,
    )
    REJECTED = (
        "E-REJECTED",
        "A rejection note (IHE IOCM) names objects of the study; they are left out.",
        "Nothing, where the rejection was meant; results made from the rejected objects are named in `status`.",
        Kind.WARNING,
    )
    INCOMPLETE = (
        "E-INCOMPLETE",
        "The study was taken as complete although the PACS has more images of it.",
        "Send the missing images from the PACS; they make a new revision.",
        Kind.WARNING,
    )
    NOT_COUNTED = (
        "E-NOT-COUNTED",
        "The PACS of `completion.count_at` could not be asked whether it has more images.",
        "See that the PACS answers C-FIND for the AE title of the node, then `rectal-node rerun` the study.",
        Kind.WARNING,
    )
    DECODE = (
        "E-DECODE",
        "A file or its pixels cannot be read: no DICOM, cut short, damaged, too large, or without a decoder.",
        "Install the package that the reason names; else send the object again, unless it is broken at its source too.",
    )
    PRIVATE_UNDECODED = (
        "E-PRIVATE-UNDECODED",
        "A private element of the vendor is not encoded as this vendor writes it; what it says is not known.",
        "See whether a router or an anonymiser rewrites private elements, and keep it from doing so.",
        Kind.REFUSAL,
        Kind.WARNING,
    )

    # --- what a sequence needs

    MISSING = (
        "E-MISSING",
        "The study has no series that could serve as this sequence.",
        "Send the series; where it is there, `rectal-node explain` says which condition it fails (docs/recognition).",
    )
    MULTIPLE_CANDIDATES = (
        "E-MULTIPLE-CANDIDATES",
        "Several volumes of a series could be the one that is wanted, and no element says which.",
        "Have the scanner send the trace-weighted images as a series of their own.",
    )
    BVAL_UNKNOWN = (
        "E-BVAL-UNKNOWN",
        "A diffusion-weighted series states no b-value that can be read.",
        "Have the scanner or router keep Diffusion b-value (0018,9087) or the private elements of the vendor.",
    )
    BVAL_CONFLICT = (
        "E-BVAL-CONFLICT",
        "Two elements of one image state different b-values.",
        "Ask the vendor which holds; no setting of the node decides between them.",
    )
    BVAL_RANGE = (
        "E-BVAL-RANGE",
        "No measured b-value lies in the range that is analysed.",
        "Acquire a b-value in the range, or widen `recognition.b_value_range` where the models permit it.",
    )
    DWI_DIRECTIONAL = (
        "E-DWI-DIRECTIONAL",
        "Only images of single diffusion directions are there; trace-weighted or combined images are wanted.",
        "Send the trace-weighted series as well.",
    )
    EADC_AS_ADC = (
        "E-EADC-AS-ADC",
        "Only an exponential ADC map is there, which holds no diffusion coefficients.",
        "Send the ADC map.",
    )
    ADC_UNITS = (
        "E-ADC-UNITS",
        "The values of an ADC map are no diffusion coefficients in a unit that is known.",
        "See how the scanner scales the map; the node reads 10^-6 mm²/s and mm²/s.",
    )
    CONTRAST_UNKNOWN = (
        "E-CONTRAST-UNKNOWN",
        "A T1-weighted volume stands alone and nothing says whether contrast agent was given, or when.",
        "Send the whole dynamic run, or have the scanner state Contrast/Bolus Start Time (0018,1042).",
    )
    DIXON_NO_WATER = (
        "E-DIXON-NO-WATER",
        "Parts of a Dixon acquisition are there, but not the water images.",
        "Send the water images.",
    )
    DCE_TIME = (
        "E-DCE-TIME",
        "No clock tells when the phases of the dynamic run were acquired.",
        "Have acquisition times kept, or give a `phase_time_pattern` in a site rule.",
    )
    DCE_ORDER = (
        "E-DCE-ORDER",
        "Two clocks put the phases of the dynamic run in different orders.",
        "Ask the vendor which is right; have the other left out or corrected.",
    )
    DCE_T0 = (
        "E-DCE-T0",
        "The time of injection is known neither from headers nor from the images.",
        "Have the scanner state Contrast/Bolus Start Time (0018,1042), or give `injection_s` in a site rule.",
    )
    DCE_NO_PVP = (
        "E-DCE-NO-PVP",
        "No phase of the dynamic run lies in the portal-venous window.",
        "See the times by `rectal-node explain`; `recognition.portal_venous_window_s` is the window.",
    )
    DCE_PVP_AMBIGUOUS = (
        "E-DCE-PVP-AMBIGUOUS",
        "Two phases are equally near to the time that is wanted.",
        "Give `preferred_phase_s` in a site rule.",
    )
    FAT_BRIGHT = (
        "E-FAT-BRIGHT",
        "Fat is not suppressed in the portal-venous phase and would be taken for a tumour.",
        "Acquire the dynamic run with fat suppression.",
    )
    PROTOCOL = (
        "E-PROTOCOL",
        "An acquisition parameter lies far outside what the models were trained on.",
        "Use a bundle trained on such protocols; `recognition.protocol_factor` says how far is far.",
    )
    ENCODE = (
        "E-ENCODE",
        "Results cannot be written on this volume as DICOM objects.",
        "See the reason; elements of the source that no object can hold have to be corrected at the scanner.",
    )

    # --- geometry

    IOP = (
        "E-IOP",
        "Position, orientation or pixel spacing is missing, or the orientation is impossible.",
        "Have a router or anonymiser keep the image plane elements; else send the series again from the scanner.",
    )
    EXTENT = (
        "E-EXTENT",
        "The size of the images or the distance of the slices is none that a patient and a scanner can have.",
        "See what wrote Pixel Spacing and Image Position; the numbers are wrong at the source.",
    )
    FEW_SLICES = (
        "E-FEW-SLICES",
        "The volume has fewer slices than are needed.",
        "Nothing for a localizer; else send the missing slices (`recognition.minimum_slices`).",
    )
    SLICE_DUP = (
        "E-SLICE-DUP",
        "Two slices of a volume lie at the same position.",
        "See whether the series was sent twice under other UIDs, and have one of them rejected.",
    )
    SLICE_MISSING = (
        "E-SLICE-MISSING",
        "Slices of the volume are missing, within it or at an end.",
        "Send the series again; what is there already does no harm.",
    )
    SPACING = (
        "E-SPACING",
        "The distances between slices are uneven.",
        "Send the series again whole; a series with planned gaps cannot be analysed.",
    )
    SHEAR = (
        "E-SHEAR",
        "The slices are shifted against each other in their plane.",
        "Nothing: the series is no rectangular volume; acquire it without shear.",
    )
    STACK_OVERLAP = (
        "E-STACK-OVERLAP",
        "Slices overlap, or images of several stacks lie in one series.",
        "Have the stacks sent as series of their own.",
    )
    MIXED_MATRIX = (
        "E-MIXED-MATRIX",
        "Images of one volume have different matrices or pixel spacings.",
        "Have the sender keep reformatted images out of the series.",
    )
    MIXED_ORIENT = (
        "E-MIXED-ORIENT",
        "Images of one volume have different orientations.",
        "Have the sender keep reformatted images out of the series.",
    )
    SPLIT_UNEXPLAINED = (
        "E-SPLIT-UNEXPLAINED",
        "Slices repeat, and no element parts them into whole sets.",
        "Have the scanner write the volumes as series of their own, or with an element that tells them apart.",
    )
    FOR = (
        "E-FOR",
        "Images share no Frame of Reference, or state none; they may be misaligned.",
        "See whether the patient was repositioned, or whether a router rewrites UIDs.",
        Kind.REFUSAL,
        Kind.WARNING,
    )
    GRID_GEOM = (
        "E-GRID-GEOM",
        "The slices of a sheet (MOSAIC, VFRAME) cannot be told apart or placed.",
        "Have the private elements of the vendor kept, or the series sent slice by slice.",
    )

    # --- pixels

    NOT_FINITE = (
        "E-NOT-FINITE",
        "Values of the image are beyond any number once they are scaled.",
        "See Rescale Slope and Real World Value Mapping at the source.",
    )
    CONSTANT = (
        "E-CONSTANT",
        "All values of the image are the same.",
        "Send the series again; the image is empty.",
    )
    PHOTOMETRIC = (
        "E-PHOTOMETRIC",
        "The pixels are no single grey value each, or slices differ in how they show it.",
        "Nothing for a picture in colour; else send the acquired images.",
    )
    MODALITY_LUT = (
        "E-MODALITY-LUT",
        "Stored values pass through a Modality LUT, which no MR image has.",
        "See what wrote the look-up table, and send the images as the scanner wrote them.",
    )
    PIXEL_BITS = (
        "E-PIXEL-BITS",
        "Bits Allocated, Bits Stored and High Bit cannot hold the values of the image.",
        "See what rewrote the image, and send it as the scanner wrote it.",
    )
    PADDING = (
        "E-PADDING",
        "Pixel Padding Value is stated but cannot be read, so that padding cannot be told from image.",
        "See what rewrote the image, and send it as the scanner wrote it.",
    )
    RESCALE = (
        "E-RESCALE",
        "Rescale Slope or Intercept is unreadable, impossible or missing in some images of a volume.",
        "See what rewrote the image, and send it as the scanner wrote it.",
    )
    RWVM = (
        "E-RWVM",
        "Real World Value Mappings contradict each other or the rescale, or are not linear over all values.",
        "See what wrote the mappings, and send the images as the scanner wrote them.",
    )

    # --- findings

    FINDING_OUTSIDE = (
        records.OUTSIDE,
        "What the network outlined lies outside the body.",
        "Nothing; a radiologist may look at the place that is named.",
        Kind.SET_ASIDE,
    )
    FINDING_EDGE = (
        records.EDGE,
        "What the network outlined lies close below the skin.",
        "Nothing; a radiologist may look at the place that is named.",
        Kind.SET_ASIDE,
    )
    FINDING_PLACE = (
        records.PLACE,
        "What the network outlined lies where no rectum can be.",
        "Nothing; a radiologist may look at the place that is named.",
        Kind.SET_ASIDE,
    )
    FINDING_APART = (
        records.APART,
        "What the network outlined lies apart from the finding that is reported.",
        "Nothing; a radiologist may look at the place that is named.",
        Kind.SET_ASIDE,
    )
    FINDING_UNCONFIRMED = (
        records.UNCONFIRMED,
        "What the network outlined is not shown by the sequences when each is read alone.",
        "Nothing; a radiologist may look at the place that is named.",
        Kind.SET_ASIDE,
    )

    # --- masks of a cohort to train on

    MASK_NONE = (
        "E-MASK-NONE",
        "No mask belongs to a series of the case.",
        "Give one (docs/training.md), or import `--without-masks`.",
    )
    MASK_MANY = (
        "E-MASK-MANY",
        "Several masks belong to one series of the case.",
        "Keep one of them.",
    )
    MASK_EMPTY = (
        "E-MASK-EMPTY",
        "The mask holds no voxel.",
        "Draw it, or leave the case out.",
    )
    MASK_PLACE = (
        "E-MASK-PLACE",
        "The mask lies outside the series, or in another frame of reference.",
        "See that it was drawn on this series.",
    )
    MASK_SEGMENT = (
        "E-MASK-SEGMENT",
        "No segment of the DICOM segmentation has the label that is wanted.",
        "Name the label by `--segment`.",
    )
