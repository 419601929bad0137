"""An object whose file is damaged: out of the store, into quarantine, on record, and an alert for its study."""

from __future__ import annotations

import time

from node.clock import utc_now
from node.codes import Alert
from storage import damage
from storage.alerts import Alerts
from storage.damage import KeptObject
from storage.files import ObjectStore
from storage.index import Index
from storage.verification import Wait
from storage.verification import set_aside as take_out


def set_aside(files: ObjectStore, index: Index, it: KeptObject, wait: Wait = time.sleep) -> str:
    """Look at an object again, and set one that is damaged aside; why, empty where it is whole.

    `wait`: waits for so many seconds while others use its study, True where that shall end.

    Raises:
        OSError: this machine cannot look, or move the file, now.
    """
    reason = take_out(index.engine, files, it, utc_now(), wait)
    if reason:
        study = it.study_instance_uid
        with index.engine.connect() as connection:
            count = damage.of_study(connection, study)
        if count:
            words = f"{count} {'object is' if count == 1 else 'objects are'} damaged or gone, the last"
            Alerts(index.engine).raise_(
                Alert.OBJECT_DAMAGED, study, f"{words} {it.header.sop_instance_uid} ({it.origin.lower()}): {reason}"
            )
    return reason
