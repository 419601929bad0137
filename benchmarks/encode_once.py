"""Encode, keep and record the objects of an analysed study in a new process, with whichever code PYTHONPATH names.

Called by `benchmarks.encoding` with a folder that `benchmarks.encoded_study` has filled, a new folder, and how often;
prints the seconds of each time, and how many objects there are, as JSON.
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from node.analysis import steps, workflow
from node.analysis.bundles import Models
from node.analysis.identity import settings_digest, site_of
from node.analysis.manifest import write_manifest
from node.analysis.study import Study
from node.settings import Settings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.header import content_of, read_header
from storage.identity import InstanceKey
from storage.ledger import Ledger

CREATED_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def main(analysed: Path, folder: Path, times: int) -> None:
    """Encode so many times, each into new folders."""
    headers = {path: read_header(path) for path in sorted((analysed / "images").rglob("*.dcm"))}
    instances = {
        InstanceKey(header.series_instance_uid, header.sop_instance_uid): (path, content_of(path).identifier)
        for path, header in headers.items()
    }
    uid = next(iter(headers.values())).study_instance_uid
    models = Models(Settings(root=folder).analysis)
    models.check()
    if hasattr(workflow, "keep"):  # as the worker does at its start, since it has this
        gc.collect()
        gc.freeze()
    seconds, count = [], 0
    for number in range(times):
        place = folder / str(number)
        shutil.copytree(analysed / "work", place / "work", ignore=shutil.ignore_patterns("results"))
        count, spent = _encode(Study(uid, 1, instances, place / "work"), models, place)
        seconds.append(spent)
    print(json.dumps({"objects": count, "seconds": seconds}))


def _encode(study: Study, models: Models, place: Path) -> tuple[int, float]:
    settings = Settings(root=place / "root")
    files = ObjectStore(settings.root)
    engine = open_engine(f"sqlite:///{settings.root / 'index.sqlite'}")
    ledger = Ledger(engine)
    executions = getattr(models, "executions", None)
    digest = settings_digest(settings, *([executions()] if executions else []))
    begun = time.perf_counter()
    made = steps.encode_results(study, models, CREATED_AT, digest, site_of(settings))
    if keep := getattr(workflow, "keep", None):
        records = keep(files, study, made)
    else:
        records = [getattr(workflow, "_record")(files, study, each) for each in made]  # noqa: B009 (of an earlier state)
    write_manifest(study.folder, records)
    ledger.record(records, ["archive"], CREATED_AT)
    spent = time.perf_counter() - begun
    engine.dispose()
    return len(made), spent


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
