"""Scanners: each image of a study is sent again until it is answered with Success, which is noted."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE

from ..parts.dcmtk import run_dcmtk
from ..parts.node import AE_TITLE
from .acknowledged import Acknowledged
from .studies import SentStudy

#: Sends files in one association; gives those that were answered with Success, in this order.
Send = Callable[[Sequence[Path], int], Iterable[Path]]
_SENT = re.compile(r"Sending file: (?P<path>.+)|Received Store Response \((?P<status>[^)]+)\)")


def by_pynetdicom(paths: Sequence[Path], port: int) -> Iterable[Path]:
    """Send in one association of pynetdicom's."""
    ae = AE(ae_title="SCANNER")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 20
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title=AE_TITLE)
    try:
        for path in paths:
            if not association.is_established:
                return
            with suppress(RuntimeError, ValueError):  # the association ended
                if getattr(association.send_c_store(pydicom.dcmread(path)), "Status", None) == 0:
                    yield path
    finally:
        if association.is_established:
            association.release()


def by_dcmtk(paths: Sequence[Path], port: int) -> Iterable[Path]:
    """Send by storescu, which ends at the first image that is not answered with Success."""
    done = run_dcmtk("storescu", "-v", "-aet", "SCANNER", "-aec", AE_TITLE, "127.0.0.1", port, *paths)
    sent = ""
    for found in _SENT.finditer(done.stdout + done.stderr):
        sent = found["path"] or sent
        if found["status"] == "Success":
            yield Path(sent.strip())


@dataclass
class Senders:
    """Sends studies one after another in a thread, whatever becomes of the node meanwhile.

    Attributes:
        port: of the node.
        acknowledged: what was answered with Success.
        repeats: images that were sent again, as nobody had answered.
    """

    port: int
    acknowledged: Acknowledged
    sends: Sequence[Send] = (by_pynetdicom, by_dcmtk)
    repeats: int = 0
    _errors: list[Exception] = field(default_factory=list)

    def send(self, study: SentStudy, seconds: float = 600, way: int = 0) -> None:
        """Send a study until each of its images has been answered with Success; by the `way`-th kind of sender."""
        left, end, send = list(study.paths), time.monotonic() + seconds, self.sends[way % len(self.sends)]
        while left:
            assert time.monotonic() < end, f"{study.uid}: {len(left)} images not acknowledged in {seconds:.0f} s"
            for path in send(tuple(left), self.port):
                self.acknowledged.note(study.sop_instance_uids[path], path)
                left.remove(path)
            if left:
                self.repeats += len(left)
                time.sleep(0.1)

    def begin(
        self, studies: Sequence[SentStudy], may_send: Callable[[int], bool] = lambda _number: True
    ) -> threading.Thread:
        """Send them in a thread, the next one once it may be sent; `finish` waits for the thread."""

        def run() -> None:
            try:
                for number, study in enumerate(studies):
                    while not may_send(number):
                        time.sleep(0.05)
                    self.send(study, way=number)
            except Exception as error:  # noqa: BLE001 (raised by `finish`, in the thread of the test)
                self._errors.append(error)

        thread = threading.Thread(target=run, name="senders", daemon=True)
        thread.start()
        return thread

    def finish(self, thread: threading.Thread, seconds: float) -> None:
        """Wait until all is sent.

        Raises:
            whatever ended the thread.
        """
        thread.join(seconds)
        assert not thread.is_alive(), "not everything was sent"
        for error in self._errors:
            raise error
