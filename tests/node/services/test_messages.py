"""Every request gets a status or an abort, whatever its command looks like, and what it brought is kept."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from pynetdicom.dsutils import split_dataset

MR, VERIFICATION = b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.1.1\0"
COMMAND, DATA, LAST = 1, 0, 2
CLASS, FIELD, MESSAGE, ANSWERED = 0x0002, 0x0100, 0x0110, 0x0120
PRIORITY, DATA_SET_TYPE, INSTANCE = 0x0700, 0x0800, 0x1000


def number(value: int) -> bytes:
    return struct.pack("<H", value)


def store(message: int = 7, changed: dict[int, bytes | None] | None = None) -> dict[int, bytes]:
    """Elements of a C-STORE-RQ, some of them changed; None leaves one out."""
    elements = {
        CLASS: MR,
        FIELD: number(0x0001),
        MESSAGE: number(message),
        PRIORITY: number(0),
        DATA_SET_TYPE: number(1),
        INSTANCE: b"1.2.3.4.1\0",
    }
    return {tag: value for tag, value in (elements | (changed or {})).items() if value is not None}


ECHO = {CLASS: VERIFICATION, FIELD: number(0x0030), MESSAGE: number(9), DATA_SET_TYPE: number(0x0101)}


@pytest.fixture
def talking(receiving, scanner):
    connected = scanner(receiving.port)
    assert connected.associate(contexts=2) == "accepted"
    return connected


@pytest.fixture
def data_set(make_image) -> bytes:
    path = make_image()
    return path.read_bytes()[split_dataset(path)[1] :]


def send(scanner, elements, data_set: bytes = b"", context: int = 1) -> None:
    """A request in one P-DATA a fragment; the data set in pieces of 1000 bytes."""
    scanner.say(scanner.fragment(COMMAND | LAST, scanner.command(elements), context))
    for start in range(0, len(data_set), 1000):
        last = LAST if start + 1000 >= len(data_set) else 0
        scanner.say(scanner.fragment(DATA | last, data_set[start : start + 1000], context))


# --- the object cannot be stored, but the request can be answered


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({INSTANCE: None}, "0117"),
        ({INSTANCE: b""}, "0117"),
        ({INSTANCE: b"1." * 40}, "0117"),
        ({INSTANCE: b"1.2." + b"3" * 70_000}, "aborted"),
        ({INSTANCE: b"1..2"}, "0117"),
        ({INSTANCE: b"Muster^Erika"}, "0117"),
        ({INSTANCE: b"1.2.3.4.1\\1.2.3.4.2 "}, "0117"),
        ({CLASS: None}, "A900"),
        ({CLASS: b"1." * 40}, "A900"),
        ({CLASS: b"Muster^Erika"}, "A900"),
        ({CLASS: b"\xff\xfe\xfd\xfc"}, "A900"),
        ({CLASS: VERIFICATION}, "0122"),
        ({CLASS: b"1.2.840.10008.5.1.4.1.1.2\0"}, "A900"),
    ],
)
def test_uids_of_a_command_that_are_none_are_answered_with_a_status(receiving, talking, data_set, changed, status):
    send(talking, store(7, changed), data_set)
    assert talking.status() == (status if status == "aborted" else f"{status} to 7")
    if status == "aborted":
        return
    (record,) = receiving.quarantined()
    assert receiving.store.absolute(record.file).read_bytes().endswith(data_set)
    assert receiving.store.absolute(record.file).read_bytes()[128:132] == b"DICM"
    assert "Muster" not in record.reason
    assert receiving.index.studies() == ()
    send(talking, store(8), data_set)
    assert talking.status() == "0000 to 8"
    assert talking.release() == "released"


@pytest.mark.parametrize("padding", [b"", b"\0", b" ", b"\0\0\0"])
def test_padding_of_uids_does_not_count(receiving, talking, data_set, padding):
    send(talking, store(7, {INSTANCE: b"1.2.3.4.1" + padding, CLASS: MR.rstrip(b"\0") + padding}), data_set)
    assert talking.status() == "0000 to 7"
    assert receiving.index.study("1.2.3").instance_count == 1


@pytest.mark.parametrize("priority", [None, number(9), b"", b"\0\0\0\0"])
def test_a_priority_that_is_missing_or_none_changes_nothing(talking, data_set, priority):
    send(talking, store(7, {PRIORITY: priority}), data_set)
    assert talking.status() == "0000 to 7"


@pytest.mark.parametrize("length", [0, 1, 2**32 - 1])
def test_the_group_length_of_a_command_is_not_believed(talking, data_set, length):
    talking.say(talking.fragment(COMMAND | LAST, talking.command(store(), group_length=length)))
    talking.say(talking.fragment(DATA | LAST, data_set))
    assert talking.status() == "0000 to 7"


@pytest.mark.parametrize("field", [0x0010, 0x0020, 0x0021, 0x0100, 0x0110, 0x0130, 0x0140, 0x7777])
def test_an_operation_that_is_not_served_is_answered_and_its_data_set_consumed(receiving, talking, data_set, field):
    send(talking, store(7, {FIELD: number(field)}), data_set)
    assert talking.status() == "0211 to 7"
    send(talking, store(8, {FIELD: number(field), DATA_SET_TYPE: number(0x0101)}))
    assert talking.status() == "0211 to 8"
    send(talking, ECHO)
    assert talking.status() == "0000 to 9"
    assert receiving.quarantined() == ()


def test_a_store_that_says_that_it_has_no_data_set_is_not_understood(talking):
    send(talking, store(7, {DATA_SET_TYPE: number(0x0101)}))
    assert talking.status() == "C000 to 7"


@pytest.mark.parametrize(
    ("sop_class", "status"), [(VERIFICATION, "0000"), (None, "0000"), (MR, "0122"), (b"Muster^Erika", "0122")]
)
def test_an_echo_is_answered(talking, sop_class, status):
    echo = {tag: value for tag, value in (ECHO | {CLASS: sop_class}).items() if value is not None}
    send(talking, echo, context=3)
    assert talking.status() == f"{status} to 9"


def test_an_echo_that_announces_a_data_set_is_answered(talking):
    send(talking, ECHO | {DATA_SET_TYPE: number(1)})
    assert talking.status() == "0000 to 9"


def test_a_cancel_has_no_answer_and_ends_nothing(talking):
    send(talking, {FIELD: number(0x0FFF), ANSWERED: number(7), DATA_SET_TYPE: number(0x0101)})
    send(talking, ECHO)
    assert talking.status() == "0000 to 9"


def test_fragments_of_one_byte_and_several_messages_in_one_pdu_are_put_together(talking, data_set):
    command = talking.command(store())
    for byte in command[:-1]:
        talking.say(talking.fragment(COMMAND, bytes([byte])))
    echo = talking.fragment(COMMAND | LAST, talking.command(ECHO))
    talking.say(talking.fragment(COMMAND | LAST, command[-1:]), talking.fragment(DATA | LAST, data_set), echo)
    assert talking.status() == "0000 to 7"
    assert talking.status() == "0000 to 9"


# --- nobody could answer


@pytest.mark.parametrize(
    "command",
    [
        store(7, {FIELD: None}),
        store(7, {DATA_SET_TYPE: None}),
        store(7, {MESSAGE: None}),
        store(7, {FIELD: b"\1"}),
        store(7, {FIELD: number(0x8001)}),
        {},
    ],
    ids=["no field", "no data set type", "no message", "half a field", "a response", "nothing"],
)
def test_a_command_that_nobody_can_answer_ends_the_association(receiving, talking, command, caplog):
    send(talking, command)
    assert talking.answer() == "aborted 2 0"
    assert talking.answer() == "closed"


@pytest.mark.parametrize("content", [b"\0\0\0", b"\0\0\2\0\xff\xff\xff\xff", b"\x08\0\x18\0\2\0\0\x001."])
def test_bytes_that_are_no_command_end_the_association(talking, content):
    talking.say(talking.fragment(COMMAND | LAST, content))
    assert talking.answer() == "aborted 2 0"


def say_for_ever(talking, fragment: bytes) -> None:
    while True:
        talking.say(fragment)


def test_a_command_without_end_ends_the_association_and_is_not_kept(talking):
    endless = talking.fragment(COMMAND, b"\0\0\0\x99" * 4000)
    tracemalloc.start()
    with pytest.raises(ConnectionError):
        say_for_ever(talking, endless)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert talking.status() in ("aborted", "closed")
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("fragments", "context"),
    [
        ([(DATA | LAST, b"a data set")], 1),
        ([(COMMAND | LAST, "store"), (COMMAND | LAST, "store")], 1),
        ([(COMMAND | LAST, "store")], 99),
        ([(COMMAND | LAST, "store")], 0),
    ],
    ids=["data without command", "command inside data", "foreign context", "impossible context"],
)
def test_fragments_out_of_order_end_the_association(talking, fragments, context):
    for control, content in fragments:
        body = talking.command(store()) if content == "store" else content
        talking.say(talking.fragment(control, body, context))
    assert talking.answer() == "aborted 2 0"
