"""Text in the character set that its bytes are in, where that is not the declared one (0008,0005).

Scanners and gateways declare Latin, or nothing, over bytes of UTF-8 or GB18030; modules of other systems copy text of
Windows into Latin. Then a name reads as a run of accented letters, or holds control characters (C1, 0x80 to 0x9F),
which no text has. What is read otherwise than declared, in this order, each by all texts of the data set that fit it:

- UTF-8: text of another set hardly ever is valid in it;
- GB18030, where a Latin set, none, or one that does not fit is declared, and half of the characters at least are common
  Chinese ones; where the bytes could be Latin, they have to come in pairs or in longer runs than Latin text has;
- Windows Latin (1252): under no declaration, or with its punctuation in the place of control characters.

Text that fits none is no text: the element is taken out of the data set and its keyword is told. Of a person name what
is left of its groups is kept. ISO 2022 escape sequences say themselves what follows them.
"""

from __future__ import annotations

import codecs
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeGuard

from pydicom import Dataset, config
from pydicom.charset import CODES_TO_ENCODINGS, convert_encodings, decode_bytes, default_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from node.recognition.header.elements import MALFORMED, as_it_stands, datasets
from node.recognition.header.facts import FrameFacts, Settled
from node.recognition.header.naming import listed, series_in_words, series_names

_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_ESCAPED = re.compile(rb"\x1b[ -/]+[0-~]")
_ESCAPE_SEQUENCE = re.compile(r"\x1b[ -/]+[0-~]")
_HIGH = re.compile(rb"[\x80-\xff]+")
_MISREAD = re.compile("[\x80-\x9f\ufffd]")
_Encoded = tuple[Dataset, BaseTag, bytes]
_UTF_8, _CHINESE, _WINDOWS = "utf-8", "gb18030", "cp1252"
_LATIN = frozenset({"iso8859-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-9", "iso8859-15"})
_GB = frozenset({"gb2312", "gbk", "gb18030"})
# Two or three high bytes in a row also happen in Latin text: `ß` behind `ö`.
_ENOUGH_HIGH_BYTES = 4
_LONGEST_LATIN_RUN = 2
# The first level of GB 2312 holds the 3755 common characters, between these lead bytes; the second the rare ones.
_FIRST_COMMON_ROW, _LAST_COMMON_ROW = 0xB0, 0xD7
_COMMON_SHARE = 0.5


def settle(dataset: Dataset, nested: bool = False) -> Settled:
    """Make the text of a data set, as it was read from a file, text; with that of its items, if `nested`."""
    found = list(_encoded(dataset, nested))
    if not found and not nested:
        return Settled()
    # pydicom warns of each text that it cannot decode; here it is named.
    with warnings.catch_warnings(action="ignore"):
        repaired, unreadable = _settle(found, _declared(dataset))
        for item in _declaring_items(dataset) if nested else ():
            inner = settle(item, nested)
            repaired += inner.repaired
            unreadable += inner.unreadable
    return Settled(tuple(dict.fromkeys(repaired)), tuple(dict.fromkeys(unreadable)))


def in_ascii(dataset: Dataset, keywords: Iterable[str]) -> bool:
    """Whether texts of a data set, as it was read from a file, are plain ASCII: they mean the same in every set."""
    return not any(_is_coded(as_it_stands(dataset, Tag(keyword))) for keyword in keywords)


def named(frames: Sequence[FrameFacts]) -> list[str]:
    """A sentence for each set of series with text that was misread or is none, with its keywords."""
    names = series_names(frames)
    told: tuple[tuple[str, Callable[[Settled], tuple[str, ...]]], ...] = (
        ("read in another character set than the declared one", lambda it: it.repaired),
        ("no text in any character set, left out", lambda it: it.unreadable),
    )
    return [
        f"{listed(keywords)} of {series_in_words(uids, names)}: {what}"
        for what, keywords_of in told
        for uids, keywords in _by_series(frames, keywords_of)
    ]


def _by_series(
    frames: Sequence[FrameFacts], keywords_of: Callable[[Settled], tuple[str, ...]]
) -> list[tuple[frozenset[str], list[str]]]:
    """Keywords and the series that they stand in; those of the same series together."""
    series: dict[str, set[str]] = defaultdict(set)
    for frame in frames:
        for keyword in keywords_of(frame.header.text):
            series[keyword].add(frame.header.series_instance_uid)
    together: dict[frozenset[str], list[str]] = defaultdict(list)
    for keyword in sorted(series):
        together[frozenset(series[keyword])].append(keyword)
    return sorted(together.items(), key=lambda group: group[1])


def _settle(found: Sequence[_Encoded], encodings: Sequence[str]) -> tuple[list[str], list[str]]:
    repaired, unreadable = [], []
    declared = codecs.lookup(encodings[0]).name if encodings else ""
    chosen = _codecs([raw for _, _, raw in found if not _ESCAPED.search(raw)], declared)
    for owner, tag, raw in found:
        if raw in chosen:
            text, known = _decoded(raw, chosen[raw]), chosen[raw] == declared
        else:
            text, known = _by_escapes(raw, dictionary_VR(tag), encodings or [default_encoding])
        if text is None:
            unreadable.append(keyword_for_tag(tag))
            _keep_groups(owner, tag, raw)
        elif not known or raw not in chosen:
            _put(owner, tag, text)
        if text is not None and not known:
            repaired.append(keyword_for_tag(tag))
    return repaired, unreadable


def _encoded(dataset: Dataset, nested: bool) -> Iterator[_Encoded]:
    """The texts of a data set that are not plain ASCII, without those of items with a declaration of their own."""
    for tag, element in list(dataset.items()):
        if _is_coded(element.value) and _vr(tag, element.VR) in _TEXT:
            yield dataset, tag, element.value.rstrip(b"\0 ")
        elif nested and _vr(tag, element.VR) == "SQ":
            for item in datasets(dataset, keyword_for_tag(tag)):
                if "SpecificCharacterSet" not in item:
                    yield from _encoded(item, nested)


def _is_coded(raw: object) -> TypeGuard[bytes]:
    """Whether bytes are more than plain ASCII."""
    return isinstance(raw, bytes) and (not raw.isascii() or (b"\x1b" in raw and _ESCAPED.search(raw) is not None))


def _declaring_items(dataset: Dataset) -> Iterator[Dataset]:
    for tag, element in list(dataset.items()):
        if _vr(tag, element.VR) == "SQ":
            for item in datasets(dataset, keyword_for_tag(tag)):
                if "SpecificCharacterSet" in item:
                    yield item
                else:
                    yield from _declaring_items(item)


def _vr(tag: BaseTag, stated: str | None) -> str:
    if tag.is_private or not dictionary_has_tag(tag):
        return ""
    return dictionary_VR(tag) if stated in (None, "UN") else str(stated)


def _declared(dataset: Dataset) -> list[str]:
    """The codecs of Specific Character Set; empty where it is absent, empty or malformed."""
    try:
        names = dataset.get("SpecificCharacterSet")
        found = convert_encodings(names) if names else []
        return [codec for codec in found if codecs.lookup(codec)]
    except (*MALFORMED, LookupError):
        return []


def _codecs(texts: Sequence[bytes], declared: str) -> dict[bytes, str]:
    """The codec of each text: of those that fit one, all together say whether they are in it."""
    chosen: dict[bytes, str] = {}
    for codec, applies in ((_UTF_8, _is_unicode), (_CHINESE, _is_chinese), (_WINDOWS, _is_windows)):
        fitting = [raw for raw in texts if raw not in chosen and _decoded(raw, codec) is not None]
        if fitting and applies(fitting, declared):
            chosen |= dict.fromkeys(fitting, codec)
    return dict.fromkeys(texts, declared) | chosen


def _is_unicode(texts: Sequence[bytes], declared: str) -> bool:
    """Whether texts that are valid UTF-8 are it."""
    if declared in (*_LATIN, "", _UTF_8) or not _fit(texts, declared):
        return True
    if declared in _GB:
        return _share_of_common(texts, declared) < _COMMON_SHARE <= _share_of_common(texts, _UTF_8)
    return _high_bytes(texts) >= _ENOUGH_HIGH_BYTES


def _is_chinese(texts: Sequence[bytes], declared: str) -> bool:
    """Whether texts that are valid GB18030 are it; where they could be Latin more is asked of them."""
    fits = _fit(texts, declared or "iso8859-1")
    if fits and declared not in (*_LATIN, ""):
        return False
    if _high_bytes(texts) < _ENOUGH_HIGH_BYTES or _share_of_common(texts, _CHINESE) < _COMMON_SHARE:
        return False
    in_pairs = all(len(run) % 2 == 0 for raw in texts for run in _HIGH.findall(raw))
    return in_pairs or not fits or _longest_run(texts) > _LONGEST_LATIN_RUN


def _is_windows(texts: Sequence[bytes], declared: str) -> bool:
    """Whether texts are Latin: under no declaration, or with the punctuation that Windows has in place of controls."""
    if declared not in ("", _UTF_8, "iso8859-1") or _longest_run(texts) > _LONGEST_LATIN_RUN:
        return False
    return not declared or not _fit(texts, declared)


def _fit(texts: Sequence[bytes], codec: str) -> bool:
    return all(_decoded(raw, codec) is not None for raw in texts)


def _share_of_common(texts: Sequence[bytes], codec: str) -> float:
    """How many of the characters beyond ASCII are common Chinese ones."""
    characters = [letter for raw in texts for letter in _decoded(raw, codec) or "" if not letter.isascii()]
    leads = [letter.encode("gb2312", "ignore")[:1] for letter in characters]
    common = sum(bool(lead) and _FIRST_COMMON_ROW <= lead[0] <= _LAST_COMMON_ROW for lead in leads)
    return common / len(characters) if characters else 0.0


def _high_bytes(texts: Sequence[bytes]) -> int:
    return sum(len(run) for raw in texts for run in _HIGH.findall(raw))


def _longest_run(texts: Sequence[bytes]) -> int:
    return max(len(run) for raw in texts for run in _HIGH.findall(raw))


def _decoded(raw: bytes, codec: str) -> str | None:
    """A text, or None where its bytes are none in this set.

    A control character that has one byte is a sign of misreading; one that has several stands there.
    """
    try:
        text = raw.decode(codec or "ascii")
    except (UnicodeDecodeError, LookupError):
        return None
    return None if codec.startswith("iso8859") and _MISREAD.search(text) else text


def _by_escapes(raw: bytes, vr: str, declared: Sequence[str]) -> tuple[str | None, bool]:
    """A text whose escape sequences say what it is in, and whether that is declared."""
    escapes = {CODES_TO_ENCODINGS.get(code) for code in _ESCAPED.findall(raw)}
    known = escapes <= {*declared, default_encoding, "shift_jis"}
    codecs_ = declared if known else [*declared[:1], *CODES_TO_ENCODINGS.values()]
    text = decode_bytes(raw, codecs_, TEXT_VR_DELIMS | (PN_DELIMS | {ord("=")} if vr == "PN" else set()))
    text = _ESCAPE_SEQUENCE.sub("", text)
    return (None if _MISREAD.search(text) else text), known


def _keep_groups(owner: Dataset, tag: BaseTag, raw: bytes) -> None:
    """Take an unreadable text away; of a person name its groups that are plain ASCII stay."""
    groups = [_decoded(group, "ascii") or "" for group in raw.split(b"=")]
    kept = "=".join(groups).rstrip("=")
    del owner[tag]
    if dictionary_VR(tag) == "PN" and kept:
        _put(owner, tag, kept)


def _put(owner: Dataset, tag: BaseTag, text: str) -> None:
    owner.add(DataElement(tag, dictionary_VR(tag), text, validation_mode=config.IGNORE))
