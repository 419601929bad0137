"""One study: what is known of it, its results as files, its pictures, and what is ordered and said of it."""

from __future__ import annotations

import io
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from node.operations.study import of_study
from node.page.study import packed
from node.recognition.record import RoleRefusal, to_json
from storage.readings import ReaderVerdict, Readings
from storage.records import DeliveryState, StudyState

from ...storage.house import a_file
from ..results.conftest import PREDICTION, STUDY_UID, VENDORS

PATH = f"/studies/{STUDY_UID}"
T2WI = f"{STUDY_UID}.5"


@pytest.fixture(scope="module")
def page(page_with, siemens, tmp_path_factory):
    """With all that is made of a study."""
    with page_with(tmp_path_factory.mktemp("page"), siemens) as found:
        yield found


@pytest.fixture(scope="module")
def text(olga):
    return olga.get(PATH).text


@pytest.fixture
def own(page_with, siemens, tmp_path):
    """A page of its own with few results, of which a test changes the study; with its operator and its viewer."""
    with page_with(tmp_path, siemens, "report", "segmentation-t2wi") as found:
        yield found, found.signed_in("olga"), found.signed_in("viktor")


def test_it_says_whose_it_is_in_the_script_of_the_scanner(text):
    assert VENDORS["siemens"].patient_name_unicode.partition("=")[2] in text
    assert "P-0815" in text
    assert "A-4711" in text


def test_every_series_has_its_reason(text, siemens):
    for verdict in siemens.results.plan.verdicts:
        assert verdict.description in text
        assert verdict.reason in text
    assert "echo train length is not stated" in text


def test_all_eight_probabilities_and_what_moved_the_main_one_are_there(text):
    shown = re.findall(r"</meter> (0\.\d\d)</td>", text)
    assert shown == [f"{it.probability:.2f}" for it in (PREDICTION.main, *PREDICTION.others)]
    assert text.count("<td>0.41</td>") == 8
    assert "outside" in text
    assert "+0.620" in text


def test_measurements_name_their_sequence(text, siemens):
    (result,) = [it for it in siemens.results.sequences if it.sequence == "T2WI"]
    volume = f"{result.volume_ml:.3g}"
    assert re.search(rf"<td>T2WI</td><td>Volume</td><td>{volume} ", text)


def test_deliveries_are_there_by_destination_and_object(text, siemens):
    report = siemens.first("report").sop_instance_uid
    rows = [row for row in re.split("<tr>", text) if "<td>report</td>" in row]
    assert [re.search(r"<td>(\w+)</td>", row).group(1) for row in rows] == ["PACS", "archive"]
    assert all("1 to be sent" in row for row in rows)
    objects = [part for part in text.split("<details>") if "report, 1 object" in part]
    assert [part.partition(">")[2].partition(":")[0] for part in objects] == ["PACS", "archive"]
    assert all(f"<code>{report}</code> to be sent" in part for part in objects)


def test_what_was_not_analysed_is_said_once(page, olga, siemens):
    """The report says so; the record does where there is no report."""
    refused = replace(siemens.results.plan, refusals=(RoleRefusal("DWI", "E-NO-DWI", "no series can serve as DWI"),))
    page.house.index.keep_verdict(STUDY_UID, 1, to_json(refused))
    assert "no series can serve as DWI" not in olga.get(PATH).text
    page.house.index.keep_verdict(STUDY_UID, 1, to_json(siemens.results.plan))
    page.house.receive(a_file(1, 1, "1.2.3"))
    page.house.index.move("1.2.3", 1, StudyState.REFUSED)
    page.house.index.keep_verdict("1.2.3", 1, to_json(replace(refused, study_instance_uid="1.2.3")))
    assert olga.get("/studies/1.2.3").text.count("no series can serve as DWI") == 1


def test_what_happened_stands_in_its_order(text):
    assert text.index("first image received") < text.index("last image received")


def test_a_study_that_is_not_here_is_said_to_be_not_here(olga):
    answer = olga.get("/studies/9.9.9")
    assert answer.status_code == 404
    assert "no study of this node" in answer.text


def test_the_live_part_is_what_the_page_says_of_it(olga):
    live = olga.get(f"{PATH}/live")
    assert live.status_code == 200
    assert "first image received" in live.text
    assert live.text.strip() in olga.get(PATH).text


def test_results_come_as_files_one_by_one_and_all_together(olga, siemens):
    report = siemens.first("report")
    one = olga.get(f"{PATH}/results/{report.sop_instance_uid}")
    assert one.content == report.path.read_bytes()
    assert f"report-{report.sop_instance_uid}.dcm" in one.headers["Content-Disposition"]
    archive = zipfile.ZipFile(io.BytesIO(olga.get(f"{PATH}/results.zip").content))
    assert len(archive.namelist()) == len(siemens.objects)
    assert archive.read(f"report/{report.sop_instance_uid}.dcm") == report.path.read_bytes()


def test_an_archive_waits_for_a_removal_and_a_removal_for_the_archive(own):
    found, olga, _ = own
    locks = found.house.files.locks
    with ThreadPoolExecutor(1) as threads:
        with locks.alone(STUDY_UID) as alone:
            assert alone
            asked = threads.submit(olga.get, f"{PATH}/results.zip")
            with pytest.raises(TimeoutError):
                asked.result(0.3)
        assert asked.result(10).status_code == 200
    results = of_study(found.house.engine, found.house.files, found.settings.root, STUDY_UID).results
    pieces = packed(lambda: results, found.house.files, STUDY_UID)
    next(pieces)
    with locks.alone(STUDY_UID) as alone:
        assert not alone
    pieces.close()
    with locks.alone(STUDY_UID) as alone:
        assert alone


def test_received_images_are_not_among_the_results(olga):
    assert olga.get(f"{PATH}/results/{T2WI}.1").status_code == 404


def test_a_picture_in_the_browser_equals_the_stored_pixels_after_its_window(olga, siemens):
    (volume,) = olga.get(f"{PATH}/series/{T2WI}/volumes").json()["volumes"]
    (stack,) = [it for it in siemens.results.plan.stacks if it.series_instance_uid == T2WI]
    acquired = volume["planes"][0]
    assert (acquired["acquired"], acquired["orientation"]) == (True, "axial")
    answer = olga.get(f"{PATH}/series/{T2WI}/volumes/0/axial/3.png?centre=500.3&width=701")
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    stored = dcmread(stack.frames[3].path).pixel_array
    assert np.array_equal(shown, np.rint(np.clip((stored - 500.3) / 701 + 0.5, 0, 1) * 255))


def test_a_picture_that_the_browser_has_is_not_sent_again(olga):
    path = f"{PATH}/series/{T2WI}/volumes/0/axial/3.png?centre=500&width=700"
    tag = olga.get(path).headers["ETag"]
    assert olga.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_contours_and_presets_are_answered(olga, siemens):
    segmentation = siemens.first("segmentation-t2wi").sop_instance_uid
    outline = olga.get(f"{PATH}/contours/{segmentation}/axial").json()
    assert all(it["path"].startswith("M") for it in outline["contours"])
    presets = olga.get(f"{PATH}/series/{T2WI}/volumes/0/presets").json()["presets"]
    assert [it["name"] for it in presets] == ["automatic", "narrow", "stored", "full"]


def test_analyse_again_begins_the_next_revision_and_the_answer_says_so(own):
    found, olga, _ = own
    answer = olga.post(f"{PATH}/rerun", **{"HX-Request": "true"})
    assert "Revision 2" in answer.text
    assert answer.headers["HX-Trigger"] == "changed"
    study = found.house.index.study(STUDY_UID)
    assert (study.revision, study.state) == (2, StudyState.RECEIVING)
    refused = olga.post(f"{PATH}/rerun")
    assert refused.status_code == 409
    assert "has not ended" in refused.text or "RECEIVING" in refused.text


def test_a_study_in_the_queue_is_cancelled_with_who_and_why(own):
    found, olga, _ = own
    olga.post(f"{PATH}/rerun")
    found.house.index.move(STUDY_UID, 2, StudyState.QUEUED)
    assert "/cancel" in olga.get(PATH).text
    assert "is cancelled" in olga.post(f"{PATH}/cancel", {"reason": "wrong patient"}).text
    assert found.house.index.study(STUDY_UID).reason == "cancelled by olga: wrong patient"


def test_results_are_sent_again_also_those_that_have_arrived(own):
    found, olga, _ = own
    deliveries = found.house.deliveries
    sent = deliveries.claim("archive", "us", found.house.at(0), found.house.at(0), 10_000)
    deliveries.stored({it.identifier: "" for it in sent}, found.house.at(0))
    stored = f"{len(sent)} stored"
    assert stored in olga.get("/").text
    nothing = olga.post(f"{PATH}/resend")
    assert "0 of" in nothing.text
    with_destination = olga.post(f"{PATH}/resend", {"destination": "elsewhere"})
    assert (with_destination.status_code, "no destination" in with_destination.text) == (409, True)
    olga.post(f"{PATH}/resend", {"delivered_too": "true"})
    assert {it.state for it in deliveries.records(STUDY_UID)} == {DeliveryState.QUEUED}


def test_a_reader_says_what_the_results_are_worth_and_it_is_kept_with_who_and_which_revision(own):
    found, olga, viktor = own
    form = {"revision": "1", "verdict": "REJECTED", "comment": " the contour takes in the bladder "}
    assert "is kept" in viktor.post(f"{PATH}/reading", form).text
    olga.post(f"{PATH}/reading", {"revision": "1", "verdict": "ACCEPTED"})
    second, first = Readings(found.house.engine).of_study(STUDY_UID)
    assert (first.reader, first.verdict, first.revision) == ("viktor", ReaderVerdict.REJECTED, 1)
    assert first.comment == "the contour takes in the bladder"
    assert (second.reader, second.verdict) == ("olga", ReaderVerdict.ACCEPTED)
    assert "the contour takes in the bladder" in viktor.get(PATH).text


def test_a_verdict_is_on_what_was_looked_at(own, siemens):
    found, olga, _ = own
    olga.post(f"{PATH}/rerun")
    text = olga.get(PATH).text
    assert "The results on this page are of revision 1; revision 2 has none." in text
    assert 'name="revision" value="1"' in text
    unseen = olga.post(f"{PATH}/reading", {"revision": "2", "verdict": "ACCEPTED"})
    assert unseen.status_code == 409
    assert "look at it again" in unseen.text
    assert olga.post(f"{PATH}/reading", {"revision": "1", "verdict": "COMMENT"}).status_code == 409
    assert olga.post(f"{PATH}/reading", {"revision": "1", "verdict": "WONDERFUL"}).status_code == 400
    assert Readings(found.house.engine).of_study(STUDY_UID) == ()
    assert "is kept" in olga.post(f"{PATH}/reading", {"revision": "1", "verdict": "ACCEPTED"}).text
    found.house.make(siemens.first("report").path.read_bytes(), "report", revision=2)
    assert "The results on this page are of" not in olga.get(PATH).text
    assert olga.post(f"{PATH}/reading", {"revision": "1", "verdict": "REJECTED"}).status_code == 409


def test_where_there_are_no_results_there_is_nothing_to_accept(page, olga):
    page.house.receive(a_file(1, 1, "1.2.7"))
    said = {"revision": "1", "verdict": "ACCEPTED", "comment": "good"}
    refused = olga.post("/studies/1.2.7/reading", said)
    assert (refused.status_code, "no results" in refused.text) == (409, True)
    assert "is kept" in olga.post("/studies/1.2.7/reading", said | {"verdict": "COMMENT"}).text


def test_what_is_in_quarantine_is_released_or_discarded_with_who_and_why(own, siemens):
    found, olga, _ = own
    good = (
        siemens.results.plan.stacks[0].frames[0].path.read_bytes().replace(f"{T2WI}.8".encode(), f"{T2WI}.9".encode())
    )
    for data in (good, b"broken"):
        file = found.house.files.quarantine(data, "it was said to be broken")
        found.house.index.keep_quarantine(file, "it was said to be broken", "SCANNER", found.house.at(0))
    text = olga.get("/quarantine").text
    first, second = sorted(map(int, re.findall(r'action="/quarantine/(\d+)/release"', text)))
    assert "NEW" in olga.post(f"/quarantine/{first}/release").text
    assert olga.post(f"/quarantine/{second}/discard").status_code == 409  # without a reason
    assert olga.post(f"/quarantine/{second}/discard", {"reason": "noise"}).status_code == 200
    assert "discarded by olga: noise" in olga.get("/quarantine?ended=true").text
    assert "0 are held" in olga.get("/quarantine").text
