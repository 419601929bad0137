"""A data set made anew without what tells whose it is, with all its items."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from node.deidentification.content_items import is_birth_date, keeps_text
from node.deidentification.identifiers import Identifiers, identifiers, strings
from node.deidentification.kinds import NotExportedError
from node.deidentification.patient import Pseudonym
from node.deidentification.profile import Action, Option, Profile, safe_private, table
from node.deidentification.values import bounded_age, dummy, dummy_code, empty
from node.deidentification.words import cleaned
from node.recognition.header.elements import MALFORMED

_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_DATES = frozenset({"DA", "DT", "TM"})
_LONG_TEXT = frozenset({"LT", "ST", "UT"})
_NATIVE_PIXELS = frozenset(map(Tag, ("PixelData", "FloatPixelData", "DoubleFloatPixelData")))
#: Classes, schemes and syntaxes: they name no object.
_NO_OBJECT = ("ClassUID", "TransferSyntaxUID", "CodingSchemeUID", "ContextUID", "MappingResourceUID", "ClassesInStudy")
_WITHIN_CLEANED = frozenset(
    map(
        Tag,
        (
            *("ContentSequence", "AcquisitionContextSequence", "SpecimenPreparationSequence"),
            *("GraphicAnnotationSequence", "VerifyingObserverSequence"),
        ),
    )
)
#: Of no attribute in the table of the standard, and written by people all the same.
_DESCRIPTIONS = frozenset(
    map(Tag, ("ContentDescription", "SegmentLabel", "GraphicLayerDescription", "LUTExplanation", "TextComments"))
)
_CHARACTER_SET = Tag("SpecificCharacterSet")
_PSEUDONYM = frozenset(map(Tag, ("PatientName", "PatientID")))
_TEXT_VALUES = frozenset(map(Tag, ("TextValue", "UnformattedTextValue")))
#: What an earlier de-identification has kept for those who have its key.
_NEVER = frozenset({Tag("EncryptedAttributesSequence")})
_ADDRESSES = frozenset({"AE", "UR"})
#: Removed by the table, and of type 1 in the one IOD that has them.
_NEEDED = frozenset(map(Tag, ("PresentationCreationDate", "PresentationCreationTime")))
_CURVES, _OVERLAYS = 0x5000, 0x6000


@dataclass(frozen=True, slots=True)
class Rewriting:
    """How a data set is made anew.

    Attributes:
        pseudonym: of its patient.
        profile: what is kept.
        made_here: whether this node has made the object, whose texts it knows.
        known: what identifies people in it.
        replaced: keywords of elements that were to be kept and named somebody.
    """

    pseudonym: Pseudonym
    profile: Profile
    made_here: bool
    known: Identifiers
    replaced: set[str] = field(default_factory=set)


def rewritten(
    dataset: Dataset, pseudonym: Pseudonym, profile: Profile, made_here: bool, of_study: Dataset
) -> tuple[Dataset, frozenset[str]]:
    """The data set made anew, and keywords of elements that named somebody where nobody should.

    What `of_study` says of people is looked for as well.

    Raises:
        NotExportedError: somebody is named in an element that cannot be replaced.
    """
    work = Rewriting(pseudonym, profile, made_here, identifiers(dataset, of_study))
    return _data_set(dataset, work), frozenset(work.replaced)


def _data_set(source: Dataset, work: Rewriting) -> Dataset:
    made = Dataset()
    for tag in sorted(source.keys()):
        if tag.is_private:
            if Option.PRIVATE in work.profile.options:
                _keep_private(source, tag, made, work)
        elif _has_a_place(tag):
            element = _decoded(source, tag)
            new = element and _element(element, source, work)
            if new is not None:
                made.add(new)
    return made


def _has_a_place(tag: BaseTag) -> bool:
    """Whether an attribute of the standard can stand there that is looked at."""
    if tag.element == 0 or tag == _CHARACTER_SET or tag.group & 0xFF00 in (_CURVES, _OVERLAYS):
        return False
    return tag in table() or dictionary_has_tag(tag)


def _decoded(source: Dataset, tag: BaseTag) -> DataElement | None:
    try:
        return source[tag]
    except MALFORMED:  # no value of its kind: nobody can say what it holds
        return None


def _element(element: DataElement, owner: Dataset, work: Rewriting) -> DataElement | None:
    if element.tag in _PSEUDONYM and element.VR in ("PN", "LO"):
        return DataElement(element.tag, element.VR, work.pseudonym.name)
    if element.VR == "UN" or element.tag in _NEVER:
        return None
    return _DONE[_action(element, owner, work)](element, work)


def _action(element: DataElement, owner: Dataset, work: Rewriting) -> Action:
    tag, vr = element.tag, element.VR
    if tag in _WITHIN_CLEANED:
        return Action.KEEP
    if tag in _TEXT_VALUES:
        return _of_text_value(element, owner, work)
    if vr in _DATES and is_birth_date(owner):
        return Action.DUMMY
    row = table().get(tag)
    action = row.action(work.profile) if row is not None else _unlisted(element, work)
    if action is Action.EMPTY and vr == "SQ" and "SOPClassUID" in owner:
        return Action.REMOVE  # X/Z: of type 3 in a data set itself, where an empty sequence is a fault
    return Action.DUMMY if action is Action.REMOVE and tag in _NEEDED else action


def _of_text_value(element: DataElement, owner: Dataset, work: Rewriting) -> Action:
    if element.keyword == "UnformattedTextValue":
        return Action.KEEP if work.made_here else Action.DUMMY
    kept = keeps_text(owner, work.made_here, Option.DEVICE in work.profile.options)
    return Action.KEEP if kept else Action.DUMMY


def _unlisted(element: DataElement, work: Rewriting) -> Action:
    """Of an attribute that the table does not name, by its kind."""
    vr = element.VR
    if vr == "PN":
        return Action.DUMMY
    if vr in _ADDRESSES and element.keyword != "URNCodeValue":
        return Action.REMOVE
    if vr == "UI":
        return Action.KEEP if element.keyword.endswith(_NO_OBJECT) else Action.UID
    if vr in _DATES:
        return Action.SHIFT if Option.DATES in work.profile.options else Action.DUMMY
    if (vr in _LONG_TEXT or element.tag in _DESCRIPTIONS) and not work.made_here:
        return Action.WORDS
    return Action.KEEP


def _kept(element: DataElement, work: Rewriting) -> DataElement | None:
    vr = element.VR
    if vr == "SQ":
        return DataElement(element.tag, vr, Sequence(_data_set(item, work) for item in element.value))
    if vr in _TEXT:
        return _without_names(element, work)
    if vr == "AS":
        return _of_values(element, map(bounded_age, strings(element.value)))
    is_native = element.tag in _NATIVE_PIXELS and not element.is_undefined_length
    if isinstance(element.value, bytes) and not is_native and work.known.within_bytes(element.value):
        raise NotExportedError(f"{_name(element)} holds what identifies a person")
    return element


def _without_names(element: DataElement, work: Rewriting) -> DataElement:
    """A text as it is, or a dummy where it names somebody; a word of a list of the standard has no dummy."""
    if element.VR == "CS":
        if any(work.known.within_term(term) for term in strings(element.value)):
            raise NotExportedError(f"{_name(element)} holds what identifies a person")
        return element
    if not any(work.known.within(text) for text in strings(element.value)):
        return element
    work.replaced.add(_name(element))
    return dummy(element.tag, element.VR)


def _worded(element: DataElement, work: Rewriting) -> DataElement:
    text = " ".join(cleaned(text) for text in strings(element.value)).strip()
    if not text or work.known.within(text):
        return dummy(element.tag, element.VR)
    return DataElement(element.tag, element.VR, text)


def _shifted(element: DataElement, work: Rewriting) -> DataElement:
    """Times of day stay: what is moved is the day."""
    move: Callable[[str], str] | None = {"DA": work.pseudonym.date, "DT": work.pseudonym.moment}.get(element.VR)
    if move is None:
        return _without_names(element, work) if element.VR in _TEXT else element
    return _of_values(element, map(move, strings(element.value)))


def _dummy(element: DataElement, work: Rewriting) -> DataElement:
    if element.VR != "SQ":
        return dummy(element.tag, element.VR)
    if any("CodeValue" in item for item in element.value):
        return DataElement(element.tag, "SQ", Sequence([dummy_code()]))
    return DataElement(element.tag, "SQ", Sequence(_data_set(item, work) for item in element.value))


def _new_uids(element: DataElement, work: Rewriting) -> DataElement | None:
    if element.VR != "UI":  # a sequence of references
        return _kept(element, work)
    return _of_values(element, map(work.pseudonym.uid, strings(element.value)))


def _of_values(element: DataElement, values: Iterable[str]) -> DataElement:
    several = list(values)
    return DataElement(element.tag, element.VR, several if len(several) != 1 else several[0])


def _removed(element: DataElement, work: Rewriting) -> None:
    return None


def _emptied(element: DataElement, work: Rewriting) -> DataElement:
    return empty(element.tag, element.VR)


_DONE: dict[Action, Callable[[DataElement, Rewriting], DataElement | None]] = {
    Action.KEEP: _kept,
    Action.REMOVE: _removed,
    Action.EMPTY: _emptied,
    Action.DUMMY: _dummy,
    Action.UID: _new_uids,
    Action.SHIFT: _shifted,
    Action.WORDS: _worded,
}


def _keep_private(source: Dataset, tag: BaseTag, made: Dataset, work: Rewriting) -> None:
    """Keep a private element that is known to hold a number or a word of the measurement."""
    if tag.is_private_creator or tag.element < 0x1000:
        return
    creator = source.get(Tag(tag.group, tag.element >> 8))
    name = str(creator.value).strip() if creator is not None else ""
    vr = safe_private().get((tag.group, name, tag.element & 0xFF))
    element = _decoded(source, tag) if vr else None
    if element is None or vr != element.VR:
        return
    if element.VR == "CS" and any(work.known.within(text) for text in strings(element.value)):
        return
    made.private_block(tag.group, name, create=True).add_new(tag.element & 0xFF, vr, element.value)


def _name(element: DataElement) -> str:
    return element.keyword or str(element.tag)
