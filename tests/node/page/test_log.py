"""What people do on the page stands in the log of actions, with whose study it was."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.routing import APIRoute

from node.page.app import page as make_page
from node.page.trail import RECORDED
from node.settings.oidc import OidcSettings
from storage.audit import Audit, AuditAction, AuditSearch
from storage.database import writing

from ...storage.house import a_file
from ..results.conftest import STUDY_UID
from .conftest import PASSWORD
from .test_node import row

OF_STUDY = f"/studies/{STUDY_UID}"


@pytest.fixture(scope="module")
def node(page_with, t2wi, tmp_path_factory):
    """With a study and its report."""
    with page_with(tmp_path_factory.mktemp("log"), t2wi, "report") as found:
        yield found


@pytest.fixture
def done(node):
    """What was done since the test began, the first thing first: what, by whom, whether it succeeded, of what, how."""
    audit, begin = Audit(node.house.engine), Audit(node.house.engine).count(AuditSearch())

    def since():
        found = audit.find(AuditSearch(limit=500))
        return [
            (it.action.value, it.account, it.succeeded, it.study_instance_uid, it.subject, it.detail)
            for it in found[: len(found) - begin][::-1]
        ]

    return since


def test_what_is_told_of_by_a_name_is_a_request_that_there_is(node):
    oidc = OidcSettings(issuer="https://login.example", client_id="node", viewers=("radiologists",))
    web = node.settings.web.model_copy(update={"oidc": oidc})
    app = make_page(node.settings.model_copy(update={"web": web}), node.house.engine, node.house.files)
    # FastAPI keeps the routers that it has included as such.
    routes = [each for it in app.routes for each in getattr(it, "original_router", app).routes]
    assert set(RECORDED) <= {(method, it.path) for it in routes if isinstance(it, APIRoute) for method in it.methods}


def test_an_order_without_a_name_of_its_own_is_told_of_by_its_path(node, done, monkeypatch):
    monkeypatch.delitem(RECORDED, ("POST", "/studies/{study}/resend"))
    node.signed_in("olga").post(f"{OF_STUDY}/resend")
    assert done()[1][:5] == ("ORDERED", "olga", True, STUDY_UID, "/studies/{study}/resend")


def test_a_session_from_sign_in_to_sign_out(node, done):
    olga = node.signed_in("olga")
    for path in (OF_STUDY, f"{OF_STUDY}/live", OF_STUDY, f"{OF_STUDY}/results.zip"):
        assert olga.get(path).status_code == 200
    olga.post(f"{OF_STUDY}/reading", {"revision": "1", "verdict": "ACCEPTED"})
    olga.post(f"{OF_STUDY}/cancel", {"reason": "because"})
    olga.post("/sign-out")
    assert done() == [
        ("SIGNED_IN", "olga", True, "", "", ""),
        ("LOOKED", "olga", True, STUDY_UID, "", ""),
        ("DOWNLOADED", "olga", True, STUDY_UID, "", ""),
        ("VERDICT", "olga", True, STUDY_UID, "", "ACCEPTED"),
        ("CANCELLED", "olga", False, STUDY_UID, "", done()[4][5]),
        ("SIGNED_OUT", "olga", True, "", "", ""),
    ]
    assert "only an analysis that is queued" in done()[4][5]


def test_another_session_has_looked_again_be_it_at_the_pictures_alone(node, t2wi, done):
    series = t2wi.results.plan.stacks[0].series_instance_uid
    viktor = node.signed_in("viktor")
    for _ in range(2):
        assert viktor.get(f"{OF_STUDY}/series/{series}/volumes").status_code == 200
    assert [it[:2] for it in done()] == [("SIGNED_IN", "viktor"), ("LOOKED", "viktor")]
    assert viktor.get("/studies/9.9").status_code == 404
    assert len(done()) == 2


def test_a_refused_sign_in_names_an_account_and_never_what_was_typed_in_its_place(node, done):
    for name, password in (("olga", "a wrong password"), (PASSWORD, "olga")):
        assert node.nobody().post("/sign-in", {"name": name, "password": password}).status_code == 403
    refused = "name and password do not fit"
    assert done() == [("SIGNED_IN", "olga", False, "", "", refused), ("SIGNED_IN", "", False, "", "", refused)]


def test_who_is_not_signed_in_cannot_fill_the_log(node, done):
    nobody = node.nobody()
    for path in ("/sign-in", "/welcome/x"):
        assert nobody.post(path).status_code == 400
    passwords = [{"password": "short", "again": again} for again in ["other"] * 4 + ["short"] * 12]
    for said in passwords:
        assert nobody.post("/welcome/x", said).status_code == 404
    assert [it[:3] for it in done()] == [("SET_PASSWORD", "", False)] * 6


def test_a_look_that_waits_to_be_written_down_keeps_no_other_from_being_seen(node):
    olga, other = node.signed_in("olga"), node.signed_in("viktor")
    other.get(OF_STUDY)  # which is on record
    with ThreadPoolExecutor(1) as pool:
        with writing(node.house.engine).begin():
            waiting = pool.submit(olga.get, OF_STUDY)
            time.sleep(0.5)
            seen = other.get(OF_STUDY).status_code
            still = not waiting.done()
        assert (seen, still, waiting.result().status_code) == (200, True, 200)


def test_an_order_that_an_account_may_not_give_is_told_of(node, done):
    assert node.signed_in("viktor").post(f"{OF_STUDY}/rerun").status_code == 403
    assert done()[1:] == [("REPROCESSED", "viktor", False, STUDY_UID, "", "refused with 403")]


def test_what_cannot_be_put_on_record_is_not_shown(node, caplog):
    olga = node.signed_in("olga")
    with node.house.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO away")
    try:
        with caplog.at_level(logging.ERROR):
            answer = olga.get(OF_STUDY)
    finally:
        with node.house.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_event")
    assert answer.status_code == 503
    assert "record" in answer.text
    assert "cannot be put on record" in caplog.text
    assert olga.get(OF_STUDY).status_code == 200


def test_the_page_finds_by_account_patient_study_action_and_day(node):
    olga = node.signed_in("olga")
    olga.get(OF_STUDY)
    text = row(olga, f"/node/log?patient=xiaodong&account=olga&action={AuditAction.LOOKED}", "20")
    assert "olga look at a study" in text
    assert STUDY_UID in text
    assert "127.0.0.1" in text
    assert "Nothing fits." in olga.get(f"/node/log?study={STUDY_UID}&account=nobody").text
    assert "Nothing fits." in olga.get("/node/log?date_to=2020-01-01").text
    assert "sign-in" in row(olga, "/node/log?date_from=2020-01-01&action=SIGNED_IN", "20")
    assert olga.get("/node/log?date_from=yesterday").status_code == 404


def test_an_upload_is_told_of_with_what_became_of_it_and_a_trial_of_rules_with_why_it_was_none(node, done):
    olga = node.signed_in("olga")
    olga.send("/upload/file", a_file(1, study="1.2.77"), "a name that is kept nowhere")
    olga.post("/rules/stored", {"text": "no TOML"})
    uploaded, tried = done()[1:]
    assert uploaded == ("UPLOADED", "olga", True, "1.2.77", "", "1 NEW")
    assert tried[:5] == ("TRIED_RULES", "olga", False, "", "")
    assert "not valid TOML" in tried[5]
