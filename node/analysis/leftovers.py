"""Volumes in the work folder that no analysis needs any more.

An analysis removes its own when it ends, whatever the end. What a kill of the process left behind, and what was there
before a release that did so, is found at the start of a worker.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from node.analysis.progress import unfinished
from node.analysis.study import RESULTS
from storage.index import Index
from storage.records import ENDED_STATES

log = logging.getLogger(__name__)


def discard_volumes(folder: Path) -> None:
    """Remove what the object store holds, or can be computed again, from the work folder of a revision.

    Plan, features, prediction and the list of results stay.
    """
    for path in folder.glob("*.nrrd"):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / RESULTS, ignore_errors=True)


def discard_leftovers(root: Path, index: Index) -> int:
    """Discard the volumes of revisions that have ended, and whose workflow has; returns of how many."""
    count = 0
    under_way: set[tuple[str, int]] | None = None
    for study, revision, folder in _with_volumes(root / "work"):
        under_way = set(unfinished(root)) if under_way is None else under_way
        if (study, revision) not in under_way and is_over(index, study, revision):
            discard_volumes(folder)
            count += 1
    if count:
        log.info("volumes of %d ended analyses are removed from %s", count, root / "work")
    return count


def _with_volumes(work: Path) -> Iterator[tuple[str, int, Path]]:
    for folder in work.glob("*/*/"):
        if folder.name.isdecimal() and (any(folder.glob("*.nrrd")) or (folder / RESULTS).exists()):
            yield folder.parent.name, int(folder.name), folder


def is_over(index: Index, study_uid: str, revision: int) -> bool:
    """Whether the storage wants nothing more of a revision; of a study that it does not know, neither."""
    study = index.study(study_uid)
    return study is None or study.revision > revision or (study.revision == revision and study.state in ENDED_STATES)
