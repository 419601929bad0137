"""Descriptions of series and protocols: of their words those that are known, and short numbers (PS3.15 E.3.5)."""

from __future__ import annotations

import re

from node.deidentification.profile import known_words

#: Such as b800, t2, 4mm, 3d, 20deg, and numbers of at most three digits: no year, and no number of a patient.
_MEASURE = re.compile(r"(?:t\d|\d{1,3}(?:\.\d{1,2})?)(?:mm|ms|s|d|deg|x|w|wi)?|(?:b|te|tr)\d{1,4}")
_PARTS = re.compile(r"[^\W_]+(?:\.\d+)?")


def cleaned(text: str) -> str:
    """The known words of a description, in their order; empty where it has none."""
    return " ".join(part for part in _PARTS.findall(text) if _is_known(part))


def _is_known(part: str) -> bool:
    lowered = part.lower()
    return lowered in known_words() or _MEASURE.fullmatch(lowered) is not None
