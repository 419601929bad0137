"""Which studies an association holds, and until when: seen through the storage, as another process sees it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, Association

from storage.database import open_engine
from storage.index import Index
from storage.records import ResultRecord

LISTENER = """
import sys, time
from pathlib import Path
from node.services.listener import Listener
from node.settings import ListenerSettings
from storage.files import ObjectStore
from storage.index import Index
from storage.database import open_engine

root = Path(sys.argv[1])
settings = ListenerSettings(minimum_free_gb=0).model_copy(update={"port": 0})
listener = Listener(settings, (), ObjectStore(root), Index(open_engine(f"sqlite:///{root / 'index.sqlite'}")), 3.0)
listener.start()
print(listener.port, flush=True)
time.sleep(600)
"""


def associate(port: int) -> Association:
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title="RECTALNODE")
    assert association.is_established
    return association


@pytest.fixture
def receiving(start):
    """A listener whose leases end on no day of a test: only the end of an association is seen."""
    return start(lease_s=3600)


def holders(receiving, study: str = "1.2.3") -> int:
    return receiving.index.open_associations(datetime.now(UTC))[study]


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_association_holds_the_studies_that_it_has_stored_into(receiving, make_image):
    association = associate(receiving.port)
    assert holders(receiving) == 0
    association.send_c_store(make_image(1))
    association.send_c_store(make_image(2))
    association.send_c_store(make_image(3, StudyInstanceUID="1.2.4"))
    assert (holders(receiving), holders(receiving, "1.2.4"), holders(receiving, "1.2.5")) == (1, 1, 0)
    association.release()
    wait_until(lambda: holders(receiving) == holders(receiving, "1.2.4") == 0)


@pytest.mark.parametrize("end", ["abort", "connection lost"])
def test_an_association_that_breaks_off_holds_nothing(receiving, make_image, end):
    association = associate(receiving.port)
    association.send_c_store(make_image())
    assert holders(receiving) == 1
    if end == "abort":
        association.abort()
    else:
        association.dul.socket.socket.close()
    wait_until(lambda: holders(receiving) == 0)


def test_each_association_holds_for_itself(receiving, make_image):
    first, second = associate(receiving.port), associate(receiving.port)
    first.send_c_store(make_image(1))
    second.send_c_store(make_image(2))
    assert holders(receiving) == 2
    first.release()
    wait_until(lambda: holders(receiving) == 1)
    second.release()
    wait_until(lambda: holders(receiving) == 0)


def test_an_association_that_only_repeats_what_is_there_holds_too(receiving, make_image):
    """A sender that begins again after a lost connection sends duplicates first, then the rest."""
    first = associate(receiving.port)
    first.send_c_store(make_image(1))
    first.release()
    wait_until(lambda: holders(receiving) == 0)
    second = associate(receiving.port)
    second.send_c_store(make_image(1))
    assert holders(receiving) == 1
    second.release()


def test_our_own_results_hold_nothing_and_images_after_them_do(receiving, make_image):
    own = ResultRecord("1.2.3", 1, "SR", MRImageStorage, "1.2.3.4.7", "1.2.3.9", _file())
    receiving.ledger.record([own], [], datetime.now(UTC))
    association = associate(receiving.port)
    association.send_c_store(make_image(7))
    assert holders(receiving) == 0
    association.send_c_store(make_image(1))
    assert holders(receiving) == 1
    association.release()


def _file():
    from storage.records import StoredFile

    return StoredFile(Path("objects/7.dcm"), "a" * 64, 10)


def test_a_quiet_association_holds_beyond_its_lease(start, make_image):
    receiving = start(lease_s=3)
    association = associate(receiving.port)
    association.send_c_store(make_image())
    end_of_lease = datetime.now(UTC) + timedelta(seconds=3)
    wait_until(lambda: receiving.index.open_associations(end_of_lease)["1.2.3"] == 1)
    association.release()
    wait_until(lambda: holders(receiving) == 0)


def test_stopping_leaves_nothing_held(receiving, make_image):
    association = associate(receiving.port)
    association.send_c_store(make_image())
    receiving.listener.stop(patience_s=0)
    assert holders(receiving) == 0


def test_an_association_that_died_with_its_process_holds_no_longer_than_its_lease(tmp_path, make_image):
    process = subprocess.Popen([sys.executable, "-c", LISTENER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        association = associate(int(process.stdout.readline()))
        assert association.send_c_store(make_image()).Status == 0
        index = Index(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))
        end_of_lease = datetime.now(UTC) + timedelta(seconds=3)
        wait_until(lambda: index.open_associations(end_of_lease)["1.2.3"] == 1)  # it is renewed
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert index.open_associations(datetime.now(UTC) + timedelta(seconds=3.1))["1.2.3"] == 0
    finally:
        process.kill()
        process.wait()
