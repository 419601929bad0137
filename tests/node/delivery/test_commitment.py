"""The node as SCU of storage commitment: a PACS that commits, drops, lies, refuses, or never answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel as PUSH
from pynetdicom.sop_class import StorageCommitmentPushModelInstance as INSTANCE
from rich.console import Console

from node.cli.status import as_tables
from node.delivery.commitment import CommitmentWorker
from node.delivery.worker import DeliveryWorker
from node.operations.status import collect
from node.settings import RemoteSettings, Settings
from storage.commitments import Commitments
from storage.database import open_engine
from storage.records import CommitmentState, DeliveryState

from .queued import uid

NO_SUCH_INSTANCE = 0x0112
#: Committed and failed SOP Instance UIDs of a report, from those that were asked for.
Judgement = Callable[[list[str]], tuple[list[str], dict[str, int]]]


class Pacs:
    """Stores everything, and answers requests for commitment as a test wants.

    `judge` gives what is reported, over the association of the request; None: nothing ever is. `status` is the answer
    to a request; `at_once`: it comes after the report.
    """

    def __init__(
        self,
        judge: Judgement | None = lambda asked: (asked, {}),
        status: int = 0,
        knows: bool = True,
        at_once: bool = False,
    ) -> None:
        self.judge, self.status, self.at_once = judge, status, at_once
        self.stored: list[str] = []
        self.requests: list[Dataset] = []
        self.answers: list[int | None] = []
        self._ae = AE(ae_title="PACS")
        self._ae.add_supported_context(MRImageStorage, ExplicitVRLittleEndian)
        if knows:
            self._ae.add_supported_context(PUSH, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._take)]
        server = self._ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(server.server_address[1])

    def _store(self, event: Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    def _take(self, event: Event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        if self.status == 0 and self.judge is not None:
            report = self.report_of(event.action_information, self.judge)
            if self.at_once:
                self._report(event.assoc, *report)
            else:
                threading.Timer(0.1, self._report, (event.assoc, *report)).start()
        return self.status, None

    @staticmethod
    def report_of(request: Dataset, judge: Judgement) -> tuple[Dataset, int]:
        committed, failed = judge([it.ReferencedSOPInstanceUID for it in request.ReferencedSOPSequence])
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        report.ReferencedSOPSequence = [item(each) for each in committed]
        report.FailedSOPSequence = [item(*each) for each in failed.items()]
        return report, 2 if failed else 1

    def _report(self, association, report: Dataset, kind: int) -> None:
        status, _ = association.send_n_event_report(report, kind, PUSH, INSTANCE)
        self.answers.append(status.get("Status"))

    def report_to(self, port: int, report: Dataset, kind: int = 1, calling: str = "PACS") -> int | None:
        """Report over a new association, as the SCP."""
        ae = AE(ae_title=calling)
        ae.add_requested_context(PUSH)
        role = build_role(PUSH, scp_role=True)
        association = ae.associate("127.0.0.1", port, ae_title="RECTALNODE", ext_neg=[role])
        assert association.is_established
        (context,) = association.accepted_contexts
        assert (context.as_scu, context.as_scp) == (False, True)
        status, _ = association.send_n_event_report(report, kind, PUSH, INSTANCE)
        association.release()
        answer: int | None = status.get("Status")
        return answer

    def asked(self) -> list[list[str]]:
        return [sorted(it.ReferencedSOPInstanceUID for it in each.ReferencedSOPSequence) for each in self.requests]

    def close(self) -> None:
        self._ae.shutdown()


def item(instance: str, reason: int | None = None) -> Dataset:
    named = Dataset()
    named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = MRImageStorage, instance
    if reason is not None:
        named.FailureReason = reason
    return named


@pytest.fixture
def pacs() -> Iterator[Callable[..., Pacs]]:
    started: list[Pacs] = []

    def start(*arguments: object, **options: object) -> Pacs:
        started.append(Pacs(*arguments, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


class Node:
    """A destination's delivery and its commitment."""

    def __init__(self, settings: RemoteSettings, queue, root: Path) -> None:
        self.settings, self.queue = settings, queue
        self.whole = Settings(root=root, remotes=(settings,))
        self.engine = open_engine(self.whole.storage_url)
        self.delivery = DeliveryWorker(settings, queue.rows, queue.files, queue.clock)
        self.commitment = CommitmentWorker(settings, Commitments(self.engine), queue.clock)

    def store(self) -> None:
        """Send what is due, and let the time until commitment is asked for go by."""
        self.delivery.deliver_due()
        self.queue.clock.move(self.settings.commitment_after_s)

    def uncommitted(self):
        (line,) = collect(self.whole).uncommitted
        return line

    def shown(self) -> str:
        console = Console(width=400)
        with console.capture() as captured:
            console.print(as_tables(collect(self.whole)))
        return captured.get()


@pytest.fixture
def begin(queue, tmp_path) -> Callable[..., Node]:
    """The node, with two results that wait for the PACS."""

    def make(port: int, **changes: object) -> Node:
        values = {"commitment": True, "commitment_after_s": 1, "commitment_wait_s": 100, "timeout_s": 5, **changes}
        settings = RemoteSettings(
            name="pacs", ae_title="PACS", host="127.0.0.1", port=port, receives_results=True, **values
        )
        return Node(settings, queue, tmp_path)

    return make


BOTH = [uid(1), uid(2)]


def test_what_was_stored_is_asked_for_once_and_committed_by_the_report_on_the_same_association(pacs, begin, queue):
    found = pacs()
    node = begin(found.port)
    node.delivery.deliver_due()
    assert node.commitment.ask_due() == 0
    queue.clock.move(1)
    assert node.commitment.ask_due() == 1
    assert (queue.states(), found.asked(), found.answers) == (["COMMITTED"] * 2, [BOTH], [0])
    queue.clock.move(10**6)
    assert node.commitment.ask_due() == 0
    assert collect(node.whole).uncommitted == ()


def test_a_pacs_that_reports_before_it_answers_is_answered(pacs, begin, queue):
    found = pacs(at_once=True)
    node = begin(found.port)
    node.store()
    assert node.commitment.ask_due() == 1
    assert (queue.states(), found.answers) == (["COMMITTED"] * 2, [0])


def test_a_destination_whose_settings_do_not_say_so_is_not_asked(pacs, begin, queue):
    found = pacs()
    node = begin(found.port, commitment=False)
    node.store()
    queue.clock.move(10**6)
    assert node.commitment.ask_due() == 0
    assert (queue.states(), found.requests) == (["STORED"] * 2, [])


# --- a report on another association


def test_a_report_comes_to_the_listener_long_after_the_request_and_once_more(pacs, begin, queue, listener):
    found = pacs(judge=None)
    node = begin(found.port, timeout_s=0.5)
    node.store()
    node.commitment.ask_due()
    line = node.uncommitted()
    assert (line.count, line.given_up, line.state) == (2, 0, CommitmentState.ACCEPTED)
    report, kind = Pacs.report_of(found.requests[0], lambda asked: (asked, {}))
    port = listener(node.settings)
    assert [found.report_to(port, report, kind) for _ in range(2)] == [0, 0]
    assert queue.states() == ["COMMITTED"] * 2


def test_reports_of_unknown_transactions_by_others_and_without_a_transaction_are_refused(
    pacs, begin, queue, listener, caplog
):
    found = pacs(judge=None)
    node = begin(found.port, timeout_s=0.5)
    node.store()
    node.commitment.ask_due()
    other = node.settings.model_copy(update={"name": "other", "ae_title": "OTHER"})
    port = listener(node.settings, other)
    report, _ = Pacs.report_of(found.requests[0], lambda asked: (asked, {}))
    assert found.report_to(port, report, calling="OTHER") == 0x0115
    transaction = report.TransactionUID
    report.TransactionUID = generate_uid()
    assert found.report_to(port, report) == 0x0115
    del report.TransactionUID
    assert found.report_to(port, report) == 0x0115
    assert queue.states() == ["STORED"] * 2
    assert f"commitment report refused: AE OTHER at 127.0.0.1: 0x0115, not asked for: transaction {transaction}" in (
        caplog.text
    )


# --- a PACS that drops, or lies


def test_what_the_pacs_dropped_after_success_is_sent_again_and_then_committed(pacs, begin, queue):
    found = pacs(lambda asked: ([uid(1)], {uid(2): NO_SUCH_INSTANCE}))
    node = begin(found.port, first_retry_s=10)
    node.store()
    node.commitment.ask_due()
    assert queue.states() == ["COMMITTED", "QUEUED"]
    assert "commitment failed: 0x0112, no such object instance" in queue.reasons()
    assert node.delivery.deliver_due() == 0
    queue.clock.move(10)
    found.judge = lambda asked: (asked, {})
    node.store()
    node.commitment.ask_due()
    assert queue.states() == ["COMMITTED"] * 2
    assert found.stored == [uid(1), uid(2), uid(2)]
    assert found.asked() == [BOTH, [uid(2)]]


def test_a_pacs_that_drops_an_object_for_ever_is_given_it_a_few_times_and_then_it_fails(pacs, begin, queue):
    found = pacs(lambda asked: ([], dict.fromkeys(asked, NO_SUCH_INSTANCE)))
    node = begin(found.port, commitment_attempts=2, first_retry_s=1)
    for _ in range(6):
        node.store()
        node.commitment.ask_due()
        queue.clock.move(60)
    assert queue.states() == ["FAILED"] * 2
    assert found.stored == BOTH * 3
    assert queue.reasons() == {"stored 3 times, and each time commitment failed: 0x0112, no such object instance"}


def test_what_sending_again_cannot_mend_fails_at_once(pacs, begin, queue):
    """0119H class and instance conflict, 0122H SOP class not supported."""
    found = pacs(lambda asked: ([], {uid(1): 0x0119, uid(2): 0x0122}))
    node = begin(found.port)
    node.store()
    node.commitment.ask_due()
    assert queue.states() == ["FAILED"] * 2
    assert found.stored == BOTH


def test_a_pacs_that_names_what_was_not_asked_for_and_not_what_was_commits_nothing(pacs, begin, queue, caplog):
    found = pacs(lambda asked: (["1.2.3.9.9"], {"1.2.3.9.8": NO_SUCH_INSTANCE}))
    node = begin(found.port)
    node.store()
    node.commitment.ask_due()
    assert queue.states() == ["STORED"] * 2
    fault = (
        "2 objects not named; 1 object named as committed and not asked for; 1 object named as failed and not asked for"
    )
    assert fault in caplog.text
    assert (node.uncommitted().state, node.uncommitted().reason) == (CommitmentState.REPORTED, fault)
    queue.clock.move(100)
    node.commitment.ask_due()
    assert found.asked() == [BOTH, BOTH]


def test_what_the_pacs_names_as_committed_and_as_failed_is_sent_again(pacs, begin, queue):
    found = pacs(lambda asked: (asked, {uid(1): NO_SUCH_INSTANCE}))
    node = begin(found.port)
    node.store()
    node.commitment.ask_due()
    assert queue.states() == ["QUEUED", "COMMITTED"]
    assert any("the same report names it as committed" in reason for reason in queue.reasons())


# --- a PACS that refuses, or is silent


def test_a_pacs_that_never_reports_is_asked_again_with_a_wait_that_doubles_and_then_no_more(pacs, begin, queue):
    found = pacs(judge=None)
    node = begin(found.port, commitment_attempts=3, commitment_wait_s=100, timeout_s=1)
    node.store()
    for wait in (100, 200, 400):
        assert node.commitment.ask_due() == 1
        queue.clock.move(wait - 1)
        assert node.commitment.ask_due() == 0
        queue.clock.move(2)
    assert node.commitment.ask_due() == 0
    assert len({it.TransactionUID for it in found.requests}) == 3
    assert queue.states() == ["STORED"] * 2
    line = node.uncommitted()
    assert (line.count, line.given_up, line.state) == (2, 2, CommitmentState.ACCEPTED)
    assert "pacs: 2 stored, not committed, the first since" in node.shown()
    assert "accepted, no report yet; 2 of them are not asked for any more" in node.shown()


def test_a_late_report_of_an_earlier_request_commits(pacs, begin, queue, listener):
    found = pacs(judge=None)
    node = begin(found.port, timeout_s=1)
    node.store()
    node.commitment.ask_due()
    queue.clock.move(100)
    node.commitment.ask_due()
    report, kind = Pacs.report_of(found.requests[0], lambda asked: (asked, {}))
    assert found.report_to(listener(node.settings), report, kind) == 0
    assert queue.states() == ["COMMITTED"] * 2


@pytest.mark.parametrize("status", [0x0110, 0x0124, 0x0213])
def test_a_pacs_that_refuses_the_request_is_asked_a_few_times_and_named(pacs, begin, queue, status):
    found = pacs(status=status)
    node = begin(found.port, commitment_attempts=2)
    node.store()
    for _ in range(5):
        node.commitment.ask_due()
        queue.clock.move(10**5)
    assert (len(found.requests), queue.states()) == (2, ["STORED"] * 2)
    line = node.uncommitted()
    assert (line.state, line.given_up) == (CommitmentState.REFUSED, 2)
    assert line.reason.startswith(f"status 0x{status:04X}")


def test_a_pacs_without_the_service_is_said_once_and_what_it_stored_stays_stored(pacs, begin, queue, caplog):
    found = pacs(knows=False)
    node = begin(found.port)
    node.store()
    node.commitment.ask_due()
    queue.add(3)
    node.store()
    node.commitment.ask_due()
    queue.clock.move(10**6)
    assert node.commitment.ask_due() == 0
    assert queue.states() == ["STORED"] * 3
    said = "destination pacs: no presentation context for storage commitment accepted"
    assert caplog.text.count(said) == 1
    line = node.uncommitted()
    assert (line.state, line.given_up) == (CommitmentState.UNSUPPORTED, 3)


def test_a_pacs_that_is_away_costs_nothing_and_is_asked_when_it_is_back(pacs, begin, queue, caplog):
    found = pacs()
    node = begin(found.port, first_retry_s=10, commitment_attempts=1)
    node.store()
    found.close()
    assert node.commitment.ask_due() == 0
    assert "destination pacs: commitment: no connection; next try in 10 s" in caplog.text
    assert node.uncommitted().state is None
    queue.clock.move(9)
    caplog.clear()
    assert node.commitment.ask_due() == 0
    assert caplog.text == ""


def test_the_thread_asks_by_itself_until_it_is_stopped(pacs, begin, queue):
    found = pacs()
    node = begin(found.port)
    node.store()
    node.commitment.start()
    deadline = time.monotonic() + 60
    while queue.states() != [DeliveryState.COMMITTED] * 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    node.commitment.stop()
