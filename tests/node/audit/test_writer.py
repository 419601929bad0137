"""What is on record comes to files and collector: all of it, once, in order, and later where it cannot be now."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from lxml import etree
from sqlalchemy import text

from node.audit import chain
from node.audit.syslog import collector_of
from node.audit.targets import FILE, SYSLOG
from node.audit.verification import verify
from node.audit.writer import AuditWriter
from node.codes import Alert
from node.dicom.tls import server_context
from node.settings import AuditSettings, SyslogSettings
from storage.alerts import Alerts
from storage.audit import Audit, AuditAction
from storage.audit_chain import AuditChain, Position
from storage.database import open_engine

from ...parts.collector import running_collector
from ...parts.processes import free_port, wait_for


@contextmanager
def writing(settings, engine):
    writer = AuditWriter(settings, engine)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


@pytest.fixture
def filed(settings, record):
    """How many whole lines there are, none of which is missing."""

    def count() -> int:
        found = verify([settings.audit_folder], record.state)
        assert found.faults == ()
        return found.lines

    return count


@pytest.fixture
def record(engine) -> AuditChain:
    return AuditChain(engine)


def contents(settings) -> list[bytes]:
    """All lines, in their order."""
    files = chain.files_in(settings.audit_folder).values()
    return [line for path in files for line in path.read_bytes().splitlines()]


def open_alerts(engine) -> dict[str, str]:
    return {it.code: it.subject for it in Alerts(engine).open()}


def test_events_are_written_to_the_files_in_their_order_by_one_process_alone(settings, engine, audit, event, filed):
    audit.add_all(event(subject=str(number)) for number in range(10))
    with writing(settings, engine), writing(settings, engine), writing(settings, engine):
        wait_for(lambda: filed() == 10, "ten lines", 30)
        audit.add(event())
        wait_for(lambda: filed() == 11, "another one", 30)


def test_another_process_goes_on_where_one_has_ended(settings, engine, audit, event, filed):
    for number in range(1, 6):
        audit.add(event())
        with writing(settings, engine):
            wait_for(lambda: filed() == number, "a line more", 30)  # noqa: B023 - called at once


def test_what_was_written_before_a_kill_is_not_written_again(settings, engine, audit, event, filed, record):
    """Under whatever name the node reports after it."""
    audit.add_all([event(), event()])
    with writing(settings, engine):
        wait_for(lambda: filed() == 2, "two lines", 30)
    lines = [chain.read(it) for it in contents(settings)]
    # As if the process had ended before it was known that they are written.
    record.begin(Position(0), [(it.event, it.digest) for it in lines])
    audit.add(event())
    listener = settings.listener.model_copy(update={"ae_title": "RENAMED"})
    with writing(settings.model_copy(update={"listener": listener}), engine):
        wait_for(lambda: filed() == 3, "three lines", 30)
    assert verify([settings.audit_folder], record.state).notes == ()
    assert not open_alerts(engine)


def test_an_event_without_a_message_is_told_by_its_number_and_the_next_follow(settings, engine, audit, event, filed):
    audit.add_all([event() for _ in range(4)])
    with engine.begin() as connection:
        connection.execute(text("UPDATE audit_event SET action = 'OF_A_LATER_RELEASE' WHERE identifier = 2"))
        connection.execute(text("""UPDATE audit_event SET facts = '{"sop_classes": 3}' WHERE identifier = 3"""))
    with writing(settings, engine):
        wait_for(lambda: filed() == 4, "four lines", 30)
    _, second, third, _ = contents(settings)
    assert b"event 2, OF_A_LATER_RELEASE: this release cannot read it" in second
    assert b"event 3 of the database cannot be told as a message" in third


def test_another_node_on_the_same_folder_says_so_and_breaks_no_chain(settings, engine, audit, event, filed, tmp_path):
    other = settings.model_copy(update={"root": tmp_path / "other", "audit": settings.audit.model_copy()})
    other.root.mkdir()
    other = other.model_copy(update={"audit": AuditSettings(folder=settings.audit_folder)})
    theirs = open_engine(other.storage_url)
    audit.add(event())
    Audit(theirs).add(event())
    with writing(settings, engine):
        wait_for(lambda: filed() == 1, "a line", 30)
        with writing(other, theirs):
            wait_for(lambda: Alert.AUDIT_NOT_WRITTEN in open_alerts(theirs), "an alert", 30)
    (alert,) = Alerts(theirs).open()
    theirs.dispose()
    assert "another node writes its audit there" in alert.text
    assert filed() == 1


def test_a_folder_that_cannot_be_written_is_an_alert_until_it_can(settings, engine, audit, event, filed):
    settings.audit_folder.write_text("in the way")
    audit.add(event())
    with writing(settings, engine):
        wait_for(lambda: Alert.AUDIT_NOT_WRITTEN in open_alerts(engine), "an alert", 30)
        audit.add(event())  # which goes on, whatever the files do
        settings.audit_folder.unlink()
        wait_for(lambda: filed() == 2, "both lines", 60)
        wait_for(lambda: not open_alerts(engine), "the alert is over", 30)


def test_lines_that_are_gone_are_an_alert_and_writing_goes_on(settings, engine, audit, event):
    audit.add_all([event(), event(), event()])
    with writing(settings, engine):
        wait_for(lambda: audit.position(FILE).event == 3, "three lines", 30)
    path = max(settings.audit_folder.glob("audit-*.log"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(True)[:-1]))
    audit.add(event())
    with writing(settings, engine):
        wait_for(lambda: audit.position(FILE).event == 4, "the fourth line", 30)
    assert Alert.AUDIT_DAMAGED in open_alerts(engine)
    (fault,) = verify([settings.audit_folder], AuditChain(engine).state).faults
    assert "between this one (event 4) and the one before (event 2) are gone" in fault.text


def test_a_check_of_a_database_that_takes_nothing_is_told_and_says_that_it_is_not_on_record(
    settings, engine, audit, event, filed, command, tmp_path
):
    audit.add(event())
    with writing(settings, engine):
        wait_for(lambda: filed() == 1, "a line", 30)
    with engine.begin() as connection:
        refusing = "CREATE TRIGGER full BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no room'); END"
        connection.execute(text(refusing))
    (tmp_path / "node.toml").write_text('root = "."\n')
    done = command("audit", "verify", "--config", str(tmp_path / "node.toml"))
    said = " ".join(done.stdout.split())
    assert (done.returncode, "1 lines, up to event 1: whole" in said, "is not on record" in said) == (0, True, True)


# --- the collector


@pytest.fixture
def to_collector(settings, authority):
    """Settings with a collector at a port, in place of files."""

    def make(port: int, **said: object):
        own = authority.credentials(authority.issue("node", ("node.example",)))
        values = {"credentials": own, "timeout_s": 5, **said}
        syslog = SyslogSettings(host="127.0.0.1", port=port, **values)
        return settings.model_copy(update={"audit": AuditSettings(file=False, syslog=syslog)})

    return make


@pytest.fixture
def server(authority):
    return authority.credentials(authority.issue("collector", ("127.0.0.1",)))


def subjects(collector) -> list[str]:
    """Of the messages, each once, in the order in which they came."""
    found = (etree.fromstring(it) for it in collector.documents)
    names = [it.findtext("ParticipantObjectIdentification[last()]/ParticipantObjectName") for it in found]
    return list(dict.fromkeys(names))


def test_a_collector_gets_every_message_with_its_header_by_tls(to_collector, server, engine, audit, event, schema):
    audit.add_all(event(subject=str(number), succeeded=number != 1) for number in range(5))
    with running_collector(server) as collector, writing(to_collector(collector.port), engine):
        wait_for(lambda: len(collector.messages) == 5, "five messages", 30)
        wait_for(lambda: audit.position(SYSLOG).event == 5, "they are known to be there", 30)
        assert subjects(collector) == list("01234")
        for document in collector.documents:
            schema.assertValid(etree.fromstring(document))
        assert [(it[0], it[3], it[5]) for it in collector.headers] == [
            (b"84" if number == 1 else b"85", b"rectal-node", b"DICOM+RFC3881") for number in range(5)
        ]
        assert collector.connections == 1


def test_a_collector_that_is_away_is_an_alert_and_gets_all_when_it_comes(to_collector, server, engine, audit, event):
    port = free_port()
    audit.add_all(event(subject=str(number)) for number in range(300))
    with writing(to_collector(port), engine):
        wait_for(lambda: open_alerts(engine).get(Alert.AUDIT_NOT_WRITTEN) == SYSLOG, "an alert", 30)
        with running_collector(server, port) as collector:
            wait_for(lambda: len(subjects(collector)) == 300, "all messages", 60)
            wait_for(lambda: not open_alerts(engine), "the alert is over", 30)


def test_a_collector_that_breaks_off_lacks_nothing(to_collector, server, engine, audit, event):
    wanted = []
    with running_collector(server) as collector, writing(to_collector(collector.port), engine):
        for number in range(12):
            audit.add(event(subject=str(number)))
            wanted.append(str(number))
            if number % 3 == 2:
                collector.break_off()
        wait_for(lambda: sorted(subjects(collector), key=int) == wanted, "every message", 60)


@contextmanager
def one_that_takes_nothing(credentials, port: int = 0):
    """It accepts connections, makes the handshake, and then neither reads nor ends; yields its port."""
    context, held = server_context(credentials), []
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    held.append(context.wrap_socket(listening.accept()[0], server_side=True))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in held:
                each.close()


def test_what_a_collector_has_accepted_and_not_read_is_sent_again(to_collector, server, engine, audit, event):
    audit.add_all(event(subject=str(number)) for number in range(1400))
    port = free_port()
    with writing(to_collector(port, timeout_s=1), engine):
        with one_that_takes_nothing(server, port):
            wait_for(lambda: Alert.AUDIT_NOT_WRITTEN in open_alerts(engine), "an alert", 120)
            assert audit.position(SYSLOG).event == 0
        with running_collector(server, port) as collector:
            wait_for(lambda: len(subjects(collector)) == 1400, "all messages", 120)
            wait_for(lambda: audit.position(SYSLOG).event == 1400, "they are known to be there", 60)
            wait_for(lambda: not open_alerts(engine), "the alert is over", 30)


def test_a_collector_that_hangs_holds_up_neither_the_files_nor_a_stop(
    to_collector, settings, server, engine, audit, event, filed
):
    audit.add_all(event(subject=str(number)) for number in range(1400))
    with one_that_takes_nothing(server) as port:
        syslog = to_collector(port, timeout_s=60).audit
        both = AuditSettings(file=True, rotate_mb=settings.audit.rotate_mb, syslog=syslog.syslog)
        writer = AuditWriter(settings.model_copy(update={"audit": both}), engine)
        writer.start()
        wait_for(lambda: filed() == 1400, "all lines", 120)
        audit.add(event())
        begun = time.monotonic()
        assert writer.stop()
        assert time.monotonic() - begun < 30  # of the 60 s and more that the collector has
        wait_for(lambda: filed() == 1401, "the last line", 1)


def test_a_stop_says_so_where_the_database_is_still_used(settings, engine, audit, event):
    audit.add(event())
    writer = AuditWriter(settings, engine)
    with engine.execution_options(rectal_node_writes=True).begin() as connection:
        connection.execute(text("UPDATE audit_event SET detail = 'locked'"))
        writer.start()
        wait_for(lambda: (settings.audit_folder / "audit.lock").exists(), "the files are looked at", 30)
        time.sleep(0.5)
        assert not writer.stop()


def test_a_collector_that_talks_without_end_gets_its_messages(to_collector, server, engine, audit, event):
    with running_collector(server) as collector, writing(to_collector(collector.port), engine):
        audit.add(event(subject="0"))
        wait_for(lambda: subjects(collector) == ["0"], "a message", 30)
        ended = collector.talk_without_end()
        audit.add(event(subject="1"))
        wait_for(lambda: subjects(collector) == ["0", "1"], "another", 30)
        wait_for(lambda: audit.position(SYSLOG).event == 2, "they are known to be there", 30)
        ended.set()


def test_a_collector_is_told_of_the_end(to_collector, server, engine, audit, event):
    with running_collector(server) as collector:
        with writing(to_collector(collector.port), engine):
            audit.add(event())
            wait_for(lambda: collector.messages, "a message", 30)
        wait_for(lambda: collector.goodbyes == 1, "close_notify", 30)


def test_after_a_fault_datagrams_come_from_a_new_socket():
    """Whose name is asked for anew."""
    port = free_port()
    collector = collector_of(SyslogSettings(host="127.0.0.1", port=port, transport="udp"))
    sources = []
    for _ in range(2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.bind(("127.0.0.1", port))
            listening.settimeout(30)
            collector.send([b"there"])
            sources.append(listening.recvfrom(100)[1])

        def is_refused() -> bool:
            try:
                collector.send([b"nobody"])
            except ConnectionRefusedError:
                return True
            return False

        wait_for(is_refused, "the port is unreachable", 30)
    assert sources[0] != sources[1]


def test_a_collector_of_another_authority_gets_nothing(to_collector, stranger, authority, engine, audit, event):
    other = stranger.issue("collector", ("127.0.0.1",))
    audit.add(event())
    with running_collector(stranger.credentials(other, authority)) as collector:
        with writing(to_collector(collector.port), engine):
            wait_for(lambda: Alert.AUDIT_NOT_WRITTEN in open_alerts(engine), "an alert", 30)
            (alert,) = Alerts(engine).open()
            assert "its certificate is signed by none of `authorities`" in alert.text
        assert collector.messages == []


def test_a_collector_by_udp_gets_a_datagram_a_message(to_collector, engine, audit, event):
    audit.add_all([event(AuditAction.SIGNED_IN), event(AuditAction.SIGNED_OUT)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(30)
        with writing(to_collector(listening.getsockname()[1], transport="udp", credentials=None), engine):
            got = [listening.recv(65_536) for _ in range(2)]
    assert all(it.startswith(b"<85>1 2026-01-02T03:04:05.000Z ") for it in got)
    assert [b'"110122"' in it for it in got] == [True, False]


def test_an_event_of_another_transaction_that_ends_later_is_not_passed_over(url, event):
    """PostgreSQL gives numbers before a transaction ends: who adds an event waits for those who do."""
    engine = open_engine(url)
    try:
        _added_at_the_same_time(Audit(engine), event)
    finally:
        engine.dispose()


def _added_at_the_same_time(audit: Audit, event) -> None:
    from concurrent.futures import ThreadPoolExecutor

    seen, last = 0, 0
    with ThreadPoolExecutor(4) as pool:
        adding = [pool.submit(audit.add_all, [event()] * 5) for _ in range(40)]
        while seen < 200:
            found = audit.after(last, 50)
            seen, last = seen + len(found), found[-1][0] if found else last
            if not found and all(it.done() for it in adding):
                found = audit.after(last, 50)
                assert found or seen == 200, "events were passed over"
