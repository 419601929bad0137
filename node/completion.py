"""When a study is complete, and what happens to studies between two states.

DICOM has no sign for the end of a study. A study is taken as complete when nothing has arrived for the quiet time
and the wanted sequences are there, or when nothing has arrived for the longer time and some are missing. A late
image makes a new revision, which is analysed again.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from node.recognition.plan import recognise
from node.settings import CompletionSettings, RecognitionSettings
from node.worklist import Progress, Worklist
from storage.files import ObjectStore
from storage.index import Index
from storage.records import StudyRecord, StudyState

log = logging.getLogger(__name__)


class Completion:
    """Looks for settled studies and submits them for analysis."""

    def __init__(
        self,
        settings: CompletionSettings,
        recognition: RecognitionSettings,
        files: ObjectStore,
        index: Index,
        worklist: Worklist,
    ) -> None:
        self._settings = settings
        self._recognition = recognition
        self._files = files
        self._index = index
        self._worklist = worklist
        self._missing: dict[tuple[str, int, int], tuple[str, ...]] = {}

    def sweep(self) -> None:
        """Submit every study that has settled; bring studies that a crash left between two states onward."""
        now = datetime.now(UTC)
        for study in self._index.studies(StudyState.RECEIVING):
            if self._is_settled(study, now):
                self._submit(study)
        for study in self._index.studies(StudyState.QUEUED):
            self._follow(study)

    def _is_settled(self, study: StudyRecord, now: datetime) -> bool:
        quiet = now - study.last_received_at
        if quiet < timedelta(seconds=self._settings.quiet_s):
            return False
        if quiet >= timedelta(seconds=self._settings.incomplete_after_s):
            return True
        return not self._missing_roles(study)

    def _missing_roles(self, study: StudyRecord) -> tuple[str, ...]:
        """Wanted roles that the study does not have; read once for each content of the study."""
        key = (study.study_instance_uid, study.revision, study.instance_count)
        if key not in self._missing:
            files = [self._files.absolute(r.file) for r in self._index.instances(study.study_instance_uid)]
            plan = recognise(study.study_instance_uid, files, self._recognition)
            present = {stack.role for stack in plan.stacks}
            missing = tuple(role for role in self._settings.wanted if role not in present)
            self._missing = {k: v for k, v in self._missing.items() if k[0] != study.study_instance_uid}
            self._missing[key] = () if plan.study_refusal() else missing
            if self._missing[key]:
                log.info("study %s: waits for %s", study.study_instance_uid, ", ".join(missing))
        return self._missing[key]

    def _submit(self, study: StudyRecord) -> None:
        # The state moves first: if the process dies between the two lines, `_follow` submits.
        if self._index.move(study.study_instance_uid, study.revision, StudyState.QUEUED):
            self._worklist.submit(study.study_instance_uid, study.revision)
            log.info("study %s revision %d: complete, queued", study.study_instance_uid, study.revision)
        self._missing = {k: v for k, v in self._missing.items() if k[0] != study.study_instance_uid}

    def _follow(self, study: StudyRecord) -> None:
        progress = self._worklist.progress(study.study_instance_uid, study.revision)
        if progress is Progress.UNKNOWN:
            self._worklist.submit(study.study_instance_uid, study.revision)
        elif progress is Progress.BROKEN:
            reason = "the analysis broke off repeatedly; see the log, then `rectal-node rerun` the study"
            self._index.move(study.study_instance_uid, study.revision, StudyState.FAILED, reason)
