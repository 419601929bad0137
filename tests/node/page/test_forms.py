"""What is sent without a session is small, comes soon, and is a form."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from node.page.forms import LARGEST, Forms

from .conftest import PASSWORD

FORM = "application/x-www-form-urlencoded"


def said_to(url: str, head: str, body: bytes = b"", path: str = "/sign-in") -> str:
    """The status line to a request of which no more comes than this."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode() + body)
        return connection.recv(4096).decode().partition("\r\n")[0]


def test_a_form_that_says_it_is_too_large_is_refused_before_it_comes(page):
    assert " 413 " in said_to(page.url, f"Content-Type: {FORM}\r\nContent-Length: {LARGEST + 1}")


def test_a_form_that_becomes_too_large_is_refused_before_its_end(page):
    piece = b"%x\r\n%b\r\n" % (LARGEST + 1, b"x" * (LARGEST + 1))
    assert " 413 " in said_to(page.url, f"Content-Type: {FORM}\r\nTransfer-Encoding: chunked", piece)


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json", "text/plain"])
def test_what_is_no_form_is_refused(page, kind):
    assert " 415 " in said_to(page.url, f"Content-Type: {kind}\r\nContent-Length: 1000")


def test_a_form_is_what_it_was_to_who_reads_it(page):
    said = {"name": "olga", "password": PASSWORD, "next": "/quarantine"}
    answer = page.nobody().post("/sign-in", said, **{"Content-Type": f"{FORM}; charset=utf-8"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/quarantine")


def test_a_form_that_does_not_come_is_not_waited_for():
    async def echo(scope, receive, send):
        await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)

    async def answered() -> list[dict]:
        pieces, sent = [{"type": "http.request", "body": b"a=", "more_body": True}], []

        async def receive():
            return pieces.pop() if pieces else await asyncio.sleep(60)

        async def send(message):
            sent.append(message)

        headers = [(b"content-type", FORM.encode()), (b"content-length", b"10")]
        await Forms(echo, within_s=0.05)(
            {"type": "http", "method": "POST", "path": "/", "headers": headers}, receive, send
        )
        return sent

    assert asyncio.run(asyncio.wait_for(answered(), 5))[0]["status"] == 408


def test_a_file_is_taken_only_where_files_are_sent_to(page):
    """And there too only of somebody who is known: nothing of its body is read before."""
    head = "Content-Type: application/octet-stream\r\nContent-Length: 100000"
    assert " 415 " in said_to(page.url, head)
    assert " 303 " in said_to(page.url, head, path="/upload/file")
