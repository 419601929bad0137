"""config.toml is read into typed values, or refused with one clear line a fault."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.settings import (
    MailSettings,
    RemoteSettings,
    SyslogSettings,
    WebhookSettings,
    WebSettings,
    former_keys,
    load_settings,
)
from node.settings.oidc import OidcSettings

ROOT = Path(__file__).parents[2]


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "site.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    return str(caught.value)


def test_the_committed_configuration_is_valid_and_states_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    defaults = load_settings(tmp_path / "empty.toml")
    committed = load_settings(ROOT / "config.toml")
    assert committed.model_dump(exclude={"root"}) == defaults.model_dump(exclude={"root"})


def test_the_committed_configuration_documents_every_key_of_a_remote_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "config.toml").read_text()
    block = text[text.index("# [[remotes]]") : text.index("# A scanner needs")]
    lines = (line.removeprefix("# ") for line in block.splitlines())
    (tmp_path / "node.toml").write_text("\n".join(line for line in lines if re.match(r"\[|\w+ = ", line)))
    (remote,) = load_settings(tmp_path / "node.toml").remotes
    assert remote.model_fields_set == set(RemoteSettings.model_fields)
    needed = {"name": remote.name, "ae_title": remote.ae_title, "host": remote.host, "port": remote.port}
    assert remote == RemoteSettings(**needed)


def test_the_committed_configuration_documents_every_key_of_both_channels_of_alerts(
    tmp_path: Path,
) -> None:
    text = (ROOT / "config.toml").read_text()
    block = text[text.index("# [alerts.webhook]") :]
    lines = [line.removeprefix("# ") for line in block.splitlines() if not line.startswith("# url_file")]
    (tmp_path / "node.toml").write_text("\n".join(line for line in lines if re.match(r"\[|\w+ = ", line)))
    alerts = load_settings(tmp_path / "node.toml").alerts
    assert alerts.webhook is not None
    assert alerts.mail is not None
    assert alerts.webhook.model_fields_set == set(WebhookSettings.model_fields) - {"url_file"}
    assert alerts.mail.model_fields_set == set(MailSettings.model_fields)
    assert alerts.webhook == WebhookSettings(url=alerts.webhook.url)
    needed = {"host": alerts.mail.host, "sender": alerts.mail.sender, "recipients": alerts.mail.recipients}
    assert alerts.mail == MailSettings(**needed)


def test_the_committed_configuration_documents_every_key_of_a_provider_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "config.toml").read_text()
    block = text[text.index("# [web.oidc]") : text.index("# The other systems")]
    lines = (line.removeprefix("# ") for line in block.splitlines())
    (tmp_path / "node.toml").write_text("\n".join(line for line in lines if re.match(r"\[|\w+ = ", line)))
    oidc = load_settings(tmp_path / "node.toml").web.oidc
    assert oidc is not None
    assert oidc.model_fields_set == set(OidcSettings.model_fields)
    needed = {"issuer": oidc.issuer, "client_id": oidc.client_id}
    assert oidc == OidcSettings(**needed, operators=oidc.operators, viewers=oidc.viewers)


def test_the_committed_configuration_documents_every_key_of_a_collector_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "config.toml").read_text()
    block = text[text.index("# [audit.syslog]") : text.index("[retention]")]
    lines = (line.removeprefix("# ") for line in block.splitlines())
    (tmp_path / "node.toml").write_text("\n".join(line for line in lines if re.match(r"\[|\w+ = ", line)))
    syslog = load_settings(tmp_path / "node.toml").audit.syslog
    assert syslog is not None
    assert syslog.model_fields_set == set(SyslogSettings.model_fields)
    assert syslog == SyslogSettings(host=syslog.host, credentials=syslog.credentials)


def test_a_collector_by_tls_needs_certificates(tmp_path: Path) -> None:
    assert "[tls] with certificate, key and authorities" in refused(tmp_path, '[audit.syslog]\nhost = "a"\n')
    (tmp_path / "node.toml").write_text('[audit.syslog]\nhost = "a"\nport = 514\ntransport = "udp"\n')
    assert load_settings(tmp_path / "node.toml").audit.syslog is not None


@pytest.mark.parametrize("viewer", ["ohif", "javascript:alert('{study}')", "https://ohif.example/viewer"])
def test_the_address_of_a_viewer_is_one_of_the_web_and_names_the_study(tmp_path: Path, viewer: str) -> None:
    assert "{study}" in refused(tmp_path, f'[web]\nviewer = "{viewer}"\n')


def test_a_study_in_another_viewer_is_named_by_its_uid() -> None:
    web = WebSettings(viewer="https://ohif.example/viewer?StudyInstanceUIDs={study}")
    assert web.viewer_of("1.2.3") == "https://ohif.example/viewer?StudyInstanceUIDs=1.2.3"
    assert WebSettings().viewer_of("1.2.3") == ""


def test_without_bundles_in_the_configuration_those_of_the_installed_package_are_used_from_any_folder(tmp_path: Path):
    (tmp_path / "config.toml").write_text("")
    for bundle in load_settings(tmp_path / "config.toml").analysis.bundles:
        assert (bundle / "manifest.json").is_file()


def test_relative_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('root = "data"\n[analysis]\nsegmentation = "my/bundle"')
    settings = load_settings(tmp_path / "config.toml")
    assert settings.root == tmp_path / "data"
    assert settings.analysis.segmentation == tmp_path / "my/bundle"


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("colour = 1", "colour", "unknown key"),
        ("[listener]\nprot = 104", "listener.prot", "unknown key"),
        ("[listener]\nport = 'x'", "listener.port", "valid integer"),
        ("[listener]\nport = 70000", "listener.port", "less than or equal to 65535"),
        ("[listener]\nae_title = 'LONGER THAN SIXTEEN'", "listener.ae_title", "1 to 16"),
        ("[completion]\nquiet_s = 60\nincomplete_after_s = 5", "completion", "must not be shorter"),
        (
            "[completion]\ncount_at = 'pax'",
            "(file)",
            "completion.count_at: no [[remotes]] with host and port has the name 'pax'",
        ),
        ("[completion]\nwanted = ['T3']", "completion.wanted.0", "T2WI"),
        ("[recognition]\nb_value_range = [800, 100]", "recognition", "must be below"),
        ("[[recognition.site_rules]]\nname='a'\nmodel='('", "recognition.site_rules.0.model", "regular expression"),
        (
            "[[recognition.site_rules]]\nname='a'\nphase_time_pattern='TT='",
            "recognition.site_rules.0",
            "exactly one group",
        ),
        ("uid_root = '1.2.x.'", "uid_root", "match pattern"),
        ("time_zone = 'Asia/Pekin'", "time_zone", "no time zone is called 'Asia/Pekin'"),
        ("time_zone = 'Asia'", "time_zone", "no time zone is called 'Asia'"),
        ("time_zone = '../etc/passwd'", "time_zone", "no time zone is called '../etc/passwd'"),
        ("time_zone = '+08:00'", "time_zone", "give an IANA name"),
        ("[[remotes]]\nname='a'\nae_title='A'\n[[remotes]]\nname='a'\nae_title='B'", "(file)", "are called 'a'"),
        ("[[remotes]]\nname='a'\nae_title='A'\nmay_print=true", "remotes.0.may_print", "unknown key"),
        ("[[remotes]]\nname='a'\nae_title='A'\nhost='h'\nreceives_results=true", "remotes.0", "host and port"),
        ("[[destinations]]\nname='a'\nae_title='A'\nhost='h'", "destinations.0.port", "Field required"),
        ("[[remotes]]\nname='a'", "remotes.0", "ae_title is needed"),
        ("[[remotes]]\nname='a'\nurl='ftp://h'", "remotes.0.url", 'has the form "https://pacs.example/dicom-web"'),
        ("[[remotes]]\nname='a'\nurl='https://u:p@h/x'", "remotes.0.url", "has the form"),
        ("[[remotes]]\nname='a'\nurl='https://h'\nhost='h'\nport=104", "remotes.0", "make two remotes of it"),
        ("[[remotes]]\nname='a'\nurl='http://h'\ntls=true", "remotes.0", "url begins with http:"),
        ("[[remotes]]\nname='a'\nurl='https://h'\nreceives_results=true\ncommitment=true", "remotes.0", "of DICOM"),
        ("[web]\nenabled=true\nhost='0.0.0.0'", "(file)", "web.host: nobody could call"),
        ("[web]\nenabled=true\ntls=true", "(file)", "web.tls: [tls] with certificate"),
        ("[web]\nlocal_rights=['may_commit']", "web.local_rights.0", "may_query"),
        (
            "[[remotes]]\nname='a'\nae_title='A'\nhost='h'\ntls=true",
            "(file)",
            "a: tls: [tls] with certificate",
        ),
        ("[[remotes]]\nname='a'\nae_title='A'\ntls=true", "remotes.0", "certificate_name or host is needed"),
        ("[[remotes]]\nname='a'\nae_title='A'\ncertificate_name='h'", "remotes.0", "tls = true is needed"),
        ("[[remotes]]\nname='a'\nae_title='A'\npasscode_file='f'", "remotes.0", "username is needed"),
        (
            "[[remotes]]\nname='a'\nae_title='A'\ntls=true\ncertificate_sha256=['ab:cd']",
            "remotes.0.certificate_sha256.0",
            "64 hexadecimal digits",
        ),
        ("[listener]\nplain=false", "(file)", "the node would listen nowhere"),
        ("[listener]\ntls_port=2762", "(file)", "no [[remotes]] has tls = true"),
        ("[tls]\ncertificate='c'\nkey='k'", "tls.authorities", "Field required"),
        ("[[peers]]\nname='a'\nae_title='A'", "peers.0.name", "unknown key"),
        ("[audit]\nrotate_mb=inf", "audit.rotate_mb", "finite number"),
        ("[audit]\nrotate_mb=1e9", "audit.rotate_mb", "less than or equal to 100000"),
        ('[audit.syslog]\nhost="a"\ntransport="udp"\ntimeout_s=inf', "audit.syslog.timeout_s", "finite number"),
        ("[alerts.webhook]\ntimeout_s=3", "alerts.webhook", "one of url and url_file is needed"),
        ("[alerts.webhook]\nurl='https://u:p@h/'", "alerts.webhook.url", 'the form "https://alerts.example/path"'),
        ("[alerts.mail]\nhost='h'\nsender='a@h'\nrecipients=[]", "alerts.mail.recipients", "at least 1 item"),
        ("[alerts.mail]\nhost='h'\nsender='a@h\\n'\nrecipients=['a@h']", "alerts.mail.sender", "a mail address has"),
        (
            "[alerts.mail]\nhost='h'\nsender='a@h'\nrecipients=['a@h']\nusername='u'\nencryption='none'",
            "alerts.mail",
            "encryption is needed",
        ),
    ],
)
def test_a_fault_is_one_line_that_names_file_key_and_reason(tmp_path: Path, text: str, key: str, why: str) -> None:
    message = refused(tmp_path, text)
    assert message.count("\n") == 0
    assert re.match(rf"{tmp_path / 'site.toml'}:(\d+:)? {re.escape(key)}: ", message)
    assert why in message


def test_a_fault_is_named_with_the_line_of_its_key(tmp_path: Path) -> None:
    text = "[listener]\nport = 104\n\n[recognition]\nbody_parts = [\n  'RECTUM',\n]\nminimum_slices = 1\n"
    assert refused(tmp_path, text).startswith(f"{tmp_path / 'site.toml'}:8: recognition.minimum_slices: ")


RULE = "[listener]\n\n[[recognition.rules]]\nname = 'ours'\nfinding = 'T2_TSE'\nwhen.spin_echo = true\n"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (RULE + "when.te_ms = { min = 60, mix = 90 }\n", 7, "unknown key"),
        (RULE + "when.te_ms = { min = 90, max = 60 }\n", 7, "min 90 is above max 60"),
        (RULE + "when.description = { matches = '(' }\n", 7, "not a regular expression"),
        (RULE + "befor = 'DWI'\n", 7, "unknown key"),
        (RULE.replace("name = 'ours'\n", ""), 3, "Field required"),
        (RULE + RULE.removeprefix("[listener]\n"), 3, "two rules are called 'ours'"),
    ],
)
def test_a_malformed_recognition_rule_is_refused_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    message = refused(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'site.toml'}:{line}: recognition")
    assert why in message


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, "colour = 1\nshape = 2").splitlines()) == 2


def test_text_that_is_no_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "not valid TOML" in refused(tmp_path, "[listener\nport=1")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml: cannot be read"):
        load_settings(tmp_path / "absent.toml")


FORMER = """
[[peers]]
ae_title = "SKYRA1"
[[peers]]
ae_title = "SKYRA1"
host = "192.0.2.7"

[[destinations]]
name = "pacs"
ae_title = "ORTHANC"
host = "192.0.2.10"
port = 4242
first_retry_s = 5
[completion]
count_at = "pacs"
"""


def test_peers_and_destinations_of_an_earlier_release_are_read_as_remotes(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(FORMER)
    settings = load_settings(tmp_path / "node.toml")
    pacs = RemoteSettings(
        name="pacs", ae_title="ORTHANC", host="192.0.2.10", port=4242, first_retry_s=5, receives_results=True
    )
    assert settings.destinations == (pacs,)
    assert settings.counts_at == pacs
    assert [(it.ae_title, it.host, it.may_store) for it in settings.remotes] == [
        ("SKYRA1", "", True),
        ("SKYRA1", "192.0.2.7", True),
        ("ORTHANC", "192.0.2.10", False),
    ]


def test_each_entry_of_an_earlier_release_comes_with_what_to_write_instead(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(FORMER)
    assert former_keys(path) == (
        f"{path}:2: [[peers]] is of an earlier release and still read; write [[remotes]] with "
        'name = "SKYRA1", ae_title = "SKYRA1", may_store = true',
        f"{path}:4: [[peers]] is of an earlier release and still read; write [[remotes]] with "
        'name = "SKYRA1", ae_title = "SKYRA1", host = "192.0.2.7", may_store = true',
        f"{path}:8: [[destinations]] is of an earlier release and still read; write [[remotes]] with "
        'the same keys of "pacs" and receives_results = true',
    )


def test_a_remote_may_be_written_beside_tables_of_an_earlier_release(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(f"{FORMER}\n[[remotes]]\nname = 'workstation'\nae_title = 'WS'")
    assert [it.name for it in load_settings(tmp_path / "node.toml").remotes] == [
        "workstation",
        "peer 1",
        "peer 2",
        "pacs",
    ]


def test_a_remote_that_is_asked_for_its_counts_need_not_receive_results(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(
        "[completion]\ncount_at = 'pacs'\n[[remotes]]\nname = 'pacs'\nae_title = 'PACS'\nhost = 'h'\nport = 104"
    )
    settings = load_settings(tmp_path / "node.toml")
    assert settings.counts_at is not None
    assert settings.destinations == ()


def test_the_credentials_of_the_node_are_those_of_its_port_and_of_remotes_with_tls(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        """
[tls]
certificate = "tls/node.pem"
key = "tls/node.key"
authorities = "/etc/ssl/site.pem"
[listener]
plain = false
tls_port = 2762
[[remotes]]
name = "pacs"
ae_title = "PACS"
host = "pacs.example"
port = 2762
tls = true
passcode_file = "secret"
username = "node"
[[remotes]]
name = "scanner"
ae_title = "SCANNER"
"""
    )
    settings = load_settings(path)
    assert settings.tls is not None
    assert settings.tls.certificate == tmp_path / "tls/node.pem"
    assert settings.tls.authorities == Path("/etc/ssl/site.pem")
    assert settings.listener.credentials == settings.tls
    assert [remote.credentials for remote in settings.remotes] == [settings.tls, None]
    assert settings.remotes[0].passcode_file == tmp_path / "secret"
    assert settings.listener.ports == (2762,)
