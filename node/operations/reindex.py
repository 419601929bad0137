"""Objects and catalogue made anew from the files of the root, where the database is lost or damaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from node.analysis.manifest import MANIFEST, read_results
from node.analysis.steps import PLAN
from node.analysis.worker import lock_root
from node.destinations import takes
from node.errors import PermanentError
from node.operations.revoking import revoke_what_is_of_others
from node.recognition.header.charsets import settle
from node.recognition.header.rejections import rejection_note
from node.recognition.record import from_json
from node.settings import Settings
from storage.audit_chain import mark_put_back
from storage.database import close, open_engine, writing
from storage.files import ObjectStore
from storage.index import Index
from storage.reindexing import Knowledge, Reindexed
from storage.reindexing import reindex as make_anew
from storage.root import establish


def reindex(settings: Settings) -> Reindexed:
    """Make the database of a node anew from `objects`, `quarantine` and what analyses left in `work`.

    The queue of the workflow, which knows revisions of before, is put aside.

    Raises:
        ConfigurationError: the analysis of a node runs on this root.
        StorageError: the database holds objects.
    """
    root = settings.root
    with closing(lock_root(root)):
        engine = open_engine(settings.storage_url)
        revisions = dict(_revisions(root))
        remotes = {it.name: it for it in settings.destinations}
        known = Knowledge(
            uid_root=settings.uid_root,
            destinations=tuple(remotes),
            gets=lambda name, sop_class, role: takes(remotes[name], sop_class, role),
            results=_results(root, revisions),
            revisions={study: max(numbers) for study, numbers in revisions.items()},
            note_of=rejection_note,
            settle=settle,
        )
        done = make_anew(engine, ObjectStore(root), known)
        _put_queue_aside(root)
        _keep_verdicts(root, Index(engine), revisions)
        revoke_what_is_of_others(engine, root, known.revisions)
        with writing(engine).begin() as connection:
            mark_put_back(connection)
        establish(engine, root)  # the last: without it the node does not start on what was made to the half
        close(engine)
    return done


def _revisions(root: Path) -> Iterator[tuple[str, list[int]]]:
    """The revisions of each study of which an analysis left something."""
    work = root / "work"
    for folder in sorted(work.iterdir()) if work.is_dir() else ():
        numbers = sorted(int(it.name) for it in folder.glob("*/") if it.name.isdecimal())
        if numbers:
            yield folder.name, numbers


def _results(root: Path, revisions: dict[str, list[int]]) -> dict[str, list[tuple[int, str]]]:
    """Revisions and role of each result that a manifest names; one that cannot be read names none."""
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for study, numbers in revisions.items():
        for number in numbers:
            try:
                results = read_results(root / "work" / study / str(number) / MANIFEST)
            except (OSError, ValidationError):
                continue
            for result in results:
                found[result.sop_instance_uid].append((number, result.role))
    return dict(found)


def _keep_verdicts(root: Path, index: Index, revisions: dict[str, list[int]]) -> None:
    for study, numbers in revisions.items():
        for number in numbers:
            plan = _read_plan(root / "work" / study / str(number) / PLAN)
            if plan is not None and index.study(study) is not None:
                index.keep_verdict(study, number, plan)


def _read_plan(path: Path) -> str | None:
    """The record in a file; None where there is none that this release can read."""
    try:
        text = path.read_text("utf-8")
        from_json(text)
    except (OSError, ValueError, PermanentError):
        return None
    return text


def _put_queue_aside(root: Path) -> None:
    moment = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for path in sorted(root.glob("worklist.sqlite*")):
        if not path.name.endswith(".before-reindex"):
            path.rename(path.with_name(f"{path.name}.{moment}.before-reindex"))
