"""A node without the extra `research`: all that serving loads, and a study through every step of the analysis."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "data" / "tiny"

#: Makes every package of the laboratory as absent as where it was never installed.
WITHOUT_LABORATORY = """
import sys

ABSENT = ("models.research", "lightning_fabric", "tensorboard", "sklearn", "docx")

def is_absent(name):
    return any(name == absent or name.startswith(absent + ".") for absent in ABSENT)

class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if is_absent(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent)
"""

IMPORT_SERVING = """
import importlib, pkgutil

import models, node, storage

# What serving does not load, and what Alembic alone can run: the migration of a new database does it below.
COMMANDS = ("node.cli.", "node.simulator", "node.cohort", "node.__main__", "models.research", "storage.migrations.env")
imported = ["node.cli.main"]
for package in (node, storage, models):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda _: None):
        if not module.name.startswith(COMMANDS):
            imported.append(module.name)
for name in imported:
    importlib.import_module(name)
"""

ANALYSE = """
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from models.volume import image_from, grid_of
from node.analysis import steps
from node.analysis.bundles import Models
from node.analysis.refusal import ANALYSED
from node.analysis.study import Study
from node.results.identity import Site
from node.settings import AnalysisSettings, Settings
from storage.identity import InstanceKey
from storage.database import open_engine

import pydicom

instances = {}
for path in sorted(Path(sys.argv[1]).rglob("*.dcm")):
    header = pydicom.dcmread(path, stop_before_pixels=True)
    instances[InstanceKey(str(header.SeriesInstanceUID), str(header.SOPInstanceUID))] = (path, path.name)
    study_uid = str(header.StudyInstanceUID)
tiny = Path(sys.argv[3])
networks = {"super_resolution": tiny / "super-resolution", "segmentation": tiny / "segmentation"}
settings = Settings(root=Path(sys.argv[2]), analysis=AnalysisSettings(threads=1, **networks))
open_engine(settings.storage_url).dispose()
study = Study(study_uid, 1, instances, Path(sys.argv[2]) / "work")
bundles = Models(settings.analysis)
bundles.check()
steps.recognise_study(study, settings.recognition, bundles)
steps.assemble_volumes(study, settings.recognition, bundles)
steps.super_resolve_volumes(study, bundles)
steps.segment_volumes(study, bundles)
for role in ANALYSED:  # the study is noise: a tumour is put into it by hand
    for kind in ("mask", "mask_super"):
        grid = grid_of(sitk.ReadImage(study.image(role, kind)))
        shape = grid.size[::-1]
        places = (np.indices(shape).reshape(3, -1).T - np.array(shape) / 2) * np.array(grid.spacing[::-1])
        ball = (np.linalg.norm(places, axis=1) < 12).reshape(shape)
        sitk.WriteImage(image_from(ball.astype(np.uint8), grid), study.image(role, kind))
features = steps.extract_features(study, bundles)
probability = steps.predict_outcome(study, bundles)
made = steps.encode_results(study, bundles, datetime.now(UTC), "0" * 64, Site("1.2.3."))
print(features, probability, len(made))
loaded = [name for name in sys.modules if is_absent(name)]
assert not loaded, loaded
"""


#: Commands, one after another; how each ended, as JSON.
EACH_COMMAND = """
import contextlib, io, json
from node.cli.main import run

ended = []
for words in sys.argv[1:]:
    sys.argv = ["rectal-node", *words.split()]
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            code = run()
        except SystemExit as stopped:
            code = stopped.code
    ended.append([code, said.getvalue()])
print(json.dumps(ended))
"""
COMMANDS = ("train segmentation --help", "train prediction --help", "evaluate-models")


def run(*scripts: str, arguments: tuple[object, ...] = ()) -> str:
    """What the scripts print, one after the other in one fresh process."""
    call = [sys.executable, "-c", "\n".join(scripts), *map(str, arguments)]
    ended = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.parametrize("package", ["models.research.phantom", "sklearn", "lightning_fabric", "docx"])
def test_what_is_taken_away_cannot_be_imported(package):
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        run(WITHOUT_LABORATORY, f"import {package}")


def test_everything_that_serving_loads_is_there_and_analyses_a_study(written_by, tmp_path):
    study = written_by("Siemens Skyra").paths[0].parents[1]
    answer = run(WITHOUT_LABORATORY, IMPORT_SERVING, ANALYSE, arguments=(study, tmp_path, TINY)).split()
    features, probability, objects = int(answer[0]), float(answer[1]), int(answer[2])
    assert features > 100
    assert 0 < probability < 1
    assert objects > 3


@pytest.fixture(scope="module")
def ended() -> dict[str, tuple[int, str]]:
    """Exit code of each command of the laboratory, and what it has said; where the laboratory is not installed."""
    said = run(WITHOUT_LABORATORY.replace('"models.research", ', ""), EACH_COMMAND, arguments=COMMANDS)
    return dict(zip(COMMANDS, json.loads(said), strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_laboratory_says_which_extra_it_needs(ended, command):
    code, said = ended[command]
    assert code == 1
    assert "needs the extra `research`" in said
    assert len(said.splitlines()) == 1


def test_the_packages_of_the_laboratory_are_asked_for_by_the_extra_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    laboratory = {Requirement(line).name for line in project["optional-dependencies"]["research"]}
    assert laboratory == {"lightning-fabric", "python-docx", "scikit-learn", "tensorboard", "threadpoolctl"}
    assert not laboratory & {Requirement(line).name for line in project["dependencies"]}
