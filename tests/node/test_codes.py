"""Every code is defined once, with its meaning, and documented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from node.codes import CODES, Alert, Code, Kind
from node.codes.page import as_markdown

ROOT = Path(__file__).parents[2]
_CODE = re.compile(r"\bE-[A-Z][A-Z0-9]*(-[A-Z0-9]+)*\b")
#: Storage and models cannot know the node: they define their codes themselves.
DEFINED_IN = (
    "node/codes/studies.py",
    "node/codes/alerts.py",
    "storage/identity.py",
    "models/plausibility/records.py",
)


def texts(tree: ast.AST) -> Iterator[str]:
    """The strings of a module that are no docstrings; parts of formatted strings too."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def codes_written_in(path: Path) -> set[str]:
    found = (match.group() for text in texts(ast.parse(path.read_text("utf-8"))) for match in _CODE.finditer(text))
    return set(found)


def test_the_page_of_codes_is_the_one_that_the_command_writes() -> None:
    assert (ROOT / "docs" / "codes.md").read_text("utf-8") == as_markdown()


def test_no_module_spells_a_code_that_has_a_name() -> None:
    modules = [path for room in ("node", "storage", "models") for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(modules) > 300
    spelled = {str(path.relative_to(ROOT)): codes_written_in(path) for path in modules}
    assert {code for name in DEFINED_IN for code in spelled.pop(name)} == {code.value for code in CODES}
    assert {name: codes for name, codes in spelled.items() if codes} == {}


def test_every_code_says_in_a_sentence_what_it_means_and_what_to_do() -> None:
    for code in CODES:
        assert _CODE.fullmatch(code)
        assert code.kinds
        for sentence in (code.meaning, code.advice):
            assert re.fullmatch(r"[A-Z][^\n|]+[.]", sentence), code


def test_documents_and_settings_name_no_code_that_there_is_not() -> None:
    pages = [ROOT / "README.md", ROOT / "config.toml", *(ROOT / "docs").rglob("*.md")]
    named = {match.group() for page in pages for match in _CODE.finditer(page.read_text("utf-8"))}
    assert named - set(CODES) == set()
    assert len(named) >= len(CODES)


def test_a_code_is_its_text() -> None:
    assert f"{Code.SLICE_MISSING}: 3" == "E-SLICE-MISSING: 3"
    assert {Code.NO_MR: 1}["E-NO-MR"] == 1
    assert Code("E-NO-MR") is Code.NO_MR


def test_a_code_of_an_alert_is_one_and_no_other_is() -> None:
    assert {code for code in CODES if Kind.ALERT in code.kinds} == set(Alert)
    assert len(set(CODES)) == len(CODES)
