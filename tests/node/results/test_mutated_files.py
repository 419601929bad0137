"""Files with changed bytes, given to all that reads files: an answer or a refusal of its own, in time, without leaks.

40 for each reader in the suite; with RECTAL_NODE_LONG=1 10,000 (`make fuzz`).
"""

from __future__ import annotations

import io
import logging
import os
import random
import shutil
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread

from models.errors import BundleError
from models.manifest import MANIFEST_NAME, load_manifest
from models.research.cohort.records import TABLE_NAME, CaseFacts, Equipment, Split
from models.research.cohort.table import read_table, write_table
from models.research.errors import CohortError
from models.research.evaluation.prediction_table import read_predictions
from node.deidentification.instance import deidentify
from node.deidentification.patient import Pseudonym
from node.deidentification.profile import profile_of
from node.errors import NodeError
from node.operations.archives import opened
from node.recognition.header.charsets import settle
from node.recognition.header.frames import read_frames
from node.recognition.header.words import words
from node.viewing.contours import read_segmentation
from node.viewing.outlines import read_drawn
from node.viewing.report import read_report
from storage.catalogue.header import read_entry
from storage.errors import HeaderError
from storage.header import content_of, read_header, readable_uids

from ..services.test_damaged_traffic import damaged
from .conftest import Encoded

COUNT = 10_000 if os.environ.get("RECTAL_NODE_LONG") == "1" else 40
PATIENCE_S = 10.0  # a picture of megabytes can become as many elements; the machine is shared with other tests
LARGEST_GROWTH = 50e6  # bytes
WARM_UP = 10  # files after which a reader has loaded what it loads once
SOMEBODY = Pseudonym("p-AAAAAAAA", b"k" * 32, -700)
ROOT = Path(__file__).parents[3]
#: What says how long something is is likelier to be met here than anywhere behind it.
HEAD = 4096


@dataclass(frozen=True)
class Reader:
    """What reads a file, of which kinds it gets some, the errors by which it refuses, and what it never takes."""

    read: Callable[[Path], object]
    kinds: tuple[str, ...]
    refusals: tuple[type[Exception], ...] = ()
    kept_back: tuple[str, ...] = ()


def unpacked(path: Path) -> None:
    with opened(path, 10_000_000) as entries:
        for entry in entries:
            if entry.content is not None:
                while entry.content.read(2**16):
                    pass


def exported(path: Path) -> None:
    deidentify(path, SOMEBODY, profile_of("research"), made_here=True).write(io.BytesIO())


ALL = ("MR", "SEG", "SR", "OT", "DOC")
READERS = {
    "index": Reader(read_header, ALL, (HeaderError,)),
    "quarantine": Reader(readable_uids, ALL),
    "digest": Reader(content_of, ALL),
    "catalogue": Reader(lambda path: read_entry(path, settle), ALL, (HeaderError,)),
    "recognition": Reader(lambda path: read_frames(path, words()), ALL),
    "outline": Reader(read_drawn, ("SEG",), (NodeError,)),
    "contours": Reader(read_segmentation, ("SEG",), (NodeError,)),
    "report": Reader(read_report, ("SR",), (NodeError,)),
    "export": Reader(exported, ALL, (NodeError,), ("OT", "DOC")),
    "archive": Reader(unpacked, ("archive.zip",), (NodeError,)),
    "predictions": Reader(read_predictions, ("predictions.csv",), (CohortError,)),
    "cohort": Reader(lambda path: read_table(path.parent), (TABLE_NAME,)),
    "manifest": Reader(lambda path: load_manifest(path.parent), (MANIFEST_NAME,), (BundleError,)),
}


@pytest.fixture(scope="module")
def sources(siemens: Encoded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of each kind, by the modality of a result or by its name."""
    found = {modality: path.read_bytes() for path in (it.path for it in siemens.objects) for modality in [of(path)]}
    archive = tmp_path_factory.mktemp("archive") / "archive.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in found.items():
            written.writestr(f"study/{name}.dcm", content[:20_000])
    facts = CaseFacts("C1", "P1", Equipment("Siemens", "Skyra", 3.0), Split.TRAIN, 1, True, {"note": "none"})
    write_table(archive.parent, [facts])
    return found | {
        "archive.zip": archive.read_bytes(),
        "predictions.csv": (ROOT / "docs" / "evaluation-example.csv").read_bytes(),
        TABLE_NAME: (archive.parent / TABLE_NAME).read_bytes(),
        MANIFEST_NAME: (ROOT / "models" / "weights" / "segmentation" / MANIFEST_NAME).read_bytes(),
    }


def of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).Modality)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """With changed bytes, likelier at its beginning, or cut short."""
    reach = draw.choice((len(content), min(HEAD, len(content))))
    changed = damaged(content[:reach], draw) + content[reach:]
    return changed[: draw.randrange(1, len(changed))] if draw.randrange(8) == 0 else changed


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_is_read_or_refused_in_time(
    name: str, sources: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "pydicom")  # what it says of each, with all that it holds, would be kept
    reader, draw, before, answers = READERS[name], random.Random(name), 0, Counter[str]()
    for number in range(COUNT):
        kind = reader.kinds[number % len(reader.kinds)]
        path = tmp_path / (kind if "." in kind else f"{kind}.dcm")
        is_good = number < len(reader.kinds)  # which shows that it is read where nothing is wrong
        path.write_bytes(sources[kind] if is_good else mutated(sources[kind], draw))
        begun = time.monotonic()
        with warnings.catch_warnings(action="ignore"):
            try:
                reader.read(path)
                answers["read"] += 1
            except reader.refusals:
                answers["refused"] += 1
            except Exception as error:
                error.add_note(f"{kind}, file {number}: kept as {shutil.copy(path, tmp_path.parent)}")
                raise
        assert time.monotonic() - begun < PATIENCE_S, f"{kind}, file {number}"
        if number == max(WARM_UP, COUNT // 20):
            before = resident()
    assert answers["read"] >= len(reader.kinds) - len(reader.kept_back), answers
    assert resident() - before < LARGEST_GROWTH
