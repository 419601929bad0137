"""A view does not keep its image alive: of an image without a name it shows memory that is already freed.

A mask was a few voxels different once in some hundred times.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VIEW = "GetArrayViewFromImage"
SOURCES = sorted(path for room in ("models", "node", "benchmarks", "tests") for path in (ROOT / room).rglob("*.py"))


def views_of_temporaries(source: str) -> list[int]:
    """Lines that take a view of what a call or an operator gives."""
    if VIEW not in source:
        return []
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == VIEW
        and isinstance(node.args[0], ast.Call | ast.BinOp | ast.Compare)
    ]


@pytest.mark.parametrize("code", ["sitk.GetArrayViewFromImage(sitk.Abs(a))", "sitk.GetArrayViewFromImage(a > 0)"])
def test_a_view_of_a_temporary_image_is_seen(code):
    assert views_of_temporaries(code) == [1]
    assert views_of_temporaries(code.replace("View", "")) == []


def test_no_view_is_taken_of_an_image_without_a_name():
    found = {str(path.relative_to(ROOT)): views_of_temporaries(path.read_text("utf-8")) for path in SOURCES}
    assert {name: lines for name, lines in found.items() if lines} == {}
