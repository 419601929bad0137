"""The encoded objects of an analysis, on their way from the work folder into the object store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pydicom.uid import ExplicitVRLittleEndian

from models import interruption
from node.analysis.study import Study
from node.results.encoded import EncodedObject
from storage.files import ObjectStore
from storage.records import InstanceHeader, ResultRecord

#: Objects that wait for the disk at the same time: it writes for many of them in about the time that it takes for one.
_AT_ONCE = 16


def keep(files: ObjectStore, study: Study, objects: Sequence[EncodedObject]) -> list[ResultRecord]:
    """Move encoded objects into the object store; returns when all of them survive a power cut.

    Raises:
        OSError: the disk refused one of them.
    """
    kept: list[ResultRecord] = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="encode-store") as pool:
        try:
            for record in pool.map(lambda made: _keep(files, study, made), objects):
                interruption.check()
                kept.append(record)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return kept


def renewed(files: ObjectStore, results: Sequence[ResultRecord]) -> bool:
    """Whether the objects of results are there, of which no row tells yet; as if they had just been kept.

    A file without a row that is older than a time of grace is removed.

    Raises:
        OSError: the disk refused.
    """
    try:
        for result in results:
            os.utime(files.absolute(result.file))
    except FileNotFoundError:
        return False
    return True


def _keep(files: ObjectStore, study: Study, made: EncodedObject) -> ResultRecord:
    header = InstanceHeader(
        sop_class_uid=made.sop_class_uid,
        sop_instance_uid=made.sop_instance_uid,
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=made.series_instance_uid,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    return ResultRecord(
        study_instance_uid=study.study_instance_uid,
        revision=study.revision,
        role=made.role,
        sop_class_uid=made.sop_class_uid,
        sop_instance_uid=made.sop_instance_uid,
        series_instance_uid=made.series_instance_uid,
        file=files.store(made.path, header),
        transfer_syntax_uid=header.transfer_syntax_uid,
    )
