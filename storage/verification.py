"""Stored files compared with what was stored: is the file there, has it its size, its transfer syntax, its digest.

The digest is that of the data set. Of the preamble and the file meta information, which are the writer's, only the
transfer syntax is compared: nothing else of them means anything here.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from storage import damage, database, quarantine
from storage.damage import KeptObject
from storage.files import ObjectStore
from storage.header import content_of
from storage.identity import Content
from storage.records import StoredFile

log = logging.getLogger(__name__)

GONE = "the file is gone"
UNREADABLE = "the file cannot be read"
_PATIENCE, _WAIT_S = 40, 0.25
Wait = Callable[[float], bool | None]
_OF_THE_MEDIUM = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN})


def fault_of(files: ObjectStore, file: StoredFile, transfer_syntax_uid: str) -> str:
    """What is wrong with a stored file, read whole; empty where it is what was stored.

    Raises:
        OSError: this machine cannot look now; the file may be whole.
    """
    fault, _ = _examined(files, file, transfer_syntax_uid)
    return fault


def set_aside(engine: Engine, files: ObjectStore, it: KeptObject, now: datetime, wait: Wait = time.sleep) -> str:
    """Look at an object again, and take one that is damaged out of the store; why, empty where it is whole.

    Its bytes go to quarantine with the reason, so that the place is free for the object when it comes again. `wait`
    waits for so many seconds while others use the study; True where nobody waits any more.

    Raises:
        OSError: this machine cannot look, or move the file, now; or somebody uses files of the study all the time.
    """
    for _ in range(_PATIENCE):
        # Alone: the object may just come again, and its new file must not be taken for the damaged one.
        with files.locks.alone(it.study_instance_uid) as alone:
            if alone:
                return _set_aside(engine, files, it, now)
        if wait(_WAIT_S):
            break
    raise OSError(errno.EBUSY, "files of its study are in use")


def _set_aside(engine: Engine, files: ObjectStore, it: KeptObject, now: datetime) -> str:
    fault, content = _examined(files, it.file, it.header.transfer_syntax_uid)
    if not fault:
        return ""
    header = it.header
    reason = f"object {header.sop_instance_uid} of study {header.study_instance_uid} {quarantine.DAMAGED_HERE}: {fault}"
    moved = None if fault == GONE else files.set_aside(it.file, content, reason)
    with database.writing(engine).begin() as connection:
        if moved is not None:
            quarantine.keep(connection, moved, reason, it.calling_ae, now)
        is_new = damage.note(connection, it, fault, now)
    if is_new:
        log.error("%s (%s)", reason, it.file.path)
    return fault


def _examined(files: ObjectStore, file: StoredFile, syntax: str) -> tuple[str, Content | None]:
    path = files.absolute(file)
    try:
        size = path.stat().st_size
        content = content_of(path)
    except FileNotFoundError:
        if not files.is_there():
            raise
        return GONE, None
    except OSError as error:
        if error.errno not in _OF_THE_MEDIUM:
            raise
        return f"{UNREADABLE}: {error.strerror}", None
    if size != file.size:
        return f"it has {size} bytes and not {file.size}", content
    if content.digest != file.digest:
        return f"its data set has SHA-256 {content.digest[:12]}… and not {file.digest[:12]}…", content
    if content.transfer_syntax_uid != syntax:
        return f"its transfer syntax is {content.transfer_syntax_uid or 'none'} and not {syntax}", content
    return "", content


def is_placed(files: ObjectStore, file: StoredFile) -> bool:
    """Whether there is a file of its size, which is looked at alone."""
    try:
        return files.absolute(file).stat().st_size == file.size
    except FileNotFoundError:
        return False
