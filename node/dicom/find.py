"""C-FIND as SCU: which studies another system has, and how many images of one (PS3.4 C.4.1, Study Root)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind
from pynetdicom.status import QR_FIND_SERVICE_CLASS_STATUS

from node.dicom.association import CONNECTION_LOST, RemoteAE, in_words, refusal
from node.errors import TransientError

_PENDING = (0xFF00, 0xFF01)
_EXACT = ("PatientID", "AccessionNumber", "StudyInstanceUID", "ModalitiesInStudy")
_OF_STUDIES = (
    *("StudyInstanceUID", "StudyDate", "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"),
    *("PatientID", "AccessionNumber"),
)


@dataclass(frozen=True, slots=True)
class StudyThere:
    """A study that another system has; `instances` is 0 where it does not say how many."""

    study_instance_uid: str
    study_date: str
    description: str
    modalities: tuple[str, ...]
    instances: int


def find_studies(remote: RemoteAE, keys: Mapping[str, str], most: int) -> list[StudyThere]:
    """Studies that fit keys, of more than `most` one more.

    What fits a key is looked at again where the answer has its value: some systems pass over keys that they need not
    support.

    Args:
        remote: the system to ask.
        keys: values by keyword, of Patient ID, Accession Number, Study Instance UID, Study Date, Modalities in Study.
        most: how many are enough.

    Raises:
        TransientError: there is no whole answer; the message says why.
    """
    association = _associate(remote)
    found: dict[str, StudyThere] = {}
    try:
        for match in _matches(association, "STUDY", _OF_STUDIES, keys):
            study = _study(match)
            if study.study_instance_uid and _fits(match, keys):
                found[study.study_instance_uid] = study
            if len(found) > most:
                break
    except BaseException:
        association.abort()
        raise
    if len(found) > most:
        association.abort()  # the rest of the answer is not waited for
    else:
        association.release()
    return list(found.values())


def find_instances(remote: RemoteAE, study_instance_uid: str, series_instance_uid: str) -> frozenset[str]:
    """SOP Instance UIDs of a series.

    Raises:
        TransientError: there is no whole answer; the message says why.
    """
    association = _associate(remote)
    unique = {"StudyInstanceUID": study_instance_uid, "SeriesInstanceUID": series_instance_uid}
    try:
        images = _find(association, "IMAGE", ("SOPInstanceUID",), **unique)
    except BaseException:
        association.abort()
        raise
    association.release()
    return frozenset(str(image.get("SOPInstanceUID") or "") for image in images) - {""}


def find_sop_classes(remote: RemoteAE, study_instance_uid: str) -> frozenset[str]:
    """SOP classes of the objects of a study: SOP Classes in Study (0008,0062), else those of each image.

    Raises:
        TransientError: there is no whole answer; the message says why.
    """
    association = _associate(remote)
    try:
        found = _sop_classes(association, study_instance_uid)
    except BaseException:
        association.abort()
        raise
    association.release()
    return found


def _sop_classes(association: Association, study: str) -> frozenset[str]:
    of_study = _find(association, "STUDY", ("SOPClassesInStudy",), StudyInstanceUID=study)
    found = {uid for match in of_study for uid in _values(match, "SOPClassesInStudy") if uid}
    if found:
        return frozenset(found)
    for series in _find(association, "SERIES", ("SeriesInstanceUID",), StudyInstanceUID=study):
        above = {"StudyInstanceUID": study, "SeriesInstanceUID": str(series.get("SeriesInstanceUID") or "")}
        images = _find(association, "IMAGE", ("SOPInstanceUID", "SOPClassUID"), **above)
        found |= {uid for image in images for uid in _values(image, "SOPClassUID") if uid}
    return frozenset(found)


def count_images(
    remote: RemoteAE, study_instance_uid: str, modality: str, passed_over: Collection[str] = ()
) -> dict[str, int]:
    """Images of each series of one modality, or of any where it is empty, by Series Instance UID.

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
        if uid and uid not in passed_over and modality in ("", series.get("Modality")):
            counts[uid] = max(_number(series, "NumberOfSeriesRelatedInstances"), counts.get(uid, 0))
    for uid in [uid for uid, count in counts.items() if not count]:
        images = _find(
            association, "IMAGE", ("SOPInstanceUID",), StudyInstanceUID=study_instance_uid, SeriesInstanceUID=uid
        )
        counts[uid] = len({image.get("SOPInstanceUID") for image in images} - {None, ""})
    return counts


def _number(match: Dataset, keyword: str) -> int:
    """A count; 0 where it is missing, empty or no number."""
    try:
        return int(match.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0


def _study(match: Dataset) -> StudyThere:
    return StudyThere(
        study_instance_uid=str(match.get("StudyInstanceUID") or ""),
        study_date=str(match.get("StudyDate") or ""),
        description=str(match.get("StudyDescription") or ""),
        modalities=_values(match, "ModalitiesInStudy"),
        instances=_number(match, "NumberOfStudyRelatedInstances"),
    )


def _values(match: Dataset, keyword: str) -> tuple[str, ...]:
    value = match.get(keyword) or ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _fits(match: Dataset, keys: Mapping[str, str]) -> bool:
    for keyword in _EXACT:
        values = _values(match, keyword)
        asked = keys.get(keyword, "")
        if asked and values and not any(character in asked for character in "*?\\") and asked not in values:
            return False
    return True


def _find(association: Association, level: str, keys: tuple[str, ...], **unique: str) -> list[Dataset]:
    """All matches below the given unique keys; some systems add matches of other studies."""
    matches = list(_matches(association, level, keys, unique))
    return [match for match in matches if all(match.get(key, uid) == uid for key, uid in unique.items())]


def _matches(
    association: Association, level: str, keys: tuple[str, ...], values: Mapping[str, str]
) -> Iterator[Dataset]:
    """All matches as they come."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword in keys:
        setattr(identifier, keyword, None)
    for keyword, value in values.items():
        setattr(identifier, keyword, value)
    try:
        answers = association.send_c_find(identifier, StudyRootFind)
        for status, match in answers:
            if match is None and status.get("Status") not in _PENDING:
                _require_success(status)
                return
            yield _match(status, match)
    except (RuntimeError, ValueError) as error:  # the association ended, or has no context for it
        raise TransientError(f"cannot be asked: {error}") from error


def _match(status: Dataset, match: Dataset | None) -> Dataset:
    if status.get("Status") not in _PENDING or match is None:
        raise TransientError("an answer could not be read")
    return match


def _require_success(status: Dataset) -> None:
    if "Status" not in status:
        raise TransientError(CONNECTION_LOST)
    if status.Status != 0:
        raise TransientError(in_words(status.Status, status.get("ErrorComment") or "", QR_FIND_SERVICE_CLASS_STATUS))
