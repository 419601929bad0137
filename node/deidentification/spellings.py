"""How names, numbers and birth dates are written by people, as patterns over text in lower case (PS3.15 E.3.5).

Separators differ, letters of a name are run together, leading zeros are left away, a date stands in the order of a
country: all of these are what the header spells in one way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_ATOMS = re.compile(r"[^\W_]+")
_BETWEEN = r"[\W_]{0,3}"
_NO_DIGIT, _NO_LETTER = (r"(?<!\d)", r"(?!\d)"), (r"(?<![^\W_])", r"(?![^\W_])")
_SHORTEST_NUMBER, _SHORTEST_SPACED, _SHORTEST_NAME = 4, 6, 4
_WITHIN_WORDS = 6
"""Letters from which on a name is looked for within longer words."""
_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"})
_DAY = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")


def plain(text: str) -> str:
    """A text in lower case, with letters and digits of one width."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


def variants(name: str) -> frozenset[str]:
    """A name, as it is and as it is written without its accents: Müller, Mueller, Muller."""
    if name.isascii():
        return frozenset({name})
    bare = "".join(it for it in unicodedata.normalize("NFKD", name) if not unicodedata.combining(it))
    return frozenset({name, name.translate(_LETTERS), unicodedata.normalize("NFC", bare)})


def atoms(text: str) -> list[str]:
    """The runs of letters and digits of a text."""
    return _ATOMS.findall(text)


def squeezed(text: str) -> str:
    """A text without anything between letters and digits."""
    return "".join(atoms(text))


def is_long(name: str) -> bool:
    """Whether a name is looked for within longer words."""
    return len(name) >= _WITHIN_WORDS or not name.isascii()


def of_name(name: str) -> str:
    """One part of a name: as a word; a longer one anywhere."""
    return re.escape(name) if is_long(name) else _alone(re.escape(name), _NO_LETTER)


def of_whole_name(parts: Sequence[str]) -> str:
    """Parts of a name, one after the other, with whatever between them; empty where that is too short for a name."""
    joined = "".join(parts)
    if len(joined) < (_SHORTEST_NAME if joined.isascii() else 2):
        return ""
    body = _BETWEEN.join(map(re.escape, parts))
    return body if is_long(joined) else _alone(body, _NO_LETTER)


def of_number(number: str) -> str:
    """A number of a patient, with other separators or none, with and without leading zeros."""
    run = squeezed(number)
    if len(run) < _SHORTEST_NUMBER or not any(it.isdigit() for it in run):
        return _alone(_BETWEEN.join(map(re.escape, atoms(number))), _NO_LETTER)
    bare = run.lstrip("0")
    if len(bare) < _SHORTEST_NUMBER:
        bare = run
    between = _BETWEEN if len(bare) >= _SHORTEST_SPACED else ""
    return _alone(f"0*{between.join(map(re.escape, bare))}", _NO_DIGIT)


def of_day(day: str) -> str:
    """A date (YYYYMMDD) in the orders of year, month and day that people write."""
    year, month, date = day[:4], _short(day[4:6]), _short(day[6:])
    century, short = year[:2], year[2:]
    orders = (
        rf"{year}[\W_]{{0,2}}{month}[\W_]{{0,2}}{date}",
        rf"{date}[\W_]{{1,2}}{month}[\W_]{{1,2}}(?:{century})?{short}",
        rf"{month}[\W_]{{1,2}}{date}[\W_]{{1,2}}(?:{century})?{short}",
        rf"{day[6:]}{day[4:6]}{year}",
        rf"{day[4:6]}{day[6:]}{year}",
        rf"{short}[\W_]{{1,2}}{month}[\W_]{{1,2}}{date}",
    )
    return _alone(f"(?:{'|'.join(orders)})", _NO_DIGIT)


def day(text: str) -> str:
    """A DA, or the beginning of a DT, as YYYYMMDD; empty where it is none."""
    found = _DAY.match(text.strip())
    return "".join(found.groups()) if found else ""


def _short(two: str) -> str:
    return f"0?{two[1]}" if two.startswith("0") else two


def _alone(body: str, ends: tuple[str, str]) -> str:
    return f"{ends[0]}{body}{ends[1]}"
