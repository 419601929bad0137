"""A data set made anew without what tells whose it is, with all its items."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from node.deidentification import content_items, programs
from node.deidentification.identifiers import Identifiers, identifiers, strings
from node.deidentification.kinds import NotExportedError
from node.deidentification.patient import Pseudonym, is_day, is_offset
from node.deidentification.profile import Action, Option, Profile, beyond, safe_private, table
from node.deidentification.values import bounded_age, dummy, dummy_code, empty, of_its_kind, time_of_day
from node.deidentification.words import cleaned
from node.recognition.header.elements import MALFORMED

_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_DATES = frozenset({"DA", "DT", "TM"})
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_NATIVE_PIXELS = frozenset(map(Tag, ("PixelData", "FloatPixelData", "DoubleFloatPixelData")))
#: Classes and syntaxes: they name no object.
_NO_OBJECT = ("ClassUID", "TransferSyntaxUID", "ContextUID", "MappingResourceUID", "ClassesInStudy")
#: Each of their items is treated by itself.
_WITHIN_CLEANED = frozenset(
    map(
        Tag,
        ("ContentSequence", "AcquisitionContextSequence", "SpecimenPreparationSequence", "VerifyingObserverSequence"),
    )
)
#: People draw and write; of this node they are contours and a label of its own.
_GRAPHICS = Tag("GraphicAnnotationSequence")
_CHARACTER_SET = Tag("SpecificCharacterSet")
_PSEUDONYM = frozenset(map(Tag, ("PatientName", "PatientID")))
_TEXT_VALUES = frozenset(map(Tag, ("TextValue", "UnformattedTextValue")))
_MEASURED, _CODED = Tag("MeasuredValueSequence"), Tag("ConceptCodeSequence")
#: That of a result is the root of the UIDs of its site.
_SERIAL_NUMBER = Tag("DeviceSerialNumber")
#: Removed by the table, and of type 1 in the one IOD that has them.
_NEEDED = frozenset(map(Tag, ("PresentationCreationDate", "PresentationCreationTime")))
_CURVES, _OVERLAYS = 0x5000, 0x6000
#: Of the classes that are exported; attributes of others (printers, plans, eyes, visits) go.
_GROUPS = frozenset(
    {
        *(0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x0040, 0x0054, 0x0062, 0x0064, 0x0066, 0x0070),
        *(0x2050, 0x3006, 0x300E, 0x3010, 0x5200, 0x7FE0),
    }
)


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
                _keep_private(source, tag, made)
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
    if element.tag in _PSEUDONYM:
        return DataElement(element.tag, dictionary_VR(element.tag), work.pseudonym.name)
    try:
        of_kind = None if element.VR == "UN" else of_its_kind(element)
    except MALFORMED:
        return None
    return of_kind and _DONE[_action(of_kind, owner, work)](of_kind, work)


def _action(element: DataElement, owner: Dataset, work: Rewriting) -> Action:
    tag, vr = element.tag, element.VR
    if tag in _WITHIN_CLEANED:
        return Action.KEEP
    if element.keyword in content_items.CODE and "SOPClassUID" in owner:
        return Action.REMOVE  # it is of no item
    if tag == _GRAPHICS:
        return Action.KEEP if work.made_here else Action.REMOVE
    if tag in _TEXT_VALUES:
        return _of_text_value(element, owner, work)
    if work.made_here and programs.names_program(element.keyword, owner):
        return Action.KEEP if all(map(programs.is_of_the_product, strings(element.value))) else Action.DUMMY
    if tag in (_MEASURED, _CODED):
        return _of_characteristic(element, owner, work)
    if vr in _DATES and content_items.is_birth_date(owner):
        return Action.DUMMY
    row = table().get(tag)
    action = row.action(work.profile) if row is not None else _unlisted(element, work)
    if action is Action.EMPTY and vr == "SQ" and "SOPClassUID" in owner:
        return Action.REMOVE  # X/Z: of type 3 in a data set itself, where an empty sequence is a fault
    return Action.DUMMY if action is Action.REMOVE and tag in _NEEDED else action


def _of_text_value(element: DataElement, owner: Dataset, work: Rewriting) -> Action:
    if element.keyword == "UnformattedTextValue":
        return Action.KEEP if work.made_here else Action.DUMMY
    kept = content_items.keeps_text(owner, work.made_here, Option.DEVICE in work.profile.options)
    if work.made_here and content_items.names_algorithm(owner):
        kept = all(map(programs.is_of_the_product, strings(element.value)))
    return Action.KEEP if kept else Action.DUMMY


def _of_characteristic(element: DataElement, owner: Dataset, work: Rewriting) -> Action:
    """Of the value of a content item, which may say what Patient's Age, Sex, Size or Weight say elsewhere."""
    kept = not content_items.is_characteristic(owner) or Option.CHARACTERISTICS in work.profile.options
    if kept and not content_items.tells_great_age(owner):
        return Action.KEEP
    return Action.EMPTY if element.tag == _MEASURED else Action.DUMMY


def _unlisted(element: DataElement, work: Rewriting) -> Action:
    """Of an attribute that the table does not name: what is said of it, or by its kind."""
    vr = element.VR
    said = beyond().get(element.tag)
    if said is not None:
        action = said.made_here if work.made_here else said.received
        worded = action is Action.WORDS and Option.DESCRIPTORS not in work.profile.options
        return Action.DUMMY if worded else action
    if element.tag.group not in _GROUPS:
        return Action.REMOVE
    if vr == "UI":
        return Action.KEEP if element.keyword.endswith(_NO_OBJECT) else Action.UID
    return Action.REMOVE if vr in _DATES | _BINARY | (_TEXT - {"CS"}) else Action.KEEP


def _kept(element: DataElement, work: Rewriting) -> DataElement | None:
    vr = element.VR
    if vr == "SQ":
        return DataElement(element.tag, vr, Sequence(_item(item, work) for item in element.value))
    if vr in _TEXT:
        return _without_names(element, work)
    if vr in _DATES:
        known = all(is_day(it) and not work.known.is_birth(it) for it in strings(element.value))
        return element if known else None
    if vr == "AS":
        return _of_values(element, map(bounded_age, strings(element.value)))
    is_native = element.tag in _NATIVE_PIXELS and not element.is_undefined_length
    if isinstance(element.value, bytes) and not is_native and work.known.within_bytes(element.value):
        raise NotExportedError(f"{_name(element)} holds what identifies a person")
    return element


def _item(item: Dataset, work: Rewriting) -> Dataset:
    """An item of a sequence; a code of a scheme that people make themselves is none that is kept."""
    if content_items.is_code(item) and not content_items.is_published(item, work.made_here):
        return dummy_code()
    return _data_set(item, work)


def _without_names(element: DataElement, work: Rewriting) -> DataElement:
    """A text as it is, or a dummy where it names somebody; a word of a list of the standard has no dummy."""
    texts = list(strings(element.value))
    if element.VR == "CS":
        if any(map(work.known.within_term, texts)):
            raise NotExportedError(f"{_name(element)} holds what identifies a person")
        return element
    if element.tag == _SERIAL_NUMBER and any(map(content_items.is_oid, texts)):
        return dummy(element.tag, element.VR)
    if not any(map(work.known.within, texts)):
        return element
    work.replaced.add(_name(element))
    return dummy(element.tag, element.VR)


def _worded(element: DataElement, work: Rewriting) -> DataElement:
    texts = list(strings(element.value))
    text = " ".join(map(cleaned, texts)).strip()
    if not text or any(map(work.known.number_within, texts)) or work.known.within(text):
        return dummy(element.tag, element.VR)
    return DataElement(element.tag, element.VR, text)


def _shifted(element: DataElement, work: Rewriting) -> DataElement | None:
    """Times of day and the offset from UTC stay: what is moved is the day. One that is the birth date is a dummy."""
    texts = list(strings(element.value))
    if element.VR == "TM":
        return _of_values(element, map(time_of_day, texts))
    if element.VR not in _DATES:
        return element if all(map(is_offset, texts)) else None
    if any(map(work.known.is_birth, texts)):
        return dummy(element.tag, element.VR)
    return _of_values(element, map(work.pseudonym.date if element.VR == "DA" else work.pseudonym.moment, texts))


def _dummy(element: DataElement, work: Rewriting) -> DataElement:
    if element.VR != "SQ":
        return dummy(element.tag, element.VR)
    if content_items.is_code_sequence(element):
        return DataElement(element.tag, "SQ", Sequence([dummy_code()]))
    return DataElement(element.tag, "SQ", Sequence(_item(item, work) for item in element.value))


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


def _keep_private(source: Dataset, tag: BaseTag, made: Dataset) -> None:
    """Keep a private element that is known to hold a number or a word of the measurement."""
    if tag.is_private_creator or tag.element < 0x1000:
        return
    creator = source.get(Tag(tag.group, tag.element >> 8))
    name = str(creator.value).strip() if creator is not None else ""
    safe = safe_private().get((tag.group, name, tag.element & 0xFF))
    element = _decoded(source, tag) if safe else None
    if safe is None or element is None or safe.vr != element.VR:
        return
    if element.VR == "CS" and not safe.terms.issuperset(strings(element.value)):
        return
    made.private_block(tag.group, name, create=True).add_new(tag.element & 0xFF, safe.vr, element.value)


def _name(element: DataElement) -> str:
    return element.keyword or str(element.tag)
