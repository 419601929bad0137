"""A configuration is checked with what protects its associations."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.operations.configuration import check
from tests.parts import processor
from tests.parts.certificates import Authority

SITE = """
[tls]
certificate = "{node.path}"
key = "{key}"
authorities = "{authority.path}"
[listener]
plain = false
tls_port = 2762
[[remotes]]
name = "pacs"
ae_title = "PACS"
tls = true
certificate_name = "pacs.example"
[[remotes]]
name = "scanner"
ae_title = "SCANNER"
username = "skyra"
passcode_file = "{passcode}"
"""


def analysis() -> str:
    return f"[analysis]\n{processor.in_configuration()}\n"


def test_what_ends_soon_or_can_be_read_on_its_way_is_a_warning(tmp_path: Path, authority: Authority) -> None:
    node = authority.issue("node", valid=timedelta(days=3))
    passcode = tmp_path / "passcode"
    passcode.write_text("open sesame")
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(node=node, key=node.key, authority=authority, passcode=passcode) + analysis())
    checked = check(path)
    assert checked.listens_on == "2762 by TLS"
    expiry, plain = (it for it in checked.warnings if "TLS" in it)
    for secret in (node.key, passcode):
        assert f"{secret} can be read by others than its owner: chmod 600" in checked.warnings
    assert f"the TLS certificate {node.path} expires on" in expiry
    assert plain == "remote scanner: without TLS its passcode can be read on its way"


def test_secrets_of_their_owner_alone_are_no_warning(tmp_path: Path, authority: Authority) -> None:
    node = authority.issue("node-with-private-key")
    node.key.chmod(0o600)
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(node=node, key=node.key, authority=authority, passcode=node.key) + analysis())
    assert not [it for it in check(path).warnings if "chmod 600" in it]


@pytest.mark.parametrize(("absent", "why"), [("key", "cannot be read"), ("passcode", "is no file")])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, authority: Authority, absent: str, why: str) -> None:
    node = authority.issue("node-of-a-fault")
    files = {"key": node.key, "passcode": node.key, absent: tmp_path / "absent"}
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(node=node, authority=authority, **files) + analysis())
    with pytest.raises(ConfigurationError, match=f"absent:? {why}"):
        check(path)


WEB = """
[web]
enabled = true
host = "0.0.0.0"
[[remotes]]
name = "viewer"
token_file = "{token}"
may_query = true
[[remotes]]
name = "archive"
url = "http://archive.example/dicom-web"
receives_results = true
"""


def test_a_token_too_short_to_be_one_is_refused(tmp_path: Path) -> None:
    token, path = tmp_path / "token", tmp_path / "site.toml"
    token.write_text("guess-me\n")
    path.write_text(WEB.format(token=token) + analysis())
    with pytest.raises(ConfigurationError, match=r"viewer: token_file: .*token has less than 16 bytes"):
        check(path)


def test_what_goes_by_http_without_tls_is_a_warning(tmp_path: Path) -> None:
    token, path = tmp_path / "token", tmp_path / "site.toml"
    token.write_text("a-token-that-is-long-enough")
    token.chmod(0o644)
    path.write_text(WEB.format(token=token) + analysis())
    warnings = check(path).warnings
    assert f"{token} can be read by others than its owner: chmod 600" in warnings
    assert "web: without tls what callers on 0.0.0.0 present and get can be read on its way" in warnings
    assert "remote archive: without https results and token can be read on their way" in warnings


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_who_is_known_by_an_ae_title_alone_is_a_warning_beyond_this_machine(tmp_path, host: str, warned: bool) -> None:
    path = tmp_path / "site.toml"
    remotes = "".join(
        f'[[remotes]]\nname = "{name}"\nae_title = "{name.upper()}"\nmay_store = true\n{more}\n'
        for name, more in (("anywhere", ""), ("placed", 'host = "192.0.2.1"'), ("named", 'username = "u"'))
    )
    path.write_text(f'[listener]\nhost = "{host}"\n{remotes}{analysis()}')
    found = [it for it in check(path).warnings if "calls himself" in it]
    assert found == (["remote anywhere: whoever calls himself ANYWHERE has its rights: give it a host"] * warned)
