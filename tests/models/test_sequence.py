"""One type names the contrasts of plans, bundles and tables; models take all of them but the ADC map."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import models
from models.errors import BundleError
from models.manifest import MANIFEST_NAME, load_manifest
from models.sequence import ANALYSED, Sequence, analysed

SHIPPED = Path(models.__file__).parent / "weights" / "segmentation"


def test_models_take_every_sequence_but_the_adc_map():
    assert {analysed(name) for name in ANALYSED} == set(Sequence) - {Sequence.ADC}
    for name in ("ADC", "T1WI", ""):
        with pytest.raises(ValueError, match="is none of T2WI, DWI, PVP"):
            analysed(name)


@pytest.mark.parametrize("key", ["input_sequences", "protocol"])
def test_a_bundle_that_takes_an_adc_map_is_refused(tmp_path, key):
    manifest = json.loads((SHIPPED / MANIFEST_NAME).read_text("utf-8"))
    manifest[key] = ["ADC"] if key == "input_sequences" else {"ADC": {"te_ms": [50, 60]}}
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleError, match=f"{key}.*'ADC' is none of T2WI, DWI, PVP"):
        load_manifest(tmp_path)


def test_settings_name_sequences_without_any_library_of_images():
    code = "import sys, node.settings; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "models.sequence" in loaded
    assert not loaded & {"SimpleITK", "torch", "monai", "numpy", "highdicom"}
