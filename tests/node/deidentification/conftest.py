"""What leaves of a data set that a careless system has written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, config, dcmread, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from node.deidentification.instance import deidentify
from node.deidentification.patient import Pseudonym
from node.deidentification.profile import RESEARCH

from .planting import written

WHO = Pseudonym("TRIAL-ABCDEFGH", b"k" * 32, -700)


@pytest.fixture
def through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A data set written to a file, and what leaves of it."""

    def go(ds: Dataset, profile=RESEARCH, made_here: bool = False) -> Dataset:
        buffer = BytesIO()
        ds.ensure_file_meta()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        with monkeypatch.context() as patch:
            patch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
            dcmwrite(buffer, ds, enforce_file_format=True)
        (tmp_path / "source.dcm").write_bytes(buffer.getvalue())
        return dcmread(BytesIO(written(deidentify(tmp_path / "source.dcm", WHO, profile, made_here))))

    return go
