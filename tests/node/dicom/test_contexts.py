"""Presentation contexts that the listener accepts, and how many a sender proposes."""

from __future__ import annotations

from collections import Counter

import pytest
from pydicom.uid import UID, MRImageStorage, UID_dictionary
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from node.dicom.contexts import TRANSFER_SYNTAXES, acceptable, is_storage, proposals, takeable
from node.errors import PermanentError

ORTHANC = (  # every transfer syntax that Orthanc accepts in its default configuration (Default.json)
    ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"]
    + [f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93)]
    + [f"1.2.840.10008.1.2.4.{n}" for n in (100, 101, 102, 103, 104, 105, 106, 107, 108, 201, 202, 203)]
    + ["1.2.840.10008.1.2.5"]
)


def test_every_transfer_syntax_that_orthanc_accepts_is_accepted():
    assert set(ORTHANC) <= set(TRANSFER_SYNTAXES)


def test_an_uncompressed_transfer_syntax_is_preferred():
    assert TRANSFER_SYNTAXES[:2] == ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
    assert len(set(TRANSFER_SYNTAXES)) == len(TRANSFER_SYNTAXES)


def test_every_storage_class_of_the_standard_is_accepted():
    uids = [context.abstract_syntax for context in AllStoragePresentationContexts]
    assert [context.abstract_syntax for context in acceptable(uids)] == uids


def test_retired_storage_classes_are_accepted():
    retired = [
        uid
        for uid, (name, kind, _, note, _) in UID_dictionary.items()
        if kind == "SOP Class" and name.split(" (")[0].endswith("Image Storage") and note == "Retired"
    ]
    assert len(retired) >= 4
    assert all(is_storage(UID(uid)) for uid in retired)


@pytest.mark.parametrize("uid", ["1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.9999", "2.25.123"])
def test_classes_that_nobody_knows_yet_are_taken_for_storage(uid):
    assert [context.abstract_syntax for context in acceptable([uid])] == [uid]


DCMTK_SHUTDOWN = "1.2.276.0.7230010.3.4.1915765545.18030.917282194.0"


@pytest.mark.parametrize(
    "uid",
    [
        StudyRootQueryRetrieveInformationModelMove,
        ModalityWorklistInformationFind,
        StorageCommitmentPushModel,
        DCMTK_SHUTDOWN,
        "x",
    ],
)
def test_other_services_are_not_accepted(uid):
    assert acceptable([uid]) == []


def test_verification_is_accepted():
    assert len(acceptable([Verification])) == 1


def test_a_context_is_offered_once_however_often_it_is_asked_for():
    assert len(acceptable(["1.2.840.10008.5.1.4.1.1.4"] * 5)) == 1


def test_each_pair_is_proposed_by_itself():
    pairs = [("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2"), ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.5")]
    contexts = proposals([*pairs, *pairs])
    assert [(c.abstract_syntax, *c.transfer_syntax) for c in contexts] == pairs


def test_more_than_128_contexts_are_an_error():
    with pytest.raises(PermanentError, match="129 presentation contexts"):
        proposals([(f"1.2.{n}", "1.2.840.10008.1.2") for n in range(129)])


def test_each_class_is_taken_uncompressed_and_in_each_compression_by_itself():
    contexts = takeable([MRImageStorage], 126)
    assert {str(syntax) for context in contexts for syntax in context.transfer_syntax} == set(TRANSFER_SYNTAXES)
    assert [len(context.transfer_syntax) for context in contexts][1:] == [1] * (len(contexts) - 1)


@pytest.mark.parametrize("classes", [1, 5, 40, 63, 64, 126, 200])
def test_what_is_taken_fits_the_room_and_leaves_no_transfer_syntax_out(classes):
    asked = [f"1.2.3.{number}" for number in range(classes)]
    contexts = takeable(asked, 126)
    assert len(contexts) <= 126
    of_each = Counter(str(context.abstract_syntax) for context in contexts for _ in context.transfer_syntax)
    assert of_each == dict.fromkeys(asked[:126], len(TRANSFER_SYNTAXES))
