"""One study revision as the steps of its analysis take it: its pinned instances and its work folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.sequence import Sequence
from storage.identity import InstanceKey
from storage.records import PatientIdentity

#: Folder of the encoded objects in the work folder of a revision.
RESULTS = "results"


@dataclass(frozen=True, slots=True)
class Study:
    """One study revision on its way: its instances and its work folder.

    Attributes:
        instances: absolute path and `Content.identifier` of every instance.
        caution: what is known to be lacking of what was sent; empty when nothing.
        elsewhere: other studies with an object of the same SOP Instance UID, by the instance.
        meant: the patient of the study where headers name two and a person has said which.
        rejected: objects that rejection notes name, with the code of the title of the note.
    """

    study_instance_uid: str
    revision: int
    instances: Mapping[InstanceKey, tuple[Path, str]]
    folder: Path
    caution: str = ""
    elsewhere: Mapping[InstanceKey, tuple[str, ...]] = field(default_factory=dict)
    meant: PatientIdentity | None = None
    rejected: Mapping[InstanceKey, str] = field(default_factory=dict)

    def image(self, role: Sequence, kind: str) -> Path:
        """File of one volume: kind is acquired, super, mask or mask_super."""
        return self.folder / f"{role}.{kind}.nrrd"

    @property
    def results(self) -> Path:
        """Folder of the encoded objects."""
        return self.folder / RESULTS
