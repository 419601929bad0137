"""The pages of the node: whether remotes answer, what waits and why, alerts, models, and the configuration."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from types import SimpleNamespace

import pytest

from models.manifest import digest, load_manifest
from node.clock import utc_now
from node.codes import Alert
from node.delivery.worker import DeliveryWorker
from node.operations.configured import configured
from node.settings import RemoteSettings, Settings
from storage.alerts import Alerts
from storage.echoes import Echo, Echoes
from storage.records import StudyState

from ...parts.processes import free_port
from ...parts.storage_scp import running_storage_scp
from ...storage.house import a_file
from .conftest import NOW, running_page


def remote(name, **values):
    return RemoteSettings(name=name, ae_title=name.upper(), timeout_s=5, **values)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node with a remote that answers, one that is away and gets results, and one that only calls."""
    with running_storage_scp() as scp:
        remotes = (
            remote("pacs", host="127.0.0.1", port=scp.port),
            remote("away", host="127.0.0.1", port=free_port(), receives_results=True, first_retry_s=600),
            remote("scanner", may_store=True),
        )
        with running_page(tmp_path_factory.mktemp("node"), {"remotes": remotes}) as page:
            yield SimpleNamespace(page=page, scp=scp, olga=page.signed_in("olga"), viktor=page.signed_in("viktor"))


def row(browser, path, name):
    """The text of the row of a table that begins with a name."""
    for found in re.findall("<tr.*?</tr>", browser.get(path).text, re.DOTALL):
        text = " ".join(html.unescape(re.sub("<[^>]*>", " ", found)).split())
        if text.startswith(name):
            return text
    raise AssertionError(f"{path}: no row of {name}")


# --- remotes


def test_an_operator_asks_a_remote_and_the_answer_stays_with_who_asked(node):
    assert "never asked" in row(node.viktor, "/node", "pacs")
    answer = node.olga.post("/node/echo", {"remote": "pacs"}, **{"HX-Request": "true"})
    assert "pacs answers" in answer.text
    assert node.scp.echoes == 1
    assert re.search(r"answers \d+ ms .* 1 answer .* olga", row(node.viktor, "/node", "pacs"))


def test_of_a_remote_that_is_away_it_is_said_why_and_when_it_was_there_last(node):
    Echoes(node.page.house.engine).add(Echo("away", NOW, "", True, "", 12.0))
    assert "away does not answer" in node.olga.post("/node/echo", {"remote": "away"}, **{"HX-Request": "true"}).text
    text = row(node.olga, "/node", "away AWAY")
    assert re.search(r"no answer .*\d+ ms .* 2026-01-02 03:04:05 2 answers", text)
    assert "by schedule" in text


def test_a_remote_that_only_calls_is_not_asked(node):
    assert "it calls, and is not called" in row(node.olga, "/node", "scanner")
    refused = node.olga.post("/node/echo", {"remote": "scanner"})
    assert refused.status_code == 409
    assert "no [[remotes]]" in html.unescape(refused.text)


def test_a_viewer_is_not_offered_to_ask(node):
    assert "/node/echo" in node.olga.get("/node").text
    assert "/node/echo" not in node.viktor.get("/node").text


# --- queues


def test_what_waits_is_counted_for_each_step_with_the_age_of_the_first(node):
    house = node.page.house
    house.receive(a_file(1, 1, "1.2.40"))
    house.receive(a_file(1, 1, "1.2.41"))
    house.index.move("1.2.41", 1, StudyState.QUEUED)
    days = (utc_now() - NOW).days
    assert f"images 1 2026-01-02 03:04:05 {days} d" in row(node.viktor, "/node", "studies that receive")
    assert f"analysis 1 2026-01-02 03:04:05 {days} d" in row(node.viktor, "/node", "studies that wait for")


def test_a_destination_that_is_away_rests_with_its_reason_and_after_a_success_no_more(node):
    house = node.page.house
    house.receive(a_file(1, 1, "1.2.42"))
    house.make(a_file(1, 9, "1.2.42", Manufacturer="rectal-node"), "report", ["away"])
    away = node.page.settings.remotes[1]
    worker = DeliveryWorker(away, house.deliveries, house.files)
    worker.deliver_due()
    assert re.search(
        r"away 1 to be sent 1 rests until 20[-\d]+ [:\d]+ 1 round in vain .*connection",
        row(node.viktor, "/node", "away"),
    )
    assert "results to be sent away 1 2026-01-02" in row(node.viktor, "/node", "results to be sent")
    with running_storage_scp(port=away.port):
        DeliveryWorker(away, house.deliveries, house.files).start()  # of a process that begins anew
        wait_for(lambda: "1 stored" in row(node.viktor, "/node", "away"))
    assert "rests" not in row(node.viktor, "/node", "away")


def wait_for(true):
    deadline = utc_now() + timedelta(seconds=30)
    while not true():
        assert utc_now() < deadline


# --- alerts


@pytest.fixture(scope="module")
def alerts(node):
    found = Alerts(node.page.house.engine)
    found.raise_(Alert.STUDY_FAILED, "1.2.40", "<b>the disk was full</b>")
    found.raise_(Alert.DISK_LOW, "/data", "1.5 GB are free")
    found.raise_(Alert.NOT_COMMITTED, "pacs", "3 results")
    found.clear(Alert.NOT_COMMITTED, "pacs")
    return {it.code: it.number for it in found.all()}


def test_alerts_are_there_open_and_past_with_what_to_do_and_where_more_is_said(node, alerts):
    text = node.viktor.get("/node/alerts").text
    opened, _, past = text.partition(">Past<")
    assert '<a href="/studies/1.2.40">' in opened
    assert "&lt;b&gt;the disk was full" in opened
    assert html.escape(Alert.DISK_LOW.advice, quote=False) in html.unescape(opened)
    assert "E-NOT-COMMITTED" not in opened
    assert "E-NOT-COMMITTED" in past
    assert '<a href="/node/codes#E-DISK-LOW">' in opened
    codes = node.viktor.get("/node/codes").text
    assert 'id="E-DISK-LOW"' in codes
    assert 'id="E-PROTOCOL"' in codes


def test_who_acknowledges_an_alert_stands_beside_it(node, alerts):
    path = f"/node/alerts/{alerts[Alert.DISK_LOW]}/acknowledge"
    assert path not in node.viktor.get("/node/alerts").text
    assert path in node.olga.get("/node/alerts").text
    assert "is acknowledged by olga" in node.olga.post(path, **{"HX-Request": "true"}).text
    assert path not in node.olga.get("/node/alerts").text
    assert "olga" in row(node.viktor, "/node/alerts", str(alerts[Alert.DISK_LOW]))
    assert node.olga.post("/node/alerts/999/acknowledge").status_code == 409


# --- models and configuration


def test_every_model_in_use_says_what_it_is_and_that_it_was_trained_on_simulated_studies(node):
    text = node.viktor.get("/node/models").text
    for folder in Settings().analysis.bundles:
        manifest = load_manifest(folder)
        assert f"{manifest.name} {manifest.version}" in text
        assert digest(manifest) in text
    assert text.count("trained on simulated studies") >= 3
    assert "openvino bfloat16" in text
    assert "flip_deg" in text
    assert "validation_dice" in text


def test_a_bundle_that_cannot_be_read_is_named_with_its_fault(tmp_path):
    (tmp_path / "gone").mkdir()
    with running_page(tmp_path, {"analysis": {"segmentation": tmp_path / "gone"}}) as page:
        assert "manifest.json is missing" in page.signed_in("viktor").get("/node/models").text


def test_the_configuration_is_shown_with_what_was_set(node):
    assert "away set" in row(node.viktor, "/node/configuration", "remotes[away].name")
    assert row(node.viktor, "/node/configuration", "listener.port") == "listener.port 11112 default"


def test_no_secret_of_the_configuration_is_shown():
    settings = Settings.model_validate(
        {
            "database_url": "postgresql+psycopg://node:s3cret-1@db/rectal?password=s3cret-2",
            "alerts": {"webhook": {"url": "https://hooks.example/services/s3cret-3?key=s3cret-4"}},
            "web": {"public_url": "https://mri.example/dicom-web"},
            "remotes": [
                {"name": "web", "ae_title": "WEB", "token_file": "/etc/rectal/token", "username": "node"},
            ],
        }
    )
    found = {it.key: it for it in configured(settings)}
    assert "s3cret" not in str(found)
    assert found["database_url"].value == "postgresql+psycopg://…@db/rectal?…"
    assert found["database_url"].is_hidden
    assert found["alerts.webhook.url"].value == "https://hooks.example/…?…"
    assert found["remotes[web].token_file"].value == "/etc/rectal/token"
    assert found["web.public_url"].value == "https://mri.example/dicom-web"
