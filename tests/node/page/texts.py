"""The texts of the page, for its words in other languages: `python -m tests.node.page.texts` brings them into the PO
files.

What was translated stays so; a new text comes without words, which the tests refuse; one that is gone goes.
"""

from __future__ import annotations

import json

from node.codes import CODES
from node.codes.definition import Kind
from node.page.languages import LANGUAGES, LOCALE, SOURCE, read_po
from node.page.rendering import HERE, environment

Text = tuple[str, str]
"""A text, and its form for other numbers than one; the latter empty where there is none."""

_HEADER = """\
# Words of the page. `python -m tests.node.page.texts` brings new texts in.
msgid ""
msgstr ""
"Language: {tag}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"
"""


def texts() -> dict[Text, str]:
    """Every text, and where it stands first: those of the templates, then those of codes."""
    found: dict[Text, str] = {}
    for path in sorted((HERE / "templates").glob("*.html")):
        for _, _, said in environment().extract_translations(path.read_text("utf-8")):  # type: ignore[attr-defined]
            one, many = (said[0], said[1]) if isinstance(said, tuple) else (said, "")
            if one:  # else a text that is known when it is shown, as those of codes
                found.setdefault((one, many or ""), f"templates/{path.name}")
    for code in CODES:
        for text in (code.meaning, code.advice):
            found.setdefault((text, ""), f"code {code}")
    for kind in Kind:
        found.setdefault((str(kind), ""), "codes")
    return found


def as_po(tag: str, words: dict[str, str]) -> str:
    """The PO file of a language."""
    entries = [_HEADER.format(tag=tag)]
    for (one, many), place in texts().items():
        word = json.dumps(words.get(one, ""), ensure_ascii=False)
        lines = [f"#: {place}", f"msgid {json.dumps(one, ensure_ascii=False)}"]
        if many:
            lines += [f"msgid_plural {json.dumps(many, ensure_ascii=False)}", f"msgstr[0] {word}"]
        else:
            lines.append(f"msgstr {word}")
        entries.append("\n".join(lines) + "\n")
    return "\n".join(entries)


def main() -> None:
    """Write each anew."""
    for tag in LANGUAGES:
        if tag != SOURCE:
            path = LOCALE / f"{tag}.po"
            known = read_po(path.read_text("utf-8")) if path.is_file() else {}
            path.write_text(as_po(tag, known), "utf-8")
            lacking = [one for one, _ in texts() if not known.get(one)]
            print(f"{path}: {len(lacking)} texts without words", *lacking, sep="\n  ")


if __name__ == "__main__":
    main()
