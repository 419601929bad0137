"""Plans of studies, with the reason for each series: of a stored study its record, of files one made now.

A record is read without importing anything that reads files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import NodeError
from node.operations.watching import Watch, unwatched
from node.recognition.record import StudyPlan, from_json
from node.settings import Settings
from storage.database import open_engine
from storage.index import Index

if TYPE_CHECKING:
    from node.recognition.plan import HeaderFinding


def of_stored(study_instance_uid: str, settings: Settings) -> StudyPlan:
    """The record that was kept with a study.

    Raises:
        NodeError: the node does not know the study, or has not looked at it yet.
    """
    settings.root.mkdir(parents=True, exist_ok=True)
    index = Index(open_engine(settings.storage_url))
    if index.study(study_instance_uid) is None:
        raise NodeError(f"{study_instance_uid}: neither a file, a folder nor a study of this node")
    document = index.verdict(study_instance_uid)
    if document is None:
        raise NodeError(f"{study_instance_uid}: not recognised yet; `rectal-node status --study` says how far it is")
    return from_json(document)


def of_files(path: Path, settings: Settings, watch: Watch[HeaderFinding] = unwatched) -> Iterator[StudyPlan]:
    """Plan the studies in a folder or file as the node would, images included; nothing is stored.

    Headers are read in several processes; `watch` is told of each.

    Raises:
        NodeError: there is no DICOM file.
    """
    from node.operations.headers import in_processes
    from node.planning import plan_from, plan_with_volumes, trained_protocols
    from node.recognition.folder import studies_in
    from node.recognition.plan import given_header_of
    from node.results.trial import require_encodable

    trained = trained_protocols(settings.analysis.bundles)
    for facts in studies_in(path, settings.recognition, in_processes(watch, read_header=given_header_of)):
        plan = plan_from(facts, settings.recognition, trained)
        yield plan_with_volumes(plan, lambda facts=facts: facts, settings.recognition, trained, require_encodable)[0]  # type: ignore[misc]
