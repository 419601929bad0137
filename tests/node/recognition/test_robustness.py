"""No file ends recognition, and neither time nor memory grow with pixels."""

from __future__ import annotations

import random
import time
import tracemalloc
from pathlib import Path

from pydicom import dcmread

from models.sequence import Sequence
from node.recognition.plan import recognise
from node.settings import RecognitionSettings

SETTINGS = RecognitionSettings()


def _broken(content: bytes, draw: random.Random) -> bytes:
    """Truncated, with bytes changed, with bytes lost, or with lengths blown up; all within the header."""
    end = min(len(content), 12_000)
    place = draw.randrange(140, end - 20)
    kind = draw.randrange(4)
    if kind == 0:
        return content[:place]
    if kind == 1:
        changed = bytearray(content)
        for _ in range(20):
            changed[draw.randrange(132, end)] = draw.randrange(256)
        return bytes(changed)
    if kind == 2:
        return content[:place] + content[place + draw.randrange(1, 40) :]
    return content[:place] + b"\xff" * 8 + content[place + 8 :]


def _pairs(written):
    return zip(written.paths, written.instances, strict=True)


def test_broken_headers_never_raise(written, tmp_path):
    draw = random.Random(written.study.scanner.name)
    uid = str(written.instances[0].StudyInstanceUID)
    files = []
    for number, path in enumerate(draw.sample(written.paths, 25)):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(_broken(path.read_bytes(), draw))
    plan = recognise(uid, files, SETTINGS)
    assert sum(verdict.instance_count for verdict in plan.verdicts) + len(plan.warnings) > 0


def test_a_file_that_is_no_dicom_is_named(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear colleague")
    (warning,) = recognise("1.2.3", [path], SETTINGS).warnings
    assert warning.startswith("E-DECODE: letter.txt")


def test_malformed_files_of_others_never_raise(shared_data: Path):
    for folder in ("malformed", "charsets", "derived_objects", "transfer_syntaxes"):
        files = [path for path in (shared_data / folder).rglob("*") if path.is_file()]
        assert recognise("", files, SETTINGS).stacks == ()


def test_a_study_of_1000_instances_takes_at_most_twice_as_long_as_pydicom_reads_its_headers(written_by, tmp_path):
    written = written_by("Skyra")
    originals = [(path.read_bytes(), str(instance.SOPInstanceUID).encode()) for path, instance in _pairs(written)]
    copies = [tmp_path / f"{number}.dcm" for number in range(1000)]
    for number, copy in enumerate(copies):
        content, uid = originals[number % len(originals)]
        copy.write_bytes(content.replace(uid, uid[:-4] + b"%04d" % number))
    uid = str(written.instances[0].StudyInstanceUID)
    for _ in range(3):  # one of three: other processes share the cores
        begun = time.process_time()
        for copy in copies:
            list(dcmread(copy, stop_before_pixels=True).iterall())
        read = time.process_time()
        plan = recognise(uid, copies, SETTINGS)
        ratio = (time.process_time() - read) / (read - begun)
        if ratio < 2:
            break
    assert ratio < 2
    assert sum(verdict.instance_count for verdict in plan.verdicts) == 1000


def test_memory_does_not_grow_with_the_pixels(series_of, tmp_path):
    def peak(pixel_bytes: int) -> int:
        files = []
        for number, instance in enumerate(series_of("Skyra", "t2_tse_tra")):
            instance.PixelData = bytes(pixel_bytes)
            files.append(tmp_path / f"{pixel_bytes}-{number}.dcm")
            instance.save_as(files[-1])
        uid = str(instance.StudyInstanceUID)
        recognise(uid, files, SETTINGS)
        tracemalloc.start()
        try:
            plan = recognise(uid, files, SETTINGS)
            assert plan.stack(Sequence.T2WI) is not None
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(8_000_000) < peak(4608) + 1_000_000
