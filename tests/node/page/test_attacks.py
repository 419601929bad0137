"""What peers of this node had to mend in 2026 is tried here."""

from __future__ import annotations

import re

import pytest
import requests

from node.page.app import allowed_hosts
from node.settings import WebSettings
from storage.readings import Readings

from ...storage.house import a_file
from ..results.conftest import STUDY_UID
from .conftest import PASSWORD, running_page

SCRIPT = "<script>alert(1)</script>"
ORDERS = (
    f"/studies/{STUDY_UID}/rerun",
    f"/studies/{STUDY_UID}/cancel",
    f"/studies/{STUDY_UID}/resend",
    f"/studies/{STUDY_UID}/reading",
    "/quarantine/1/release",
    "/quarantine/1/discard",
    "/node/echo",
    "/node/alerts/1/acknowledge",
    "/quarantine/1/file",
    "/retrievals/look",
    "/retrievals/fetch",
    "/rules/stored",
    "/rules/file",
    "/upload/file",
    f"/studies/{STUDY_UID}/outlines/file",
    f"/studies/{STUDY_UID}/outlines/1.2",
    "/sign-out",
)


@pytest.mark.parametrize("path", ORDERS)
def test_a_form_of_another_page_is_refused(olga, path):
    """As a browser sends it that another page made send it: with the cookie, with its own origin, without the proof."""
    assert olga.post(path, Origin="https://evil.example").status_code == 403
    assert olga.post(path, Origin="null").status_code == 403
    for proof in ("", "0" * 64):
        answer = olga.post(path, {"csrf_token": proof})
        assert answer.status_code == 403
        assert "another session" in answer.text
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = olga.session.post(olga.url + path, {"csrf_token": olga.proof()}, headers=headers, timeout=60)
    assert answer.status_code == 403


def test_the_proof_of_another_session_is_none(olga, viktor, page):
    other = page.signed_in("olga")
    assert olga.proof() != other.proof()
    path = f"/studies/{STUDY_UID}/reading"
    assert olga.post(path, {"csrf_token": other.proof()}).status_code == 403
    assert olga.post(path, {"csrf_token": viktor.proof()}).status_code == 403


@pytest.mark.parametrize("path", [path for path in ORDERS if not re.search("reading|sign|outlines", path)])
def test_a_viewer_gives_no_orders(viktor, path):
    answer = viktor.post(path, {"reason": "because"})
    assert answer.status_code == 403
    assert "operator" in answer.text


def test_a_viewer_is_offered_no_orders(viktor):
    assert "/rerun" not in viktor.get(f"/studies/{STUDY_UID}").text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", ""])
def test_the_page_is_not_of_this_host_by_another_name(olga, host):
    """A name of another that leads to this address would make its pages those of the same origin."""
    answer = olga.get("/", headers={"Host": host})
    assert answer.status_code == 400


def test_names_of_the_page_are_those_of_the_settings():
    assert allowed_hosts(WebSettings()) == ["localhost", "127.0.0.1"]
    public = WebSettings().model_copy(
        update={"host": "10.0.0.5", "public_url": "https://mri.example/dicom-web", "page_hosts": ("node.example",)}
    )
    assert allowed_hosts(public) == ["10.0.0.5", "mri.example", "node.example"]


def test_the_page_is_called_as_its_settings_and_its_link_say():
    def hosts(**changes):
        return allowed_hosts(WebSettings().model_copy(update=changes))

    assert "127.0.0.2" in hosts(host="127.0.0.2")
    assert "[::1]" in hosts(host="::1")  # as the link has it
    assert hosts(host="FD00:0::5") == ["[fd00::5]"]
    assert "[fd00::6]" in hosts(public_url="https://[fd00::6]:8443/dicom-web")
    assert "node.example" in hosts(page_hosts=("Node.Example",))


def test_a_page_on_ipv6_is_called_by_its_link(tmp_path):
    with running_page(tmp_path, host="::1") as found:
        port = found.url.rpartition(":")[2]
        url = found.settings.web.model_copy(update={"port": int(port)}).address
        assert requests.get(f"{url}/sign-in", timeout=10).status_code == 200


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://]"])
def test_an_origin_that_is_none_is_not_from_here(olga, origin):
    assert olga.post("/sign-out", Origin=origin).status_code == 403


def test_every_text_of_a_study_is_text(tmp_path):
    """Names and descriptions of a study, reasons, comments, account names and what was searched for."""
    with running_page(tmp_path) as found:
        data = a_file(
            1,
            PatientName=f"{SCRIPT}^Erika",
            PatientID=f"'\"{SCRIPT}",
            StudyDescription=SCRIPT,
            SeriesDescription=SCRIPT,
            AccessionNumber="<b>",
            Manufacturer=SCRIPT,
        )
        found.house.receive(data)
        found.house.index.keep_quarantine(found.house.files.quarantine(b"x", SCRIPT), SCRIPT, "<AE>", found.house.at(0))
        found.catch_up()
        olga = found.signed_in("olga")
        olga.post("/studies/1.2.3/reading", {"revision": "1", "verdict": "COMMENT", "comment": SCRIPT})
        assert Readings(found.house.engine).of_study("1.2.3")[0].comment == SCRIPT
        refused = found.nobody().post("/sign-in", {"name": f'"{SCRIPT}', "password": PASSWORD, "next": f'/"{SCRIPT}'})
        texts = [olga.get(path).text for path in ("/", "/studies/1.2.3", "/quarantine")]
        texts += [olga.get("/", params={"patient": f'"{SCRIPT}', "accession": f"'{SCRIPT}"}).text, refused.text]
        texts += [olga.get(f"/studies/{SCRIPT}").text, olga.get(f"/{SCRIPT}").text]
        for text in texts:
            assert SCRIPT not in text
            assert set(re.findall(r"<script[^>]*>", text)) <= {
                '<script src="/static/htmx.min.js" defer>',
                '<script type="module" src="/static/viewer.js">',
                '<script type="module" src="/static/upload.js">',
            }
        assert all("&lt;script&gt;" in text for text in texts[:4])


def test_no_answer_lets_a_script_in_the_document_run(olga, page):
    for answer in (olga.get("/"), olga.get("/studies/9"), page.nobody().get("/sign-in"), olga.get("/static/viewer.js")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert not re.search(r"\son\w+=|\sstyle=|javascript:", answer.text) or answer.url.endswith(".js")


def test_what_was_looked_at_is_kept_by_no_browser(olga):
    assert "no-store" in olga.get(f"/studies/{STUDY_UID}").headers["Cache-Control"]
    assert '"historyCacheSize":0' in olga.get("/").text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/studies/..%2f..%2f..%2fetc%2fpasswd",
        f"/studies/{STUDY_UID}/results/..%2f..%2findex.sqlite",
        f"/studies/{STUDY_UID}/results/%2e%2e",
        f"/studies/{STUDY_UID}/series/..%2f..%2f/volumes",
        f"/studies/{STUDY_UID}/contours/..%2findex.sqlite/axial",
    ],
)
def test_no_path_leads_out_of_what_is_served(olga, path):
    request = requests.Request("GET", olga.url, cookies=olga.session.cookies).prepare()
    request.url = olga.url + path  # as it is written, without being tidied up before it is sent
    answer = requests.Session().send(request, timeout=60, allow_redirects=False)
    assert answer.status_code in (303, 400, 404)
    assert "sqlite" not in answer.text.lower() or "no such" in answer.text


def test_what_is_malformed_is_refused_without_a_traceback(olga):
    for path in ("/?offset=-1", "/?offset=x", "/?state=NONE", f"/studies/{STUDY_UID}/series/1.2/volumes/x/presets"):
        assert olga.get(path).status_code == 400
    assert olga.get("/?date_from=2026-13-01").status_code == 404
    answer = olga.get(f"/studies/{STUDY_UID}/series/1.2/volumes/0/axial/0.png?centre=nan&width=1")
    assert answer.status_code == 404
