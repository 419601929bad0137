"""Results go to a DICOMweb service by STOW-RS, with the same states as by C-STORE."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from node.delivery.dicomweb import asked, verdict
from node.delivery.worker import DeliveryWorker
from node.dicom.outcomes import HTTP_POLICIES, StoreResult, classify_http, http_policies_as_markdown
from node.dicom.tls import server_context
from node.errors import NodeError
from node.operations.transfer import echo_remote
from node.settings import RemoteSettings, Settings
from storage.records import DeliveryState

from ...parts.storage_scp import StorageSCP, running_storage_scp
from ..web.conftest import running_web
from .queued import STUDY, uid

TOKEN = "a-token-that-is-long-enough"


@dataclass
class Service:
    """A service that answers as it is told, and what came to it."""

    port: int
    answers: list[tuple[int, bytes]]
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)


def stored(*numbers: int) -> bytes:
    items = [{"00081155": {"vr": "UI", "Value": [uid(number)]}} for number in numbers]
    return json.dumps({"00081199": {"vr": "SQ", "Value": items}}).encode()


def failed(number: int, reason: int) -> bytes:
    item = {"00081155": {"vr": "UI", "Value": [uid(number)]}, "00081197": {"vr": "US", "Value": [reason]}}
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


Answer = Callable[[bytes], tuple[int, bytes]]


@contextmanager
def running_service(*answers: tuple[int, bytes], answer: Answer | None = None, context=None) -> Iterator[Service]:
    """Each request gets the next answer, or what `answer` says to its body; status 0 closes the connection instead."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found.paths.append(self.path)
            found.tokens.append(self.headers.get("Authorization"))
            found.bodies.append(body := self.rfile.read(int(self.headers["Content-Length"])))
            status, body = answer(body) if answer else found.answers.pop(0)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Service(server.server_port, list(answers))
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def service() -> Iterator[Callable[..., Service]]:
    with ExitStack() as running:
        yield lambda *answers, **more: running.enter_context(running_service(*answers, **more))


def remote(port: int, scheme: str = "http", **changes: object) -> RemoteSettings:
    url = f"{scheme}://127.0.0.1:{port}/dicom-web"
    return RemoteSettings(name="pacs", url=url, receives_results=True, timeout_s=10, **changes)


def delivered(queue, settings: RemoteSettings, clock) -> list[str]:
    """The states after one round."""
    worker = DeliveryWorker(settings, queue.rows, queue.files, clock=clock)
    worker._queue.open()
    worker.deliver_due()
    worker._queue.close()
    return queue.states()


def test_results_arrive_byte_for_byte_and_are_stored(queue, clock, service):
    pacs = service((200, stored(1)), (200, stored(2)))
    assert delivered(queue, remote(pacs.port), clock) == ["STORED", "STORED"]
    assert pacs.paths == ["/dicom-web/studies"] * 2
    for number, body in enumerate(pacs.bodies, 1):
        assert queue.files.root.joinpath(f"{number}.dcm").read_bytes() in body


def test_orthanc_takes_results_and_gives_them_back(queue, clock, orthanc):
    """Its plug-in orthanc-dicomweb is a receiver of another making."""
    orthanc.dicomweb("/studies?limit=1")  # skips the test where it is not installed
    assert delivered(queue, remote(orthanc.http_port), clock) == ["STORED", "STORED"]
    assert {found.SOPInstanceUID for found in orthanc.data_sets(STUDY)} >= {uid(1), uid(2)}


def test_another_node_takes_results_with_its_token(queue, clock, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    sender = RemoteSettings(name="node", ae_title="NODE", token_file=tmp_path / "token", may_store=True)
    with running_web(tmp_path / "other", (sender,), local_rights=()) as other:
        settings = remote(other.server.port, token_file=tmp_path / "token")
        assert delivered(queue, settings, clock) == ["STORED", "STORED"]
        assert [it.calling_ae for it in other.index.instances(STUDY)] == ["NODE", "NODE"]


@pytest.mark.parametrize(
    ("answer", "states", "attempts", "reason"),
    [
        ((200, failed(1, 0x0110)), ["QUEUED", "STORED"], [1, 1], "failure reason 0x0110"),
        ((202, failed(1, 0xA700)), ["QUEUED", "STORED"], [1, 1], "failure reason 0xA700"),
        ((409, failed(1, 0xC000)), ["FAILED", "STORED"], [0, 1], "failure reason 0xC000"),
        ((409, failed(1, 0x0111)), ["STORED", "STORED"], [1, 1], "failure reason 0x0111"),
        ((200, b""), ["QUEUED", "STORED"], [1, 1], "does not name the object"),
        ((400, b"no"), ["FAILED", "STORED"], [0, 1], "HTTP status 400"),
        ((415, b""), ["FAILED", "STORED"], [0, 1], "HTTP status 415"),
        ((500, b""), ["QUEUED", "STORED"], [1, 1], "HTTP status 500"),
        ((0, b""), ["QUEUED", "STORED"], [1, 1], "connection was lost"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_what_is_said_of_one_object_decides_of_it_alone(queue, clock, service, answer, states, attempts, reason):
    pacs = service(answer, (200, stored(2)))
    assert delivered(queue, remote(pacs.port), clock) == states
    assert any(reason in each for each in queue.reasons())
    counted = queue.attempts()
    assert [count if state == "QUEUED" else None for count, state in zip(counted, states, strict=True)] == [
        count if state == "QUEUED" else None for count, state in zip(attempts, states, strict=True)
    ]


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 502, 503])
def test_a_service_that_takes_nothing_now_costs_no_attempt_and_is_not_asked_again_at_once(
    queue, clock, service, status
):
    pacs = service((status, b""), (200, stored(2)))
    assert delivered(queue, remote(pacs.port), clock) == ["QUEUED", "QUEUED"]
    assert queue.attempts() == [0, 0]
    assert len(pacs.paths) == 1


def test_a_service_that_is_not_there_costs_no_attempt(queue, clock, unused_port):
    assert delivered(queue, remote(unused_port), clock) == ["QUEUED", "QUEUED"]
    assert queue.attempts() == [0, 0]
    assert all("no connection" in reason for reason in queue.reasons())


def stored_object(body: bytes) -> bytes:
    """The answer that the object in a body was stored."""
    _, _, file = body.partition(b"\r\n\r\n")
    return stored(int(dcmread(BytesIO(file)).SOPInstanceUID.rpartition(".")[2]))


def test_several_connections_send_each_object_once(queue, clock, service):
    together = threading.Barrier(2, timeout=30)
    count = itertools.count(1)

    def answer(body: bytes) -> tuple[int, bytes]:
        if next(count) in (2, 3):  # the second connection begins when the first has brought something
            together.wait()
        return 200, stored_object(body)

    pacs = service(answer=answer)
    queue.add(*range(3, 31))
    assert delivered(queue, remote(pacs.port, associations=2), clock) == ["STORED"] * 30
    assert sorted(map(stored_object, pacs.bodies)) == sorted(stored(number) for number in range(1, 31))


def test_a_service_that_takes_fewer_connections_gets_all_over_those_that_it_takes(queue, clock, service, caplog):
    """Of requests at the same time it answers one alone, others with 503."""
    count, one, refused = itertools.count(1), threading.Lock(), threading.Event()

    def answer(body: bytes) -> tuple[int, bytes]:
        if not one.acquire(blocking=False):
            refused.set()
            return 503, b""
        with ExitStack() as held:
            held.callback(one.release)
            if next(count) == 2:
                assert refused.wait(30)
            return 200, stored_object(body)

    pacs = service(answer=answer)
    queue.add(*range(3, 31))
    assert delivered(queue, remote(pacs.port, associations=2), clock) == ["STORED"] * 30
    assert len(pacs.bodies) == 31
    assert "next try" not in caplog.text


def test_a_file_that_has_changed_is_not_sent(queue, clock, service):
    pacs = service((200, stored(2)))
    path = queue.files.absolute(queue.deliveries()[0].result.file)
    path.write_bytes(path.read_bytes()[:-2])
    assert delivered(queue, remote(pacs.port), clock) == [DeliveryState.FAILED, DeliveryState.STORED]


def test_the_token_is_presented_and_one_that_cannot_be_read_waits(queue, clock, service, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    pacs = service((200, stored(1)), (200, stored(2)))
    lost = remote(pacs.port, token_file=tmp_path / "none")
    assert delivered(queue, lost, clock) == ["QUEUED", "QUEUED"]
    assert queue.attempts() == [0, 0]
    clock.move(60)
    assert delivered(queue, remote(pacs.port, token_file=tmp_path / "token"), clock) == ["STORED", "STORED"]
    assert pacs.tokens == [f"Bearer {TOKEN}"] * 2


def test_by_https_the_certificate_must_be_that_of_the_service(queue, clock, service, authority, stranger):
    right = authority.issue("stow", ["127.0.0.1"])
    context = server_context(authority.credentials(right))
    # By TLS 1.3 a sender may be refused after it has sent: that costs its object an attempt, and it comes last.
    pacs = service(*[(200, stored(1, 2))] * 2, context=context)
    for refused in (
        {"authorities": stranger.path},
        {"authorities": authority.path, "certificate_sha256": ("0" * 64,)},
        {"authorities": authority.path, "certificate_name": "other.example"},
        {"authorities": authority.path},  # it wants a certificate of this node
    ):
        assert delivered(queue, remote(pacs.port, "https", **refused), clock) == ["QUEUED", "QUEUED"]
        assert pacs.bodies == []
        clock.move(60)
    node = authority.issue("node")
    shown = {"tls": True, "credentials": authority.credentials(node)}
    assert delivered(queue, remote(pacs.port, "https", **shown), clock) == ["STORED", "STORED"]


# --- whether it answers at all


def test_orthanc_answers_and_keeps_nothing(orthanc):
    orthanc.dicomweb("/studies?limit=1")  # skips the test where it is not installed
    before = orthanc.get("/statistics")
    assert asked(remote(orthanc.http_port)) == ""
    assert orthanc.get("/statistics") == before


def test_a_node_answers_who_may_store_there(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "another").write_text(TOKEN[::-1])
    reader, writer = (
        RemoteSettings(name=name, token_file=tmp_path / name, may_query=True, may_store=name == "token")
        for name in ("another", "token")
    )
    with running_web(tmp_path / "other", (reader, writer), local_rights=()) as other:
        assert asked(remote(other.server.port, token_file=tmp_path / "token")) == ""
        assert asked(remote(other.server.port, token_file=tmp_path / "another")) == "HTTP status 403, Forbidden"
        assert asked(remote(other.server.port)) == "HTTP status 401, Unauthorized"
        assert asked(remote(other.server.port, token_file=tmp_path / "none")).startswith("no connection: this machine")
        assert other.index.instances(STUDY) == ()


@pytest.mark.parametrize("status", [301, 404, 405, 415, 429, 500, 501, 503])
def test_a_service_that_would_take_nothing_is_no_answer(service, status):
    assert asked(remote(service((status, b"")).port)).startswith(f"HTTP status {status}, ")


@pytest.fixture
def pacs_with_echo() -> Iterator[StorageSCP]:
    with running_storage_scp() as found:
        yield found


def test_nobody_there_and_a_connection_that_ends_are_no_answer(service, unused_port):
    assert asked(remote(unused_port)).startswith("no connection: ")
    assert asked(remote(service((0, b"")).port)) == "no connection: the connection was lost before the answer"


def test_a_remote_by_url_is_asked_there_and_one_by_port_by_c_echo(service, pacs_with_echo):
    web, pacs = service((400, b"")), pacs_with_echo
    by_port = RemoteSettings(name="scp", ae_title="PACS", host="127.0.0.1", port=pacs.port)
    settings = Settings(remotes=(remote(web.port), by_port))
    found = echo_remote(settings, "pacs")
    assert (found.answers, found.receiver.address) == (True, f"http://127.0.0.1:{web.port}/dicom-web")
    assert web.paths == ["/dicom-web/studies"]
    assert (echo_remote(settings, "scp").answers, pacs.echoes) == (True, 1)
    with pytest.raises(NodeError, match="'nobody'"):
        echo_remote(settings, "nobody")


@pytest.mark.parametrize("policy", HTTP_POLICIES, ids=lambda policy: policy.statuses)
def test_every_status_of_a_row_has_its_meaning(policy):
    assert {classify_http(status) for status in (policy.first, policy.last)} == {policy.result}


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"00081198": 1}', b'{"00081199": {"vr": "SQ"}}'])
def test_an_answer_that_cannot_be_read_leaves_the_status(body):
    assert verdict(200, body, uid(1))[0] is StoreResult.TRANSIENT
    assert verdict(202, body, uid(1))[0] is StoreResult.TRANSIENT
    assert verdict(409, body, uid(1))[0] is StoreResult.PERMANENT


def test_the_table_for_operators_is_the_one_of_the_code():
    documented = Path(__file__).parents[3] / "docs" / "operations.md"
    assert http_policies_as_markdown() in documented.read_text("utf-8")
