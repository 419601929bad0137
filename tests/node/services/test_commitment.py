"""The node as SCP of storage commitment: what it accepts, commits and reports, on real sockets."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.dsutils import encode
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel as PUSH
from pynetdicom.sop_class import StorageCommitmentPushModelInstance as INSTANCE
from pynetdicom.sop_class import Verification
from rich.console import Console

from node.cli.status import as_tables
from node.dicom.scu import store
from node.operations.status import collect
from node.services.reporter import Reporter, reporters
from node.settings import RemoteSettings, Settings
from storage.commitment_requests import CommitmentRequests

SERVES = """
import sys
from pathlib import Path
from node.service import Service, ServiceRole
from node.settings import load_settings
Service(load_settings(Path(sys.argv[1])), frozenset({ServiceRole.LISTENER})).run()
"""


def request(*references: tuple[str, str], transaction: str | None = None) -> Dataset:
    """Action information that names objects by SOP class and SOP Instance UID."""
    asked = Dataset()
    asked.TransactionUID = transaction or generate_uid()
    asked.ReferencedSOPSequence = [item(*each) for each in references]
    return asked


def item(sop_class: str, instance: str) -> Dataset:
    named = Dataset()
    named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = sop_class, instance
    return named


IMAGE = (MRImageStorage, "1.2.3.4.1")


class Asker:
    """An SCU of storage commitment, and what was reported to it: event type, committed, and failed with the reason."""

    def __init__(self, port: int = 0, answers: Callable[[], int] = lambda: 0) -> None:
        self.reports: list[tuple[int, list[str], dict[str, int]]] = []
        self.transactions: list[str] = []
        self.roles: list[tuple[bool, bool]] = []
        self.called_by: list[str] = []
        self._answers = answers
        self._ae = AE(ae_title="ASKER")
        self._ae.add_supported_context(PUSH, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
        self._handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        server = self._ae.start_server(("127.0.0.1", port), block=False, evt_handlers=self._handlers)
        self.port = int(server.server_address[1])

    def _take(self, event: Event) -> tuple[int, None]:
        status = self._answers()
        if status == 0:
            report = event.event_information
            committed = [it.ReferencedSOPInstanceUID for it in report.get("ReferencedSOPSequence", [])]
            failed = {it.ReferencedSOPInstanceUID: it.FailureReason for it in report.get("FailedSOPSequence", [])}
            context = event.assoc.accepted_contexts[0]
            self.roles.append((context.as_scu, context.as_scp))
            self.called_by.append(event.assoc.requestor.ae_title)
            self.transactions.append(report.TransactionUID)
            self.reports.append((event.event_type, committed, failed))
        return status, None

    def associate(self, port: int, *classes: str):
        ae = AE(ae_title="ASKER")
        for each in classes or (PUSH,):
            ae.add_requested_context(each, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        return ae.associate("127.0.0.1", port, ae_title="RECTALNODE", evt_handlers=self._handlers)

    def ask(self, port: int, asked: Dataset | None, action: int = 1, instance: str = INSTANCE) -> tuple[int, str]:
        """Status and comment of the answer."""
        association = self.associate(port)
        assert association.is_established
        status, _ = association.send_n_action(asked, action, PUSH, instance)
        association.release()
        return status.Status, status.get("ErrorComment", "")

    def close(self) -> None:
        self._ae.shutdown()


@pytest.fixture
def asker() -> Iterator[Asker]:
    started = Asker()
    yield started
    started.close()


@pytest.fixture
def remote() -> Callable[..., RemoteSettings]:
    """Settings of one that may store and ask for commitment."""

    def make(port: int, **changes: object) -> RemoteSettings:
        values = {"host": "127.0.0.1", "may_store": True, "may_commit": True, "timeout_s": 5, **changes}
        return RemoteSettings(name="asker", ae_title="ASKER", port=port, **values)

    return make


@pytest.fixture
def node(start, asker, remote, make_image):
    """A listener that the asker may ask, with image 1.2.3.4.1."""
    receiving = start(remotes=(remote(asker.port),))
    (outcome,) = store([make_image(1)], "127.0.0.1", receiving.port, "RECTALNODE", "ASKER", 10)
    assert outcome.status == 0
    return receiving


@pytest.fixture
def requests(node) -> CommitmentRequests:
    return CommitmentRequests(node.index.engine)


@pytest.fixture
def reporter(node, asker, remote, requests, clock) -> Callable[..., Reporter]:
    def make(**changes: object) -> Reporter:
        return Reporter(remote(asker.port, **changes), node.store, requests, clock)

    return make


@pytest.fixture
def clock(clock):
    """It is later than whatever the listener has written."""
    clock.move(10 * 365 * 86400)
    return clock


def test_what_is_kept_is_committed_over_a_new_association_in_which_the_node_is_the_scp(node, asker, reporter):
    asked = request(IMAGE)
    assert asker.ask(node.port, asked) == (0x0000, "")
    assert reporter().report_due() is True
    assert asker.reports == [(1, ["1.2.3.4.1"], {})]
    assert asker.transactions == [asked.TransactionUID]
    assert asker.roles == [(True, False)]
    assert asker.called_by == ["RECTALNODE"]
    assert reporter().report_due() is False


def test_what_is_not_kept_is_named_with_its_reason_and_the_rest_is_committed(node, asker, reporter, make_image):
    """0112H no such object, 0119H another class, 0110H the file is damaged, or gone."""
    paths = [make_image(number) for number in (2, 3)]
    assert [it.status for it in store(paths, "127.0.0.1", node.port, "RECTALNODE", "ASKER", 10)] == [0, 0]
    damaged, gone = (next(it for it in node.files() if it.name.startswith(f"1.2.3.4.{n}-")) for n in (2, 3))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    gone.unlink()
    references = [IMAGE, *((MRImageStorage, f"1.2.3.4.{number}") for number in (2, 3, 99))]
    assert asker.ask(node.port, request(*references)) == (0, "")
    assert asker.ask(node.port, request((CTImageStorage, "1.2.3.4.1"))) == (0, "")
    assert reporter().report_due()
    assert reporter().report_due()
    assert asker.reports == [
        (2, ["1.2.3.4.1"], {"1.2.3.4.2": 0x0110, "1.2.3.4.3": 0x0110, "1.2.3.4.99": 0x0112}),
        (2, [], {"1.2.3.4.1": 0x0119}),
    ]


def without(keyword: str, of_item: bool = False) -> Dataset:
    asked = request(IMAGE, IMAGE)
    delattr(asked.ReferencedSOPSequence[1] if of_item else asked, keyword)
    return asked


@pytest.mark.parametrize(
    "asked",
    [
        without("TransactionUID"),
        without("ReferencedSOPSequence"),
        request(),
        without("ReferencedSOPClassUID", of_item=True),
        without("ReferencedSOPInstanceUID", of_item=True),
        request(("", "1.2.3")),
        None,
    ],
    ids=["no transaction", "no sequence", "empty sequence", "no class", "no instance", "empty class", "no data set"],
)
def test_a_request_without_what_it_must_have_is_refused_as_an_invalid_argument(node, asker, asked):
    """0115H, PS3.7 C.5.10."""
    status, comment = asker.ask(node.port, asked)
    assert (status, bool(comment)) == (0x0115, True)
    assert collect(Settings(root=node.store.root)).unreported == ()


@pytest.mark.filterwarnings("ignore")
def test_a_data_set_that_is_damaged_anywhere_is_answered_and_the_association_goes_on(node, asker):
    """Each is accepted or refused as an invalid argument."""
    association = asker.associate(node.port)
    (context,) = association.accepted_contexts
    chance = random.Random(18)
    whole = encode(request(IMAGE, (MRImageStorage, "1.9")), context.transfer_syntax[0].is_implicit_VR, True)
    answers = Counter()
    for number in range(60):
        damaged = bytearray(whole[: chance.randrange(1, len(whole))] if number % 3 == 0 else whole)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        asked = N_ACTION()
        asked.MessageID, asked.ActionTypeID = number + 1, 1
        asked.RequestedSOPClassUID, asked.RequestedSOPInstanceUID = PUSH, INSTANCE
        asked.ActionInformation = BytesIO(bytes(damaged))
        association._reactor_checkpoint.clear()
        association.dimse.send_msg(asked, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        answers[answer.Status] += 1
    assert set(answers) == {0x0000, 0x0115}
    assert answers[0x0115] > 20
    association.release()


def test_another_instance_and_another_action_are_refused(node, asker):
    assert asker.ask(node.port, request(IMAGE), instance="1.2.3")[0] == 0x0112
    assert asker.ask(node.port, request(IMAGE), action=2)[0] == 0x0123


def test_another_sop_class_and_another_context_are_refused_and_the_association_goes_on(node, asker):
    """0211H: images have no such operation; 0118H: the class was not agreed on in this context."""
    association = asker.associate(node.port, MRImageStorage, Verification)
    status, _ = association.send_n_action(request(IMAGE), 1, MRImageStorage, INSTANCE)
    assert status.Status == 0x0211
    status, _ = association.send_n_action(request(IMAGE), 1, PUSH, INSTANCE, meta_uid=MRImageStorage)
    assert status.Status == 0x0118
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_remote_without_the_right_gets_no_presentation_context(start, asker, remote, caplog):
    receiving = start(remotes=(remote(asker.port, may_commit=False),))
    assert not asker.associate(receiving.port).is_established
    assert "remote without the right may_commit asked for its service: AE ASKER from 127.0.0.1" in caplog.text


def test_a_report_that_is_not_taken_is_repeated_with_back_off_until_it_is(start, remote, make_image, clock):
    """The asker answers with a processing failure, then is away, then takes it."""
    answers = [0x0110, 0x0000]
    asker = Asker(answers=lambda: answers.pop(0))
    settings = remote(asker.port, first_retry_s=10, longest_retry_s=60)
    node = start(remotes=(settings,))
    requests = CommitmentRequests(node.index.engine)
    list(store([make_image(1)], "127.0.0.1", node.port, "RECTALNODE", "ASKER", 10))
    assert asker.ask(node.port, request(IMAGE)) == (0, "")
    reporter = Reporter(settings, node.store, requests, clock)
    assert reporter.report_due()
    asker.close()
    clock.move(9)
    assert not reporter.report_due()
    clock.move(2)
    assert reporter.report_due()
    again = Asker(asker.port, lambda: 0)
    clock.move(19)
    assert not reporter.report_due()
    clock.move(2)
    assert reporter.report_due()
    assert again.reports == [(1, ["1.2.3.4.1"], {})]
    assert not reporter.report_due()
    again.close()


def test_a_report_that_is_never_taken_is_given_up_and_status_says_why(node, asker, reporter, requests, clock):
    asker.ask(node.port, request(IMAGE))
    asker.close()
    settings = Settings(root=node.store.root)
    reporter(maximum_attempts=2, first_retry_s=1).report_due()
    (waits,) = collect(settings).unreported
    assert (waits.state, waits.attempts, waits.objects, waits.reason) == ("QUEUED", 1, 1, "no connection")
    clock.move(2)
    reporter(maximum_attempts=2, first_retry_s=1).report_due()
    clock.move(86400)
    assert not reporter().report_due()
    (ended,) = collect(settings).unreported
    assert (ended.state, ended.remote) == ("GIVEN_UP", "asker")
    assert ended.reason == "gave up after 2 attempts: no connection"
    console = Console(width=200)
    with console.capture() as shown:
        console.print(as_tables(collect(settings)))
    assert "Commitment asked for here, report not taken" in shown.get()
    assert "given up" in shown.get()


def test_what_is_owed_to_a_remote_that_is_configured_no_more_is_given_up_at_the_start(node, asker, requests):
    asker.ask(node.port, request(IMAGE))
    assert reporters((), node.store, requests) == ()
    (ended,) = collect(Settings(root=node.store.root)).unreported
    assert (ended.state, "nobody can be called" in ended.reason) == ("GIVEN_UP", True)


def test_one_that_cannot_be_called_is_answered_over_its_own_association(start, asker, remote, make_image):
    node = start(remotes=(remote(0),))
    list(store([make_image(1)], "127.0.0.1", node.port, "RECTALNODE", "ASKER", 10))
    association = asker.associate(node.port)
    status, _ = association.send_n_action(request(IMAGE, (MRImageStorage, "1.9")), 1, PUSH, INSTANCE)
    assert status.Status == 0
    until(lambda: asker.reports)
    association.release()
    assert asker.reports == [(2, ["1.2.3.4.1"], {"1.9": 0x0112})]
    until(lambda: not collect(Settings(root=node.store.root)).unreported)


def test_one_that_cannot_be_called_and_does_not_wait_is_named_in_status(start, asker, remote):
    node = start(remotes=(remote(0),))
    association = asker.associate(node.port)
    association.send_n_action(request(IMAGE), 1, PUSH, INSTANCE)
    association.abort()
    until(lambda: [it.state for it in collect(Settings(root=node.store.root)).unreported] != ["QUEUED"])
    unreported = collect(Settings(root=node.store.root)).unreported
    assert asker.reports or "no host and port" in unreported[0].reason


def test_a_transaction_uid_that_is_in_use_is_reported_as_a_duplicate(node, asker, reporter):
    """Failure Reason 0131H, PS3.3 C.14.1.1."""
    transaction = generate_uid()
    assert asker.ask(node.port, request(IMAGE, transaction=transaction))[0] == 0
    assert asker.ask(node.port, request((MRImageStorage, "1.9"), transaction=transaction))[0] == 0
    assert reporter().report_due()
    assert reporter().report_due()
    assert asker.reports == [(1, ["1.2.3.4.1"], {}), (2, [], {"1.9": 0x0131})]


def test_a_request_that_is_repeated_whole_is_reported_again(node, asker, reporter):
    """Its answer may have been lost."""
    asked = request(IMAGE)
    asker.ask(node.port, asked)
    assert reporter().report_due()
    asker.ask(node.port, asked)
    assert reporter().report_due()
    assert asker.reports == [(1, ["1.2.3.4.1"], {})] * 2


def test_several_listener_processes_take_requests_and_one_reports(start, asker, remote, make_image):
    settings = remote(asker.port)
    node = start(remotes=(settings,), processes=2)
    list(store([make_image(1)], "127.0.0.1", node.port, "RECTALNODE", "ASKER", 30))
    for _ in range(2):
        assert asker.ask(node.port, request(IMAGE)) == (0, "")
    (reporter,) = reporters((settings,), node.store, CommitmentRequests(node.index.engine))
    reporter.start()
    until(lambda: len(asker.reports) == 2)
    reporter.stop()
    assert asker.reports == [(1, ["1.2.3.4.1"], {})] * 2


def test_a_node_that_is_killed_after_its_answer_reports_at_its_next_start(tmp_path, remote, make_image):
    """The asker listens from the next start on, so that nothing is reported before the kill."""
    port, back = free_port(), free_port()
    config = tmp_path / "node.toml"
    config.write_text(
        f'[listener]\nport = {port}\nminimum_free_gb = 0\n[[remotes]]\nname = "asker"\nae_title = "ASKER"\n'
        f'host = "127.0.0.1"\nport = {back}\nmay_store = true\nmay_commit = true\nfirst_retry_s = 0.5\n'
        "longest_retry_s = 0.5\ntimeout_s = 1\n"
    )
    process = serving(config, port)
    asking = Asker(free_port())
    try:
        (outcome,) = store([make_image(1)], "127.0.0.1", port, "RECTALNODE", "ASKER", 10)
        assert outcome.status == 0
        association = asking.associate(port)
        status, _ = association.send_n_action(request(IMAGE), 1, PUSH, INSTANCE)
        process.kill()
        assert status.Status == 0
    finally:
        process.kill()
        process.wait()
        asking.close()
    assert process.returncode == -9
    asker = Asker(back)
    process = serving(config, port)
    try:
        until(lambda: asker.reports)
    finally:
        process.terminate()
        process.wait(60)
        asker.close()
    assert asker.reports[0] == (1, ["1.2.3.4.1"], {})
    assert collect(Settings(root=tmp_path / "var")).unreported == ()


def serving(config: Path, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", SERVES, str(config)], stderr=subprocess.DEVNULL)

    def listens() -> bool:
        assert process.poll() is None
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    until(listens)
    return process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
