"""Who may do what: tokens, certificates, this machine (PS3.18 knows none; RFC 6750, PS3.15 annex B)."""

from __future__ import annotations

import logging
import ssl

import pytest
import requests

from node.settings import RemoteSettings
from node.web.access import read_token

from ...parts.certificates import Authority
from .conftest import an_image

TOKEN = "a-token-that-is-long-enough"
STUDY = "/studies/1.2.3"


@pytest.fixture
def viewer(tmp_path):
    """A remote that may search, with a token."""
    path = tmp_path / "viewer.token"
    path.write_text(f"{TOKEN}\n")
    return RemoteSettings(name="viewer", token_file=path, may_query=True)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def statuses(web, **options):
    """Of searching, retrieving and storing."""
    options.setdefault("headers", {})
    content = {"Content-Type": "application/dicom"}
    return [
        requests.get(f"{web.url}/studies", timeout=60, **options).status_code,
        requests.get(f"{web.url}{STUDY}/metadata", timeout=60, **options).status_code,
        requests.post(
            f"{web.url}/studies", an_image(1), timeout=60, **options | {"headers": options["headers"] | content}
        ).status_code,
    ]


def test_nobody_may_do_anything_unless_the_settings_say_so(start):
    assert statuses(start(local_rights=())) == [401, 401, 401]


def test_a_token_gives_the_rights_of_its_remote_alone(start, viewer):
    web = start((viewer,), local_rights=())
    assert statuses(web, headers=bearer(TOKEN)) == [204, 403, 403]
    assert statuses(web) == [401, 401, 401]


@pytest.mark.parametrize("token", ["", "another-token-of-the-length", TOKEN[:-1], f"{TOKEN}x", "ä"])
def test_another_token_is_refused_even_where_this_machine_may(start, viewer, token):
    web = start((viewer,))
    answer = requests.get(f"{web.url}/studies", headers={"Authorization": f"Bearer {token}".encode()}, timeout=60)
    assert answer.status_code == (204 if not token else 401)


def test_a_token_that_is_empty_or_short_is_nobodys(start, tmp_path):
    for text in ("", "\n", "short"):
        path = tmp_path / "token"
        path.write_text(text)
        web = start((RemoteSettings(name="viewer", token_file=path, may_query=True),), local_rights=())
        assert statuses(web, headers=bearer(text.strip() or "x"))[0] == 401


def test_a_new_token_counts_without_a_restart(start, viewer):
    web = start((viewer,), local_rights=())
    viewer.token_file.write_text("the-token-of-the-next-year")
    assert statuses(web, headers=bearer(TOKEN))[0] == 401
    assert statuses(web, headers=bearer("the-token-of-the-next-year"))[0] == 204
    assert read_token(viewer.token_file) == b"the-token-of-the-next-year"


def test_a_token_counts_from_the_address_of_its_remote_alone(start, viewer):
    elsewhere = viewer.model_copy(update={"host": "192.0.2.1"})
    assert statuses(start((elsewhere,), local_rights=()), headers=bearer(TOKEN))[0] == 401


@pytest.mark.parametrize(
    "headers",
    [{"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}, {"Host": "evil.example"}],
    ids=["proxy", "forwarded", "another name of this machine"],
)
def test_who_comes_through_a_proxy_or_by_another_name_is_not_this_machine(start, headers):
    assert statuses(start(), headers=headers) == [401, 401, 401]


def test_who_stored_an_object_is_written_with_it(start, viewer):
    scanner = viewer.model_copy(update={"may_store": True, "ae_title": "SCANNER1"})
    web = start((scanner,), local_rights=())
    assert statuses(web, headers=bearer(TOKEN))[2] == 200
    assert web.index.instances("1.2.3")[0].calling_ae == "SCANNER1"


def test_neither_tokens_nor_what_is_searched_for_stand_in_the_log(start, viewer, caplog):
    caplog.set_level(logging.DEBUG)
    web = start((viewer,))
    web.get("/studies?PatientName=Seeker*&PatientID=4711")
    statuses(web, headers=bearer(TOKEN))
    statuses(web, headers=bearer(f"{TOKEN}x"))
    own = "\n".join(f"{each.getMessage()}" for each in caplog.records if each.name.startswith(("node", "uvicorn")))
    assert "search of this machine from 127.0.0.1: 0 matches at STUDY level" in own
    assert not any(secret in own for secret in (TOKEN, "Seeker", "4711"))


# --- by TLS


@pytest.fixture
def secured(start, authority: Authority):
    """A service by TLS; remotes are given, and the authority is believed."""
    server = authority.issue("web", ["127.0.0.1", "localhost"])

    def begin(*remotes, **more):
        credentials = authority.credentials(server)
        return start(remotes, tls=True, credentials=credentials, local_rights=(), **more)

    return begin


def test_a_certificate_that_is_bound_to_a_remote_gives_its_rights(secured, authority):
    known, other = authority.issue("known", ["viewer.example"]), authority.issue("other", ["other.example"])
    remote = RemoteSettings(
        name="viewer", ae_title="VIEWER", tls=True, certificate_sha256=(known.fingerprint,), may_query=True
    )
    web = secured(remote)
    believed = {"verify": str(authority.path)}
    assert statuses(web, cert=(str(known.path), str(known.key)), **believed) == [204, 403, 403]
    assert statuses(web, cert=(str(other.path), str(other.key)), **believed) == [401, 401, 401]
    assert statuses(web, **believed) == [401, 401, 401]


def test_a_certificate_of_another_authority_is_refused_in_the_handshake(secured, authority, stranger):
    unknown = stranger.issue("unknown", ["viewer.example"])
    remote = RemoteSettings(
        name="viewer", ae_title="VIEWER", tls=True, certificate_sha256=(unknown.fingerprint,), may_query=True
    )
    with pytest.raises((requests.exceptions.SSLError, requests.ConnectionError)):
        statuses(secured(remote), cert=(str(unknown.path), str(unknown.key)), verify=str(authority.path))


def test_a_token_may_take_the_place_of_a_certificate_and_a_remote_may_need_both(secured, authority, viewer):
    known = authority.issue("both", ["viewer.example"])
    pair, believed = (str(known.path), str(known.key)), {"verify": str(authority.path)}
    web = secured(viewer)
    assert statuses(web, headers=bearer(TOKEN), **believed)[0] == 204
    both = viewer.model_copy(
        update={"tls": True, "certificate_sha256": (known.fingerprint,), "ae_title": "VIEWER"},
    )
    web = secured(both)
    assert statuses(web, headers=bearer(TOKEN), **believed)[0] == 401
    assert statuses(web, cert=pair, **believed)[0] == 401
    assert statuses(web, headers=bearer(TOKEN), cert=pair, **believed)[0] == 204


def test_new_certificate_files_count_for_new_connections(start, authority, viewer):
    first, second = (authority.issue(name, ["127.0.0.1"]) for name in ("first", "second"))
    served = authority.issue("served", ["127.0.0.1"])
    for old, new in ((served.path, first.path), (served.key, first.key)):
        old.write_bytes(new.read_bytes())
    web = start((viewer,), tls=True, credentials=authority.credentials(served))
    seen = [shown(web)]
    for old, new in ((served.path, second.path), (served.key, second.key)):
        old.write_bytes(new.read_bytes())
    seen.append(shown(web))
    assert seen == [ssl.PEM_cert_to_DER_cert(each.path.read_text()) for each in (first, second)]


def shown(web):
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", web.server.port), timeout=30))
