"""Operators are told of alerts by real servers of HTTP and SMTP: once, in one message, again after a failure."""

from __future__ import annotations

import json
import socket
import ssl
import time
from datetime import timedelta

import pytest

from node.codes import Alert
from node.maintenance.message import MOST
from node.maintenance.telling import Teller, channels
from node.settings import AlertSettings, MailSettings, WebhookSettings
from storage.alerts import Alerts

from .receivers import running_mails, running_posts


@pytest.fixture
def posts():
    with running_posts() as server:
        yield server


@pytest.fixture
def mails():
    with running_mails() as (server, port):
        yield server, port


def by_webhook(port: int, **settings) -> AlertSettings:
    return AlertSettings(webhook=WebhookSettings(url=f"http://127.0.0.1:{port}/hook?team=mr", timeout_s=5), **settings)


def by_mail(port: int, **mail) -> AlertSettings:
    terms = {"encryption": "none", "recipients": ("anna@h.example", "bert@h.example"), "timeout_s": 5, **mail}
    return AlertSettings(mail=MailSettings(host="127.0.0.1", port=port, sender="node@h.example", **terms))


@pytest.fixture
def teller(engine):
    """The teller of the only channel of settings; a test has it look."""

    def make(settings: AlertSettings, clock=None) -> Teller:
        (channel,) = channels(settings)
        return Teller(channel, settings, "RECTALNODE", engine, *([clock] if clock else []))

    return make


def open_codes(alerts: Alerts) -> dict[str, str]:
    return {it.code: it.text for it in alerts.open()}


def test_a_webhook_is_told_what_since_when_how_often_and_what_to_do(posts, alerts, teller):
    for _ in range(3):
        alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "4 objects failed for good")
    teller(by_webhook(posts.port)).look()
    (body,), (alert,) = posts.bodies, alerts.open()
    assert posts.paths == ["/hook?team=mr"]
    assert (body["node"], body["counts"], body["not_listed"]) == ("RECTALNODE", {"E-DELIVERY-FAILED": 1}, 0)
    assert body["alerts"] == [
        {
            "number": alert.number,
            "code": "E-DELIVERY-FAILED",
            "subject": "PACS",
            "text": "4 objects failed for good",
            "meaning": Alert.DELIVERY_FAILED.meaning,
            "what_to_do": Alert.DELIVERY_FAILED.advice,
            "since": alert.since.isoformat(),
            "last": alert.last.isoformat(),
            "times": 3,
        }
    ]


def test_a_webhook_is_told_the_end_of_what_it_was_told_once(posts, alerts, teller):
    moment = [alerts._clock()]
    telling = teller(by_webhook(posts.port, end_after_s=60), lambda: moment[0])
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "4 objects failed for good")
    telling.look()
    alerts.raise_(Alert.QUARANTINED, "SCANNER", "nobody was told of it")
    for code, subject in ((Alert.DELIVERY_FAILED, "PACS"), (Alert.QUARANTINED, "SCANNER")):
        alerts.clear(code, subject)
    for _ in range(4):
        telling.look()
        moment[0] += timedelta(seconds=31)
    begun, ended = posts.bodies
    (alert,) = (it for it in alerts.all() if it.subject == "PACS")
    assert (begun["ended"], ended["alerts"], ended["counts"]) == ([], [], {})
    assert ended["ended"] == [{**begun["alerts"][0], "ended": alert.cleared_at.isoformat()}]
    assert ended["ended_not_listed"] == 0


def test_an_end_that_was_not_taken_is_told_again(posts, alerts, teller):
    telling = teller(by_webhook(posts.port, end_after_s=0, first_retry_s=0.01, longest_retry_s=0.01))
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    telling.look()
    alerts.clear(Alert.DELIVERY_FAILED, "PACS")
    posts.status = 500
    telling.look()
    assert "1 ends not told" in open_codes(alerts)[Alert.NOT_SENT]
    posts.status = 200
    time.sleep(0.02)
    telling.look()
    assert [len(it["ended"]) for it in posts.bodies] == [0, 1, 1]


def test_a_storm_is_one_message_that_lists_some_and_counts_all(posts, alerts, teller):
    for number in range(MOST + 30):
        alerts.raise_(Alert.QUARANTINED, f"SCANNER{number}", "cut short")
    telling = teller(by_webhook(posts.port))
    for _ in range(5):
        telling.look()
    (body,) = posts.bodies
    assert (len(body["alerts"]), body["not_listed"], body["counts"]) == (MOST, 30, {"E-QUARANTINED": MOST + 30})


def test_the_same_is_told_again_after_its_time_and_not_before(posts, alerts, teller, engine):
    moment = [alerts._clock()]
    telling = teller(by_webhook(posts.port, repeat_after_s=600), lambda: moment[0])
    for minute in range(25):
        alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
        telling.look()
        moment[0] += timedelta(minutes=1)
        assert len(posts.bodies) == minute // 10 + 1
    assert [it["alerts"][0]["times"] for it in posts.bodies] == [1, 11, 21]


def test_what_a_webhook_does_not_take_is_told_again_and_is_an_alert_meanwhile(posts, alerts, teller):
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    telling = teller(by_webhook(posts.port, first_retry_s=0.05, longest_retry_s=0.05))
    for status in (500, 302, 404):
        posts.status = status
        telling.look()
        assert f"webhook: HTTP status {status}" in open_codes(alerts)[Alert.NOT_SENT]
        time.sleep(0.06)
    posts.status = 204
    telling.look()
    assert len(posts.bodies) == 4
    assert set(posts.bodies[-1]["counts"]) == {Alert.DELIVERY_FAILED, Alert.NOT_SENT}
    assert set(open_codes(alerts)) == {Alert.DELIVERY_FAILED}


def test_one_that_does_not_take_messages_is_left_alone_longer_each_time(posts, alerts, teller, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("node.maintenance.telling.time.monotonic", lambda: now[0])
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    telling = teller(by_webhook(posts.port, first_retry_s=10, longest_retry_s=60))
    posts.status = 503
    tried = []
    for second in range(200):
        now[0] = float(second)
        before = len(posts.bodies)
        telling.look()
        tried += [second] * (len(posts.bodies) - before)
    assert tried == [0, 10, 30, 70, 130, 190]


def test_a_webhook_that_drips_its_answer_is_given_up_after_its_time(posts, alerts, teller):
    posts.drips = True
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    settings = AlertSettings(webhook=WebhookSettings(url=f"http://127.0.0.1:{posts.port}/", timeout_s=0.5))
    begun = time.monotonic()
    teller(settings).look()
    assert time.monotonic() - begun < 3
    assert Alert.NOT_SENT in open_codes(alerts)


def test_nobody_there_is_a_reason_and_no_failure_of_the_node(alerts, teller):
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    for settings, said in ((by_webhook(1), "webhook: Connection refused"), (by_mail(1), "mail: Connection refused")):
        teller(settings).look()
        assert said in alerts.open()[0].text


def test_secrets_come_from_files_or_from_the_environment_and_stand_in_no_alert(
    posts, alerts, teller, tmp_path, monkeypatch
):
    (tmp_path / "url").write_text(f"http://127.0.0.1:{posts.port}/T0/secret-path\n")
    (tmp_path / "token").write_text("of-the-file\n")
    monkeypatch.setenv("RECTAL_NODE_WEBHOOK_TOKEN", "of-the-environment")
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    posts.status = 500
    for webhook in (
        WebhookSettings(url_file=tmp_path / "url", token_file=tmp_path / "token"),
        WebhookSettings(url_file=tmp_path / "url"),
    ):
        teller(AlertSettings(webhook=webhook)).look()
    assert posts.paths == ["/T0/secret-path"] * 2
    assert [it["Authorization"] for it in posts.headers] == ["Bearer of-the-file", "Bearer of-the-environment"]
    assert not [it for it in alerts.open() if "secret" in it.text or "of-the" in it.text]


def test_a_webhook_by_https_is_believed_only_with_its_authority(alerts, teller, authority, stranger):
    certificate = authority.issue("127.0.0.1", names=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    with running_posts(context) as posts:
        for believed, told in ((stranger.path, 0), (authority.path, 1)):
            url = f"https://127.0.0.1:{posts.port}/"
            teller(AlertSettings(webhook=WebhookSettings(url=url, authorities=believed))).look()
            assert len(posts.bodies) == told
    assert Alert.NOT_SENT not in open_codes(alerts)


def test_operators_get_a_mail_with_the_same_facts(mails, alerts, teller):
    server, port = mails
    alerts.raise_(Alert.QUARANTINED, "SCANNER", "cut short")
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "4 objects failed for good")
    teller(by_mail(port)).look()
    (mail,) = server.taken
    assert server.recipients == [["anna@h.example", "bert@h.example"]]
    assert mail["Subject"] == "RECTALNODE: 2 alerts (E-DELIVERY-FAILED, E-QUARANTINED)"
    assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (
        "node@h.example",
        "anna@h.example, bert@h.example",
        "auto-generated",
    )
    text = mail.get_content()
    for part in ("E-QUARANTINED (SCANNER)", "4 objects failed for good", Alert.DELIVERY_FAILED.advice):
        assert part in " ".join(text.split())


def test_a_mail_tells_how_long_what_has_ended_had_lasted_and_how_often_it_was_seen(mails, alerts, engine, teller):
    server, port = mails
    for _ in range(3):
        alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "4 objects failed for good")
    later = lambda: alerts.all()[0].since + timedelta(hours=2, minutes=5)  # noqa: E731
    telling = teller(by_mail(port), later)
    telling.look()
    Alerts(engine, later).clear(Alert.DELIVERY_FAILED, "PACS")
    teller(by_mail(port), lambda: later() + timedelta(minutes=5)).look()
    begun, ended = server.taken
    assert "has ended" not in begun.get_content()
    assert ended["Subject"] == "RECTALNODE: 1 ended (E-DELIVERY-FAILED)"
    assert "1  E-DELIVERY-FAILED (PACS) has ended after 2 h 5 min, seen 3 times" in ended.get_content()


def test_mail_goes_by_starttls_with_name_and_password_of_a_file(alerts, teller, authority, tmp_path):
    certificate = authority.issue("127.0.0.1", names=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    password = tmp_path / "password"
    with running_mails(context) as (server, port):
        terms = {"encryption": "starttls", "username": "node", "password_file": password, "timeout_s": 1}
        for word, told in (("wrong", 0), ("secret", 1)):
            password.write_text(f"{word}\n")
            teller(by_mail(port, authorities=authority.path, **terms)).look()
            assert len(server.taken) == told
    assert (server.users, server.encrypted) == (["node"] * 2, [True])
    assert Alert.NOT_SENT not in open_codes(alerts)


def test_a_recipient_that_is_refused_is_an_alert_and_the_others_get_the_mail_once(mails, alerts, teller):
    server, port = mails
    server.refused = {"bert@h.example"}
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    telling = teller(by_mail(port))
    telling.look()
    assert server.recipients == [["anna@h.example"]]
    assert "bert@h.example" in open_codes(alerts)[Alert.NOT_SENT]


def test_mail_that_is_refused_is_sent_again(mails, alerts, teller):
    server, port = mails
    server.answer = "451 later"
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "failed")
    terms = by_mail(port).model_copy(update={"first_retry_s": 0.01, "longest_retry_s": 0.01})
    telling = teller(terms)
    telling.look()
    assert open_codes(alerts)[Alert.NOT_SENT].endswith("mail: 451 later")
    server.answer = "250 OK"
    time.sleep(0.02)
    telling.look()
    assert len(server.taken) == 1


def test_a_node_tells_one_channel_while_another_hangs_and_stops_at_once(posts, alerts, maintain):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mail = by_mail(silent.getsockname()[1]).mail
        webhook = by_webhook(posts.port).webhook
        service = maintain(alerts=AlertSettings(look_every_s=0.02, webhook=webhook, mail=mail))
        alerts.raise_(Alert.OBJECT_DAMAGED, "objects/1.dcm", "changed")
        assert posts.arrived.acquire(timeout=10)
        begun = time.monotonic()
        service.stop()
        assert time.monotonic() - begun < 3


def test_the_command_lists_acknowledges_and_tries_the_channels(posts, alerts, tmp_path, command):
    config = tmp_path / "node.toml"
    config.write_text(f'root = "."\n[alerts.webhook]\nurl = "http://127.0.0.1:{posts.port}/"\n')
    alerts.raise_(Alert.DELIVERY_FAILED, "PACS", "4 objects failed for good")

    def run(*words: str) -> str:
        done = command(*words, "--config", str(config))
        assert done.returncode == 0
        return done.stdout

    listed = run("alerts")
    for part in ("1  E-DELIVERY-FAILED  PACS", "4 objects failed for good", Alert.DELIVERY_FAILED.advice):
        assert part in listed
    assert "alerts: 1 open, 1 not acknowledged (E-DELIVERY-FAILED 1)" in run("status")
    assert "acknowledged by anna" in run("alerts", "acknowledge", "1", "--by", "anna")
    assert "alerts: 1 open, 0 not acknowledged" in run("status")
    alerts.clear(Alert.DELIVERY_FAILED, "PACS")
    assert run("alerts") == "no alerts\n"
    document = json.loads(run("alerts", "--all", "--json"))
    assert document["alerts"][0]["alert"]["acknowledged_by"] == "anna"
    assert run("alerts", "test") == "webhook: taken\n"
    assert posts.bodies[0]["alerts"][0]["text"] == "This is a test; nothing is wrong."
