"""C-FIND against SCPs of pynetdicom that count, do not count, refuse, fall silent and die."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from node.dicom.association import RemoteAE
from node.dicom.find import count_images
from node.errors import TransientError

STUDY = "1.2.3"


def series(uid: str, count: object = None, modality: str = "MR", study: str = STUDY) -> Dataset:
    """A match at SERIES level."""
    match = Dataset()
    match.QueryRetrieveLevel = "SERIES"
    match.StudyInstanceUID, match.SeriesInstanceUID, match.Modality = study, uid, modality
    if count is not None:
        match.NumberOfSeriesRelatedInstances = count
    return match


def image(uid: str) -> Dataset:
    """A match at IMAGE level."""
    match = Dataset()
    match.QueryRetrieveLevel, match.SOPInstanceUID = "IMAGE", uid
    return match


@pytest.fixture
def pacs() -> Iterator[Callable[..., RemoteAE]]:
    """Start a Query/Retrieve SCP whose C-FIND handler a test gives."""
    running = []

    def start(
        handler: Callable[[evt.Event], object], sop_class: str = "", called: str = "", timeout_s: float = 60
    ) -> RemoteAE:
        ae = AE(ae_title=called or "PACS")
        ae.require_called_aet = bool(called)
        ae.add_supported_context(sop_class or StudyRootQueryRetrieveInformationModelFind)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, handler)])
        running.append(ae)
        return RemoteAE("127.0.0.1", server.server_address[1], "PACS", "NODE", timeout_s)

    yield start
    for ae in running:
        ae.shutdown()


def answering(*matches: Dataset, images: tuple[Dataset, ...] = ()):
    """A handler that answers these matches, whatever it is asked at their level."""

    def answer(event: evt.Event):
        yield from ((0xFF00, m) for m in (matches if event.identifier.QueryRetrieveLevel == "SERIES" else images))

    return answer


def test_series_of_the_modality_are_counted(pacs):
    remote = pacs(answering(series("1.1", 20), series("1.2", 144), series("1.3", 1, "SR"), series("1.4", 2, "PR")))
    assert count_images(remote, STUDY, "MR") == {"1.1": 20, "1.2": 144}


def test_series_that_are_passed_over_do_not_count(pacs):
    remote = pacs(answering(series("1.1", 20), series("1.9", 80)))
    assert count_images(remote, STUDY, "MR", {"1.9"}) == {"1.1": 20}


def test_a_study_that_the_system_does_not_have_is_an_empty_answer(pacs):
    assert count_images(pacs(answering()), STUDY, "MR") == {}


@pytest.mark.parametrize("count", [None, "", 0])
def test_series_without_a_count_are_counted_image_by_image(pacs, count):
    asked = []

    def answer(event: evt.Event):
        asked.append((event.identifier.QueryRetrieveLevel, event.identifier.get("SeriesInstanceUID")))
        known = [series("1.1", count), series("1.2", 7), series("1.3", count, "SR")]
        found = known if asked[-1][0] == "SERIES" else [image("5.1"), image("5.2"), image("5.2")]
        yield from ((0xFF00, match) for match in found)

    assert count_images(pacs(answer), STUDY, "MR") == {"1.1": 2, "1.2": 7}
    assert asked == [("SERIES", ""), ("IMAGE", "1.1")]


def test_matches_of_other_studies_are_left_out(pacs):
    remote = pacs(answering(series("1.1", 20), series("8.1", 30, study="9.9.9")))
    assert count_images(remote, STUDY, "MR") == {"1.1": 20}


def test_a_long_answer_comes_whole(pacs):
    remote = pacs(answering(*(series(f"1.{n}", n + 1) for n in range(300))))
    assert len(count_images(remote, STUDY, "MR")) == 300


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0xA700, "status 0xA700, Refused: Out of Resources"),
        (0xC001, "status 0xC001, Unable to Process"),
        (0x0122, "status 0x0122"),
        (0xFE00, "status 0xFE00"),
    ],
)
def test_a_failure_after_some_matches_is_no_answer(pacs, status, reason):
    def answer(_event: evt.Event):
        yield 0xFF00, series("1.1", 20)
        yield status, None

    with pytest.raises(TransientError, match=reason):
        count_images(pacs(answer), STUDY, "MR")


def test_a_failure_at_image_level_is_no_answer(pacs):
    def answer(event: evt.Event):
        yield (0xFF00, series("1.1")) if event.identifier.QueryRetrieveLevel == "SERIES" else (0xC001, None)

    with pytest.raises(TransientError, match="0xC001"):
        count_images(pacs(answer), STUDY, "MR")


def test_a_system_without_query_says_so(pacs):
    with pytest.raises(TransientError, match="without any accepted presentation context"):
        count_images(pacs(answering(), sop_class=Verification), STUDY, "MR")


def test_a_rejected_association_says_why(pacs):
    with pytest.raises(TransientError, match="called AE title not recognised"):
        count_images(pacs(answering(), called="ARCHIVE"), STUDY, "MR")


def test_nobody_there_is_no_connection():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(TransientError, match="no connection"):
        count_images(RemoteAE("127.0.0.1", port, "PACS", "NODE", 2), STUDY, "MR")


def test_a_host_without_address_is_no_connection():
    with pytest.raises(TransientError, match="no connection"):
        count_images(RemoteAE("no-such-host.invalid", 104, "PACS", "NODE", 2), STUDY, "MR")


def test_a_system_that_falls_silent_is_waited_for_only_so_long(pacs):
    given_up = threading.Event()

    def answer(_event: evt.Event):
        yield 0xFF00, series("1.1", 20)
        assert given_up.wait(60)
        yield 0xFF00, series("1.2", 20)

    remote = pacs(answer, timeout_s=3)
    with pytest.raises(TransientError, match="lost before the answer"):
        count_images(remote, STUDY, "MR")
    given_up.set()


def test_a_system_that_aborts_is_no_answer_and_not_waited_for(pacs):
    def answer(event: evt.Event):
        yield 0xFF00, series("1.1", 20)
        event.assoc.abort()

    begin = time.monotonic()
    with pytest.raises(TransientError, match="lost before the answer"):
        count_images(pacs(answer, timeout_s=600), STUDY, "MR")
    assert time.monotonic() - begin < 300
