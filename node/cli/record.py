"""What a person orders on the command line goes on record, as what is done on the page does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from node.cli.options import this_user
from node.settings import Settings
from storage.audit import Audit, AuditAction, AuditEvent

log = logging.getLogger(__name__)


@dataclass
class Order:
    """To which studies something is ordered; what is known only once it is done is added then."""

    studies: list[str] = field(default_factory=list)


@contextmanager
def ordered(
    settings: Settings, action: AuditAction, study: str = "", subject: str = "", detail: str = ""
) -> Iterator[Order]:
    """Put on record what the block does; where it is refused, why.

    Raises:
        NodeError: it was done, and cannot be put on record.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from node.errors import NodeError, told
    from storage.errors import StorageError

    order = Order([study] if study else [])
    try:
        yield order
    except (NodeError, StorageError) as error:
        try:
            _keep(settings, order, action, subject, told(error), succeeded=False)
        except (SQLAlchemyError, StorageError) as fault:
            log.warning("%s, refused, cannot be put on record: %s", action, told(fault))
        raise
    try:
        _keep(settings, order, action, subject, detail, succeeded=True)
    except (SQLAlchemyError, StorageError) as error:
        raise NodeError(f"it was done, and cannot be put on record: {told(error)}") from error


def _keep(settings: Settings, order: Order, action: AuditAction, subject: str, detail: str, *, succeeded: bool) -> None:
    from node.clock import utc_now
    from storage.database import open_engine

    engine = open_engine(settings.storage_url)
    try:
        Audit(engine).add_all(
            AuditEvent(
                utc_now(), action, succeeded, this_user(), study_instance_uid=study, subject=subject, detail=detail
            )
            for study in order.studies or [""]
        )
    finally:
        engine.dispose()
