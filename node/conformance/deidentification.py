"""The de-identification: options of the profile with their codes, and the classes that are exported."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.uid import UID

from node.conformance.markdown import table
from node.deidentification.kinds import EXPORTED
from node.deidentification.profile import ALWAYS, CODES, EDITION, RESEARCH, Action, safe_private
from node.deidentification.profile import table as table_e1_1


def facts() -> dict[str, str]:
    """What the statement says of it."""
    rows = [(code.meaning, code.value, "always") for code in ALWAYS]
    rows += [(code.meaning, code.value, f"`{option}`, or `research`") for option, code in CODES.items()]
    return {
        "deidentification_edition": EDITION,
        "deidentification_options": table(("profile and options (CID 7050)", "code", "`--profile`"), rows),
        "deidentification_private": table(("element", "creator", "VR", "what it is", "safe by"), _private()),
        "deidentification_words": ", ".join(_cleaned()),
        "deidentification_kinds": ", ".join(sorted(_name(uid) for uid in EXPORTED)),
    }


def _cleaned() -> Iterator[str]:
    """Attributes of which the known words stay."""
    return (row.name for row in table_e1_1().values() if row.action(RESEARCH) is Action.WORDS)


def _private() -> Iterator[tuple[str, ...]]:
    """Private elements that are kept."""
    for (group, creator, element), it in safe_private().items():
        terms = f" ({', '.join(sorted(it.terms))})" if it.terms else ""
        safe = "the maker" if it.source == "maker" else it.source
        yield f"({group:04X},xx{element:02X})", f"`{creator}`", it.vr, f"{it.name}{terms}", safe


def _name(uid: str) -> str:
    known = UID(uid).name
    return f"Label Map Segmentation Storage ({uid})" if known == uid else known
