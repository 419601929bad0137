"""The HTTP server itself: its limits, its headers, and the address that it gives."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest
import requests

from node.web.server import bound

from .conftest import an_image


def connect(web):
    return socket.create_connection(("127.0.0.1", web.server.port), 30)


@pytest.mark.parametrize("begun", [b"", b"GET /dicom-web/studies HTTP/1.1\r\nHost: 127"], ids=["silent", "slow"])
def test_who_does_not_end_the_header_of_its_request_is_not_waited_for(start, begun):
    web = start(request_s=0.3)
    with connect(web) as slow:
        slow.sendall(begun)
        at = time.monotonic()
        assert slow.recv(100) == b""
        assert time.monotonic() - at < 10
    assert web.get("/studies").status_code == 204


def test_a_connection_serves_several_requests(start):
    web = start(request_s=0.5)
    with requests.Session() as session:
        for _ in range(4):
            assert session.get(f"{web.url}/studies", timeout=30).status_code == 204
            time.sleep(0.2)


def test_beyond_the_limit_of_connections_others_are_told_to_come_again(start):
    web = start(maximum_connections=4)
    with ExitStack() as idle:
        for _ in range(4):
            idle.enter_context(connect(web))
        until = time.monotonic() + 30
        while (status := web.get("/studies").status_code) != 503 and time.monotonic() < until:
            time.sleep(0.05)
        assert status == 503
    until = time.monotonic() + 30
    while (status := web.get("/studies").status_code) != 204 and time.monotonic() < until:
        time.sleep(0.05)
    assert status == 204


def test_no_answer_is_for_a_shared_cache(start):
    web = start()
    for path in ("/studies", "/nothing", "/studies/1.x"):
        headers = web.get(path).headers
        assert headers["Cache-Control"] == "private, no-cache"
        assert headers["Vary"] == "Accept, Authorization"
        assert "server" not in headers


def test_the_address_in_answers_is_that_by_which_it_is_reached(start):
    web = start(public_url="https://pacs.example/dicom-web")
    web.receive(an_image(1))
    (study,) = web.get("/studies").json()
    assert study["00081190"]["Value"] == ["https://pacs.example/dicom-web/studies/1.2.3"]
    (model,) = web.get("/studies/1.2.3/metadata").json()
    assert model["7FE00010"]["BulkDataURI"].startswith("https://pacs.example/dicom-web/studies/1.2.3/")


def test_a_page_of_an_allowed_origin_may_call_and_no_other(start):
    web = start(allowed_origins=("https://ohif.example",))
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    preflight = requests.options(f"{web.url}/studies", headers=asked | {"Origin": "https://ohif.example"}, timeout=30)
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://ohif.example"
    other = web.get("/studies", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert "Access-Control-Allow-Origin" not in start().get("/studies", headers={"Origin": "https://a"}).headers


def test_answers_are_sent_at_once_piece_by_piece():
    """Without TCP_NODELAY an answer of several pieces waits for the acknowledgement of the first, 40 ms."""
    with bound("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_describes_itself_to_nobody(start):
    web = start()
    root = web.url.removesuffix("/dicom-web")
    for path in ("/docs", "/openapi.json", "/redoc", "/"):
        assert requests.get(root + path, timeout=30).status_code == 404
