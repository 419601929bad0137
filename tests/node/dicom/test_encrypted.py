"""A connection by TLS reads and writes as one without: whole counts, limits of the whole, one reader, many writers."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from node.dicom.connection import LARGEST_PIECE, Connection
from node.dicom.encrypted import EncryptedConnection, connection_over
from node.dicom.tls import server_context
from tests.parts.certificates import Authority


@pytest.fixture(params=["server", "client"])
def pair(request, authority: Authority) -> Iterator[tuple[EncryptedConnection, ssl.SSLSocket]]:
    """A connection of the node, as either side of TLS, and a socket at the other end; its server sends tickets."""
    issued = authority.issue("both", ("127.0.0.1",))
    ours_serves = request.param == "server"
    server = server_context(authority.credentials(issued))
    if not ours_serves:
        server.num_tickets = 2
    client = ssl.create_default_context(cafile=str(authority.path))
    client.load_cert_chain(issued.path, issued.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        calling = socket.create_connection(listening.getsockname())
        called, _ = listening.accept()
    found: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: found.append(server.wrap_socket(called, server_side=True)))
    thread.start()
    of_client = client.wrap_socket(calling, server_hostname="127.0.0.1")
    thread.join()
    ours, theirs = (found[0], of_client) if ours_serves else (of_client, found[0])
    connection = connection_over(ours, silence_s=1.0)
    assert isinstance(connection, EncryptedConnection)
    theirs.settimeout(10)
    yield connection, theirs
    connection.close()
    theirs.close()


def soon() -> float:
    return time.monotonic() + 10


def test_without_tls_it_is_an_ordinary_connection():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = connection_over(socket.create_connection(listening.getsockname()), 1.0)
        assert type(connection) is Connection
        connection.close()


def test_counts_are_whole_however_the_bytes_are_cut_into_records(pair):
    connection, theirs = pair
    sent = bytes(range(256)) * 1000
    writer = threading.Thread(target=lambda: [theirs.sendall(sent[at : at + 777]) for at in range(0, len(sent), 777)])
    writer.start()
    got = b""
    while len(got) < len(sent):
        got += connection.read(min(LARGEST_PIECE, len(sent) - len(got), len(got) + 1), soon())
    writer.join()
    assert got == sent


def test_what_comes_behind_a_header_in_its_record_is_there_at_once(pair):
    connection, theirs = pair
    theirs.sendall(b"header and content")
    assert bytes(connection.read(6, soon())) == b"header"
    assert bytes(connection.unread) == b" and content"
    assert bytes(connection.read(12, time.monotonic() - 1)) == b" and content"


def test_the_limit_is_of_the_whole(pair):
    connection, theirs = pair
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.05):
            theirs.sendall(b".")

    writer = threading.Thread(target=drip)
    writer.start()
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        connection.read(1000, begun + 0.5)
    assert time.monotonic() - begun < 5
    over.set()
    writer.join()


def test_tickets_and_nothing_else_are_rest(pair):
    connection, theirs = pair
    assert connection.rests
    theirs.sendall(b"something")
    deadline = soon()
    while connection.rests:
        assert time.monotonic() < deadline
    assert bytes(connection.unread) == b"something"


def test_the_end_is_told_from_silence(pair):
    connection, theirs = pair
    theirs.sendall(b"end")
    theirs.close()
    assert bytes(connection.read(3, soon())) == b"end"
    with pytest.raises(EOFError):
        connection.read(1, soon())
    assert not connection.rests


def test_to_look_takes_nothing(pair):
    connection, theirs = pair
    assert bytes(connection.look()) == b""
    theirs.sendall(b"one")
    theirs.sendall(b"two")
    deadline = soon()
    while bytes(connection.look()) != b"onetwo":
        assert time.monotonic() < deadline
    assert bytes(connection.read(6, soon())) == b"onetwo"


def test_much_is_sent_while_the_other_side_takes_it(pair):
    connection, theirs = pair
    sent, got = bytes(5_000_000), []

    def take() -> None:
        while piece := theirs.recv(65536):
            got.append(len(piece))

    reader = threading.Thread(target=take)
    reader.start()
    connection.send(sent)
    connection.part(patience_s=0.1)
    reader.join()
    assert sum(got) == len(sent)


def test_who_takes_nothing_more_is_given_up(pair):
    connection, _theirs = pair
    begun = time.monotonic()
    with pytest.raises(OSError):  # noqa: PT011 (of any kind)
        connection.send(bytes(50_000_000))
    assert 0.9 < time.monotonic() - begun < 20


def test_one_thread_sends_while_another_waits_for_bytes(pair):
    connection, theirs = pair
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(bytes(connection.read(6, soon()))))
    reader.start()
    connection.send(b"abort")
    assert theirs.recv(100) == b"abort"
    theirs.sendall(b"answer")
    reader.join()
    assert found == [b"answer"]


def test_who_waits_is_woken_by_the_end_of_the_connection(pair):
    connection, _theirs = pair
    woken = threading.Event()

    def wait() -> None:
        with pytest.raises((OSError, EOFError)):
            connection.read(1, soon())
        woken.set()

    reader = threading.Thread(target=wait)
    reader.start()
    connection.disconnect()
    assert woken.wait(5)
    reader.join()
