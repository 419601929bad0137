"""Keys of what is kept: they change with any code or table that was used, and with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import models
from models.research.source_digest import source_digest, source_files

ROOT = Path(models.__file__).parents[1]
EVALUATION = "models.research.training.segmentation.evaluation"
CASES = "models.research.training.prediction.cases"
OWN_MASKS = "models.research.training.prediction.own_masks.cases"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The sources in a folder of their own, to be changed."""
    leave = shutil.ignore_patterns("__pycache__", "weights", "results")
    shutil.copytree(ROOT / "models", tmp_path / "models", ignore=leave)
    return tmp_path


def key_after(tree: Path, module: str, path: str, old: str, new: str) -> tuple[str, str]:
    """The key of a module before and after a change of a file: that of the sources is that of their copy."""
    text = (tree / path).read_text("utf-8")
    assert old in text
    (tree / path).write_text(text.replace(old, new, 1), "utf-8")
    return source_digest(module), source_digest(module, tree)


@pytest.mark.parametrize("module", [EVALUATION, OWN_MASKS])
@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("models/findings.py", "FEWEST_WITNESSES = 2", "FEWEST_WITNESSES = 1"),
        ("models/plausibility/corridor.py", " > ", " >= "),
        ("models/rounding.py", "def ", "def _unused() -> None: ...\n\n\ndef "),
        ("models/research/phantom/scanners.csv", "Skyra", "Skyre"),
        ("models/research/__init__.py", '"""', 'VERSION = 2\n"""'),
    ],
)
def test_a_changed_line_of_what_is_imported_on_the_way_changes_the_key(tree, module, path, old, new):
    before, after = key_after(tree, module, path, old, new)
    assert before != after


def test_settings_beside_a_module_count(tree):
    before, after = key_after(tree, CASES, "models/radiomics/settings.yaml", "sigma: [3.0]", "sigma: [2.0]")
    assert before != after


def test_a_module_that_nobody_imports_changes_no_key(tree):
    before, after = key_after(
        tree, EVALUATION, "models/research/evaluation/decision_curve.py", "def ", "def _unused() -> None: ...\n\n\ndef "
    )
    assert before == after


def test_comments_and_docstrings_change_no_key(tree):
    before, after = key_after(
        tree, EVALUATION, "models/findings.py", '"""From the sequences', '# reworded\n"""From all sequences'
    )
    assert before == after


def test_imports_within_functions_count(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "made.py").write_text("def make():\n    from models import late\n    return late.VALUE\n")
    (folder / "late.py").write_text("VALUE = 1\n")
    assert [it.name for it in source_files("models.made", tmp_path)] == ["__init__.py", "late.py", "made.py"]


def test_relative_imports_count(tmp_path):
    folder = tmp_path / "models" / "room"
    folder.mkdir(parents=True)
    for place in (folder.parent, folder):
        (place / "__init__.py").write_text("")
    (folder / "made.py").write_text("from .beside import VALUE\nfrom ..above import OTHER\n")
    (folder / "beside.py").write_text("VALUE = 1\n")
    (folder.parent / "above.py").write_text("OTHER = 1\n")
    names = {it.relative_to(tmp_path).as_posix() for it in source_files("models.room.made", tmp_path)}
    assert {"models/room/beside.py", "models/above.py", "models/room/__init__.py"} <= names


def test_a_module_that_is_not_there_is_an_error():
    with pytest.raises(ModuleNotFoundError, match=r"no module models\.nothing"):
        source_digest("models.nothing")


def test_the_cases_of_the_prediction_depend_on_all_that_measures_them():
    names = {it.relative_to(ROOT).as_posix() for it in source_files(CASES)}
    measuring = ("analysis", "rounding", "volume", "radiomics/parallel", "super_resolution/network", "manifest")
    assert {f"models/{name}.py" for name in measuring} <= names
    assert "models/radiomics/settings.yaml" in names
    assert not any(name.startswith("models/weights") for name in names)
