"""The known-answer check by order of a person: made now, or its answer made the reference of the site's own bundles."""

from __future__ import annotations

from dataclasses import dataclass

from node.clock import utc_now
from node.errors import NodeError
from node.maintenance.known_answer.check import KnownAnswerCheck, models_digest
from node.settings import Settings
from storage.alerts import Alerts
from storage.answer_checks import AnswerCheck, AnswerChecks
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index


@dataclass(frozen=True, slots=True)
class Checked:
    """A check and what came of it."""

    check: AnswerCheck


def check(settings: Settings) -> Checked:
    """Send the study to the listener of the node, which must be running, and compare its results.

    Raises:
        TransientError: another check is under way.
        BundleError: a bundle cannot be read.
    """
    engine = open_engine(settings.storage_url)
    checking = KnownAnswerCheck(settings, ObjectStore(settings.root), Index(engine), Alerts(engine))
    made = checking.run()
    if made is None:
        raise NodeError("the check was stopped")
    return Checked(made)


def accept(settings: Settings, by: str) -> Checked:
    """Make the latest answer of the bundles of the configuration their reference.

    Raises:
        NodeError: nobody is named.
        StorageError: they have given no answer yet.
        BundleError: a bundle cannot be read.
    """
    if not by.strip():
        raise NodeError("say who accepts the answer")
    checks = AnswerChecks(open_engine(settings.storage_url))
    return Checked(checks.accept(models_digest(settings.analysis), by.strip(), utc_now()))
