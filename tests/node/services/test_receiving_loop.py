"""What senders may do with fragments, contexts and messages: everything is stored as it came."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dsutils import split_dataset

COMMAND, LAST = 1, 2
VERIFICATION = b"1.2.840.10008.1.1\0"
ECHO = {0x0002: VERIFICATION, 0x0100: b"\x30\0", 0x0110: b"\x63\0", 0x0800: b"\1\1"}


def data_set_of(path: Path) -> bytes:
    return path.read_bytes()[split_dataset(path)[1] :]


def command(scanner, number: int) -> bytes:
    elements = {0x0002: scanner.MR + b"\0", 0x0100: b"\1\0", 0x0700: b"\0\0", 0x0800: b"\1\0"}
    uid = f"1.2.3.4.{number}".encode()
    return scanner.command(elements | {0x0110: number.to_bytes(2, "little"), 0x1000: uid + b"\0" * (len(uid) % 2)})


def stored(receiving) -> dict[str, bytes]:
    """Data sets as they lie on the disk, by SOP Instance UID."""
    return {
        record.header.sop_instance_uid: data_set_of(receiving.store.absolute(record.file))
        for record in receiving.index.instances("1.2.3")
    }


@pytest.fixture
def sender(receiving, scanner):
    connected = scanner(receiving.port)
    assert connected.associate(contexts=2) == "accepted"
    return connected


def test_fragments_of_one_byte_in_pdus_of_one_fragment(receiving, sender, make_image):
    data_set = data_set_of(make_image(1, pixels=64))
    for byte in command(sender, 1)[:-1]:
        sender.say(sender.fragment(COMMAND, bytes([byte])))
    sender.say(sender.fragment(COMMAND | LAST, command(sender, 1)[-1:]))
    for byte in data_set:
        sender.say(sender.fragment(0, bytes([byte])))
    sender.say(sender.fragment(LAST, b""))
    assert sender.status() == "0000 to 1"
    assert stored(receiving) == {"1.2.3.4.1": data_set}


def test_fragments_of_one_byte_in_one_pdu_that_comes_byte_by_byte(receiving, sender, make_image):
    data_set = data_set_of(make_image(1, pixels=64))
    pieces = [sender.fragment(COMMAND | LAST, command(sender, 1))]
    pieces += [sender.fragment(0, bytes([byte])) for byte in data_set] + [sender.fragment(LAST, b"")]
    body = b"".join(pieces)
    for byte in b"\x04\0" + len(body).to_bytes(4, "big") + body:
        sender.send(bytes([byte]))
    assert sender.status() == "0000 to 1"
    assert stored(receiving) == {"1.2.3.4.1": data_set}


def test_twenty_objects_without_waiting_and_echoes_between_them(receiving, sender, make_image):
    expected = {f"1.2.3.4.{number}": data_set_of(make_image(number)) for number in range(1, 21)}
    echo = sender.fragment(COMMAND | LAST, sender.command(ECHO), context=3)
    for number, data_set in enumerate(expected.values(), start=1):
        sender.say(sender.fragment(COMMAND | LAST, command(sender, number)))
        sender.say(sender.fragment(LAST, data_set), echo if number % 5 == 0 else b"")
    answers = []
    for number in range(1, 21):
        answers += [f"0000 to {number}"] + (["0000 to 99"] if number % 5 == 0 else [])
    assert [sender.status() for _ in answers] == answers
    assert stored(receiving) == expected


def test_a_command_and_its_data_set_in_one_fragment_each_of_one_pdu_and_the_next_behind_them(
    receiving, sender, make_image
):
    expected = {f"1.2.3.4.{number}": data_set_of(make_image(number)) for number in (1, 2)}
    sender.say(
        *(
            fragment
            for number, data_set in enumerate(expected.values(), start=1)
            for fragment in (
                sender.fragment(COMMAND | LAST, command(sender, number)),
                sender.fragment(LAST, data_set),
            )
        )
    )
    assert [sender.status(), sender.status()] == ["0000 to 1", "0000 to 2"]
    assert stored(receiving) == expected


def test_the_last_fragment_may_be_empty_and_a_pdu_without_fragments_is_passed_over(receiving, sender, make_image):
    data_set = data_set_of(make_image(1))
    sender.say(sender.fragment(COMMAND | LAST, command(sender, 1)))
    sender.send(b"\x04\0\0\0\0\0")
    sender.say(sender.fragment(0, data_set))
    sender.say(sender.fragment(LAST, b""))
    assert sender.status() == "0000 to 1"
    assert stored(receiving) == {"1.2.3.4.1": data_set}


def test_128_contexts_are_answered_and_objects_come_in_the_first(receiving, scanner, make_image):
    sender, data_set = scanner(receiving.port), data_set_of(make_image(1))
    assert sender.associate(contexts=128, syntaxes=10) == "accepted"
    sender.say(sender.fragment(COMMAND | LAST, command(sender, 1)), sender.fragment(LAST, data_set))
    assert sender.status() == "0000 to 1"
    assert stored(receiving) == {"1.2.3.4.1": data_set}


@pytest.mark.parametrize("length", ["defined", "undefined"])
def test_sequences_of_explicit_un_are_stored_as_they_came(receiving, sender, make_image, length):
    """PS3.5 6.2.2: a sequence whose VR was not known on the way is UN, its items implicit."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = "T-D4500", "SRT"
    path = make_image(1, AnatomicRegionSequence=[item])
    head, separator, tail = path.read_bytes().partition(b"\x08\0\x18\x22SQ\0\0")
    content = b"\x08\0\0\1\x08\0\0\0T-D4500 \x08\0\2\1\4\0\0\0SRT "
    implicit = b"\xfe\xff\0\xe0" + len(content).to_bytes(4, "little") + content
    assert separator
    rest = tail[4 + int.from_bytes(tail[:4], "little") :]
    if length == "defined":
        unknown = len(implicit).to_bytes(4, "little") + implicit
    else:
        unknown = b"\xff\xff\xff\xff" + implicit + b"\xfe\xff\xdd\xe0\0\0\0\0"
    path.write_bytes(head + b"\x08\0\x18\x22UN\0\0" + unknown + rest)
    data_set = data_set_of(path)
    sender.say(sender.fragment(COMMAND | LAST, command(sender, 1)), sender.fragment(LAST, data_set))
    assert sender.status() == "0000 to 1"
    assert stored(receiving) == {"1.2.3.4.1": data_set}


def test_an_object_larger_than_the_buffer_in_pdus_larger_than_the_maximum_that_was_named(receiving, sender, make_image):
    data_set = data_set_of(make_image(1, pixels=1_500_000))
    sender.say(sender.fragment(COMMAND | LAST, command(sender, 1)))
    for start in range(0, len(data_set), 900_000):
        last = LAST if start + 900_000 >= len(data_set) else 0
        sender.say(sender.fragment(last, data_set[start : start + 900_000]))
    assert sender.status() == "0000 to 1"
    assert stored(receiving) == {"1.2.3.4.1": data_set}


def test_a_release_inside_a_data_set_is_answered_and_leaves_nothing(receiving, sender, make_image):
    sender.say(sender.fragment(COMMAND | LAST, command(sender, 1)))
    sender.say(sender.fragment(0, data_set_of(make_image(1))[:500]))
    assert sender.release() == "released"
    assert sender.answer() == "closed"
    assert list(receiving.store.spool.iterdir()) == []
    assert receiving.index.studies() == ()


def test_the_stored_file_says_its_transfer_syntax(receiving, sender, make_image):
    from pydicom import dcmread

    sender.say(sender.fragment(COMMAND | LAST, command(sender, 1)), sender.fragment(LAST, data_set_of(make_image(1))))
    assert sender.status() == "0000 to 1"
    (record,) = receiving.index.instances("1.2.3")
    meta = dcmread(receiving.store.absolute(record.file)).file_meta
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) == ("1.2.3.4.1", sender.MR.decode())
