"""Who made a result, and the identifiers that it gets: the same inputs and versions give the same UIDs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import metadata

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from node.results.clock import offset_of
from node.results.findings import AlgorithmIdentity, StudyResults
from node.results.text import one_line, shortened
from storage import origin

#: Raised by hand when the encoders write other objects from the same findings.
ENCODER_VERSION = 4

PRODUCT = origin.PRODUCT
#: What the node says of all its results; on the training of its models only the bundles in use can speak.
RESEARCH_STATEMENT = "Research output. Not for diagnosis."
SUPER_RESOLUTION, SEGMENTATION, PREDICTION = "super-resolution", "segmentation", "prediction"


@cache
def product_version() -> str:
    """Version of the installed package; looking it up takes milliseconds."""
    return metadata.version(PRODUCT)


@dataclass(frozen=True, slots=True)
class Site:
    """The settings of an installation that enter its results.

    Attributes:
        uid_root: root of its UIDs, with its trailing dot.
        institution: Institution Name (0008,0080) of the results; may be empty.
        time_zone: its zone by its IANA name; empty: the machine's.
        name_patient: whether page, picture and PDF name patient and study.
    """

    uid_root: str
    institution: str = ""
    time_zone: str = ""
    name_patient: bool = True

    @property
    def canonical(self) -> str:
        """All of it in one string, for digests; with what tells the machine's zone from others where it is used."""
        zone = self.time_zone or [*time.tzname, time.timezone, time.altzone]
        return json.dumps([self.uid_root, self.institution, zone, self.name_patient])


@dataclass(frozen=True, slots=True)
class Identity:
    """The origin of all objects of one study revision, and the source of their UIDs and dates.

    Attributes:
        created_at: when the results came to be, aware.
        supersedes: by role of a result, the revision whose object it supersedes; no part of UIDs.
    """

    site: Site
    study_instance_uid: str
    input_digest: str
    settings_digest: str
    created_at: datetime
    algorithms: tuple[tuple[str, AlgorithmIdentity], ...]
    supersedes: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, results: StudyResults, site: Site) -> Identity:
        """Identity of the objects made from `results` by this node."""
        return cls(
            site=site,
            study_instance_uid=results.study_instance_uid,
            input_digest=results.input_digest,
            settings_digest=results.settings_digest,
            created_at=results.created_at,
            algorithms=tuple(sorted(results.algorithms.items())),
        )

    def uid(self, role: str, index: int = 0, content: str = "") -> UID:
        """UID of one thing: SHA-512 over a canonical string, below the node's own root.

        Dates, hosts and queue identifiers are no part of it. pydicom joins its entropy sources without
        separators, therefore they come as one JSON string.

        Args:
            role: what it names, such as ``report/series``.
            index: number among equals, such as the slice.
            content: digest of whatever else the thing depends on.
        """
        key = {
            "role": role,
            "index": index,
            "content": content,
            "study": self.study_instance_uid,
            "inputs": self.input_digest,
            "settings": self.settings_digest,
            "algorithms": [[kind, it.name, it.version, it.digest] for kind, it in self.algorithms],
            "encoder": ENCODER_VERSION,
        }
        canonical = json.dumps(key, sort_keys=True, separators=(",", ":"))
        return generate_uid(prefix=self.site.uid_root, entropy_srcs=[canonical])

    def algorithm(self, kind: str) -> AlgorithmIdentity:
        """The bundle of a kind. Raises KeyError when the results were made without one."""
        return dict(self.algorithms)[kind]

    def made_at(self, header: Dataset) -> datetime:
        """When the results came to be, in the offset from UTC of what is made from the source with this header."""
        return self.created_at.astimezone(offset_of(header, self.site.time_zone, self.created_at))

    @property
    def implementation_class_uid(self) -> UID:
        """Implementation Class UID of this software, PS3.7 D.3.3.2."""
        return UID(f"{self.site.uid_root}1.{ENCODER_VERSION}")


def describe(algorithm: AlgorithmIdentity) -> str:
    """Name, version, digest and statement of a bundle in one line."""
    return f"{algorithm.name} {algorithm.version} (digest {algorithm.digest[:12]}; {algorithm.statement})"


def bundle_statements(algorithms: Mapping[str, AlgorithmIdentity]) -> str:
    """The statements of the bundles on their training and intended use, by kind; once where they all say the same."""
    kinds: dict[str, list[str]] = {}
    for kind, algorithm in sorted(algorithms.items()):
        kinds.setdefault(clipped(algorithm.statement, 512).rstrip("."), []).append(kind)
    if len(kinds) == 1:
        return f"Models: {next(iter(kinds))}."
    return " ".join(f"{', '.join(said_by).capitalize()}: {words}." for words, said_by in kinds.items())


def statement(*algorithms: AlgorithmIdentity) -> str:
    """The research statement followed by what each bundle says of itself, cut to a Short Text (1024)."""
    return clipped(" ".join((RESEARCH_STATEMENT, *(f"{describe(it)}." for it in algorithms))), 1024)


def clipped(text: str, length: int) -> str:
    """`text` on one line without backslashes and control characters, at most `length` octets of UTF-8."""
    return shortened(one_line(text), length)
