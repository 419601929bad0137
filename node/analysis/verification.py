"""The instances of a study compared with what was stored, before anything of them is used."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from models import interruption
from node import damage
from node.codes import Alert
from node.errors import PermanentError
from storage import reconciliation
from storage.files import ObjectStore
from storage.index import Index
from storage.records import InstanceRecord
from storage.verification import fault_of

_AT_ONCE = 2  # hashing leaves the interpreter to others; the files are read anyway, and stay in memory for that


def require_whole(files: ObjectStore, index: Index, instances: Sequence[InstanceRecord]) -> None:
    """Read every file and compare its digest; one that is damaged is set aside.

    Costs as long as SHA-256 takes, about 2 s a GB, beside the reading.

    Raises:
        PermanentError: some are damaged or gone; the study is begun anew when they have come again.
        OSError: this machine cannot read them now.
    """
    faults = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="verify") as pool:
        try:
            for fault in pool.map(lambda it: fault_of(files, it.file, it.header.transfer_syntax_uid), instances):
                interruption.check()
                faults.append(fault)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    damaged = [(it, fault) for it, fault in zip(instances, faults, strict=True) if fault]
    for it, _ in damaged:
        kept = reconciliation.object_of(index.engine, it.header.study_instance_uid, it.file.path)
        if kept is not None:
            damage.set_aside(files, index, kept)
    if damaged:
        first, fault = damaged[0]
        raise PermanentError(
            f"{Alert.OBJECT_DAMAGED}: {len(damaged)} of {len(instances)} objects are damaged or gone, such as "
            f"{first.header.sop_instance_uid}: {fault}; send them again: the study goes on by itself then"
        )
