"""Each real part starts, answers, and is what the tests take it for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from node.dicom.scu import echo

from .chromium import OPTIONS
from .dcmtk import running_dcmqrscp
from .processes import ends_of_logs, running, wait_for


def test_orthanc_answers_over_dicom_rest_and_dicomweb(orthanc):
    assert echo("127.0.0.1", orthanc.dicom_port, "ORTHANC", "TEST", 30) == ""
    assert orthanc.get("/system")["DicomAet"] == "ORTHANC"
    assert isinstance(orthanc.dicomweb("/studies?limit=1"), list)


def test_dcmqrscp_has_a_storage_for_each_ae_title_and_knows_no_other(tmp_path: Path):
    with running_dcmqrscp(tmp_path / "archive", ["ONE", "TWO"]) as archive:
        answers = [echo("127.0.0.1", archive.port, title, "TEST", 30) for title in ("ONE", "TWO", "THREE")]
    assert answers[:2] == ["", ""]
    assert "rejected" in answers[2]


def test_postgresql_runs_as_a_user_of_its_own(postgresql: str):
    url = make_url(postgresql)
    with psycopg.connect(host=url.host, port=url.port, user=url.username, dbname=url.database) as connection:
        (folder,) = connection.execute("SHOW data_directory").fetchone()
        (version,) = connection.execute("SHOW server_version_num").fetchone()
    assert int(version) >= 150000
    owner = Path(folder).stat().st_uid
    assert owner != 0
    assert owner == os.geteuid() or os.geteuid() == 0


def test_chromium_shows_a_page(chromium: str, tmp_path: Path):
    (tmp_path / "page.html").write_text("<p id=said></p><script>said.textContent = 6 * 7</script>")
    call = [chromium, *OPTIONS, "--dump-dom", f"--user-data-dir={tmp_path}", (tmp_path / "page.html").as_uri()]
    shown = subprocess.run(call, capture_output=True, text=True, timeout=120, check=True)
    assert '<p id="said">42</p>' in shown.stdout


def test_a_part_that_ends_at_once_says_what_it_has_logged(tmp_path: Path):
    call = ["sh", "-c", "echo no such option; exit 1"]
    with pytest.raises(AssertionError, match="no such option"), running("part", call, tmp_path / "log", bool):
        pass


def test_a_test_that_fails_shows_the_log_of_each_part_that_was_started(tmp_path: Path):
    with running("talker", ["sh", "-c", "echo ready; sleep 60"], tmp_path / "log", (tmp_path / "log").read_text):
        wait_for(lambda: ("log of talker", "ready\n") in ends_of_logs(), "its log", 30)
