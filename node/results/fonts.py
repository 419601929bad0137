"""The fonts of the page and what they can draw; all come with Python packages, so every machine has the same glyphs.

DejaVu has the Latin, Greek, Cyrillic, Arabic, Hebrew, Armenian and Georgian letters, Noto Sans CJK the Chinese,
Japanese and Korean ones, further Noto fonts those of India and of its neighbours and of Ethiopia. matplotlib takes each
glyph from the first font that has it, joins letters and sets right-to-left text in order.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.resources import as_file, files
from typing import Any

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"
_PACKAGED = {
    "Noto Sans CJK JP": ("noto_cjk_sans_jp_regular", "NotoSansCJKjp-Regular.otf"),
    **{
        f"Noto Sans {script}": ("manimgx_fonts", f"NotoSans{script}[wght].ttf")
        for script in (
            "Thai",
            "Lao",
            "Khmer",
            "Myanmar",
            "Devanagari",
            "Bengali",
            "Gujarati",
            "Gurmukhi",
            "Kannada",
            "Malayalam",
            "Oriya",
            "Sinhala",
            "Tamil",
            "Telugu",
            "Ethiopic",
        )
    },
}
_FAMILIES = (FONT, *_PACKAGED)
_KANA, _HANGUL = re.compile("[\u3040-\u30ff\uff66-\uff9f]"), re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")


def lettering(text: str, weight: str = "normal") -> dict[str, Any]:
    """The properties with which matplotlib draws a text. Fonts other than the first have one weight only."""
    families = list(dict.fromkeys([FONT, *filter(None, map(_family, text))]))
    if families == [FONT]:
        return {"family": families, "weight": weight}
    return {"family": families, "weight": "normal", "language": _language(text)}


def drawable(text: str) -> str:
    """The text with the Unicode number, such as [U+13000], for each character that no font has."""
    # A format character (Cf) has no glyph of its own, but steers those around it.
    return "".join(c if unicodedata.category(c) == "Cf" or _family(c) else f"[U+{ord(c):04X}]" for c in text)


@cache
def _family(character: str) -> str | None:
    """The first font that has a character."""
    return next((family for family in _FAMILIES if _font(family).get_char_index(ord(character))), None)


def _language(text: str) -> str:
    """The language whose forms of the Han characters are taken; Chinese where nothing tells another."""
    if _KANA.search(text):
        return "ja"
    return "ko" if _HANGUL.search(text) else "zh-Hans"


@cache
def _font(family: str) -> FT2Font:
    if family in _PACKAGED:
        package, name = _PACKAGED[family]
        with as_file(files(package) / name) as path:
            font_manager.fontManager.addfont(path)
    return font_manager.get_font(font_manager.findfont(family, fallback_to_default=False))
