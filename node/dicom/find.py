"""C-FIND as SCU: how many images of a study another system has (PS3.4 C.4.1, Study Root)."""

from __future__ import annotations

from collections.abc import Collection

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind
from pynetdicom.status import QR_FIND_SERVICE_CLASS_STATUS

from node.dicom.association import CONNECTION_LOST, RemoteAE, in_words, refusal
from node.errors import TransientError

_PENDING = (0xFF00, 0xFF01)


def count_images(
    remote: RemoteAE, study_instance_uid: str, modality: str, passed_over: Collection[str] = ()
) -> dict[str, int]:
    """Images of each series of one modality, by Series Instance UID.

    Asks at SERIES level for Number of Series Related Instances (0020,1209), which is optional (PS3.4 Table C.6-3);
    series for which it does not come are asked for at IMAGE level.

    Args:
        remote: the system to ask.
        study_instance_uid: the study; nothing of it at the system is an empty answer.
        modality: Modality (0008,0060) of the series that count.
        passed_over: Series Instance UIDs that do not count.

    Raises:
        TransientError: there is no whole answer; the message says why.
    """
    association = _associate(remote)
    try:
        counts = _count(association, study_instance_uid, modality, passed_over)
    except BaseException:
        association.abort()  # the rest of an answer may still be on its way
        raise
    association.release()
    return counts


def _associate(remote: RemoteAE) -> Association:
    try:
        association = remote.associate(
            [(StudyRootFind, ExplicitVRLittleEndian), (StudyRootFind, ImplicitVRLittleEndian)]
        )
    except OSError as error:  # the name of the host is not known
        raise TransientError(f"no connection: {error}") from error
    if not association.is_established:
        raise TransientError(refusal(association))
    return association


def _count(
    association: Association, study_instance_uid: str, modality: str, passed_over: Collection[str]
) -> dict[str, int]:
    counts: dict[str, int] = {}
    keys = ("SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
    for series in _find(association, "SERIES", keys, StudyInstanceUID=study_instance_uid):
        uid = str(series.get("SeriesInstanceUID", ""))
        if uid and uid not in passed_over and series.get("Modality") == modality:
            counts[uid] = max(_number(series), counts.get(uid, 0))
    for uid in [uid for uid, count in counts.items() if not count]:
        images = _find(
            association, "IMAGE", ("SOPInstanceUID",), StudyInstanceUID=study_instance_uid, SeriesInstanceUID=uid
        )
        counts[uid] = len({image.get("SOPInstanceUID") for image in images} - {None, ""})
    return counts


def _number(series: Dataset) -> int:
    """Number of Series Related Instances; 0 where it is missing, empty or no number."""
    try:
        return int(series.get("NumberOfSeriesRelatedInstances") or 0)
    except (TypeError, ValueError):
        return 0


def _find(association: Association, level: str, keys: tuple[str, ...], **unique: str) -> list[Dataset]:
    """All matches below the given unique keys; some systems add matches of other studies."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword in keys:
        setattr(identifier, keyword, None)
    for keyword, uid in unique.items():
        setattr(identifier, keyword, uid)
    try:
        answers = list(association.send_c_find(identifier, StudyRootFind))
    except (RuntimeError, ValueError) as error:  # the association ended, or has no context for it
        raise TransientError(f"cannot be asked: {error}") from error
    matches = [_match(status, match) for status, match in answers[:-1]]
    _require_success(answers[-1][0])
    return [match for match in matches if all(match.get(key, uid) == uid for key, uid in unique.items())]


def _match(status: Dataset, match: Dataset | None) -> Dataset:
    if status.get("Status") not in _PENDING or match is None:
        raise TransientError("an answer could not be read")
    return match


def _require_success(status: Dataset) -> None:
    if "Status" not in status:
        raise TransientError(CONNECTION_LOST)
    if status.Status != 0:
        raise TransientError(in_words(status.Status, status.get("ErrorComment") or "", QR_FIND_SERVICE_CLASS_STATUS))
