"""The context of an analysis: settings, storage and models of its process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.analysis.bundles import Models
from node.analysis.study import Study
from node.settings import Settings
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger


def _left_to_delivery() -> None:
    """What is due is found by whoever delivers."""


@dataclass(frozen=True, slots=True)
class AnalysisContext:
    """Settings, storage and models of one process; `results_are_due` is called when results have become due."""

    settings: Settings
    files: ObjectStore
    index: Index
    ledger: Ledger
    deliveries: Deliveries
    models: Models
    results_are_due: Callable[[], None] = _left_to_delivery

    def study(self, study_instance_uid: str, revision: int) -> Study:
        """The study revision with the instances that it is pinned to."""
        instances = {
            record.header.key: (self.files.absolute(record.file), record.content.identifier)
            for record in self.index.pinned(study_instance_uid, revision)
        }
        found = self.index.study(study_instance_uid)
        return Study(
            study_instance_uid,
            revision,
            instances,
            self.settings.root / "work" / study_instance_uid / str(revision),
            found.caution if found is not None and found.revision == revision else "",
            self.index.elsewhere(study_instance_uid),
            self.index.meant_patient(study_instance_uid),
            self.index.rejected(study_instance_uid),
        )
