"""Whether results of a stack can be written: each kind is made of it once, small, in memory, before the networks run.

The real encoders say it, so that nothing that they would stumble over comes to light when the whole study stands on it.
"""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from pathlib import Path

import SimpleITK as sitk
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import PYDICOM_ROOT_UID

from models import interruption
from node.codes import Code
from node.errors import PermanentError, Refusal
from node.recognition.record import Stack, StudyPlan
from node.results import derived_mr, report, segmentation
from node.results.encoded import EncodedImage, file_of
from node.results.findings import AlgorithmIdentity, SequenceResult, StudyResults
from node.results.identity import PREDICTION, SEGMENTATION, SUPER_RESOLUTION, Identity, Site
from node.results.image_planes import require_same_place
from node.results.source import read_frames
from storage.dicom_files import ELEMENT_ERRORS

#: What a header can make an encoder raise; nothing of a disk or of memory, which are worth another try.
_UNWRITABLE = (*ELEMENT_ERRORS, PermanentError)
_BUNDLE = AlgorithmIdentity("trial", "0", "0" * 64, "trial")


def require_encodable(study_instance_uid: str, stack: Stack, image: sitk.Image) -> None:
    """Write a derived image, a segmentation and a report of a stack, and forget them.

    Args:
        study_instance_uid: the study.
        stack: nothing is written of one whose role has no results, such as an ADC map.
        image: its volume.

    Raises:
        Refusal: E-ENCODE, one of them cannot be written.
        OSError: a file of the stack cannot be read.
    """
    if stack.role not in derived_mr.SERIES_NUMBER:
        return
    results = _results(study_instance_uid, stack, image)
    identity = Identity.of(results, Site(PYDICOM_ROOT_UID, time_zone="UTC"))
    try:
        with config.disable_value_validation():
            for content in _objects(results, identity):
                interruption.check()
                file_of(content, identity)
    except _UNWRITABLE as error:
        reason = f"series {stack.series_instance_uid}: no result of it can be written ({_reason(error)})"
        raise Refusal(Code.ENCODE, reason) from error


def _results(study_instance_uid: str, stack: Stack, image: sitk.Image) -> StudyResults:
    """Something in one voxel of the middle slice, of which a slice was refined."""
    columns, rows, slices = image.GetSize()
    mask = sitk.Image(image.GetSize(), sitk.sitkUInt8)
    mask.CopyInformation(image)
    mask[columns // 2, rows // 2, slices // 2] = 1
    found = SequenceResult(
        sequence=stack.role,
        stack=stack,
        acquired=image,
        super_resolved=image[:, :, :1],
        mask=mask,
        mask_super=None,
        super_ml=0.0,
        features={},
    )
    return StudyResults(
        study_instance_uid=study_instance_uid,
        revision=0,
        input_digest="",
        settings_digest="",
        created_at=datetime(2000, 1, 1, tzinfo=UTC),
        sequences=(found,),
        prediction=None,
        algorithms=dict.fromkeys((SUPER_RESOLUTION, SEGMENTATION, PREDICTION), _BUNDLE),
        plan=StudyPlan(study_instance_uid, (), (stack,), (), (), ""),
    )


def _objects(results: StudyResults, identity: Identity) -> list[Dataset | EncodedImage]:
    (found,) = results.sequences
    frames = read_frames(found.stack, identity)
    require_same_place(found.acquired, frames)
    image, _ = next(derived_mr.derived_images(found, frames, identity))
    facts = segmentation.series_facts(found.sequence, super_resolved=False)
    drawn = segmentation.segmentation(found.mask, frames, facts, identity, frames[0].header, in_rectum=True)
    evidence = report.Evidence({found.sequence: frames}, {found.sequence: drawn}, frames[0].header)
    return [image, drawn, report.report(results, evidence, identity, content="")]


def _reason(error: BaseException) -> str:
    """Why, without values of the header: where in the code a library gave up."""
    if isinstance(error, PermanentError):
        return str(error)
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
