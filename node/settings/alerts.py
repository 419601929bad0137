"""Alerts: through which channels operators are told of them, and how often."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from node.settings.values import File, Port, Seconds, Section, files_within

TOKEN_VARIABLE, PASSWORD_VARIABLE = "RECTAL_NODE_WEBHOOK_TOKEN", "RECTAL_NODE_MAIL_PASSWORD"


def check_webhook(value: str) -> str:
    """An address that can be posted to.

    Raises:
        ValueError: it is none.
    """
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and value.isascii()
    except ValueError:
        known = False
    if not known or parts.username or parts.fragment or any(it.isspace() for it in value):
        raise ValueError('an address has the form "https://alerts.example/path"')
    return value


def _mail_address(value: str) -> str:
    if not re.fullmatch(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+", value, re.ASCII):
        raise ValueError('a mail address has the form "pacs-admin@hospital.example"')
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]


class Encryption(StrEnum):
    """How mail goes: in plain, by TLS after STARTTLS (port 587 or 25), or by TLS from the first byte (port 465)."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class WebhookSettings(Section):
    """Alerts by HTTP POST, as JSON.

    Attributes:
        url: that is posted to.
        url_file: in place of `url`, a file that holds it and nothing else: of some services it is the secret.
        token_file: a file that holds the token which is presented (Authorization: Bearer), and nothing else; without
            it that of the environment variable RECTAL_NODE_WEBHOOK_TOKEN, where there is one.
        authorities: certificates of those who sign for it; without it those that this machine knows.
        timeout_s: for the whole of a post, in s.
    """

    url: Annotated[str, AfterValidator(lambda value: check_webhook(value) if value else value)] = ""
    url_file: File = None
    token_file: File = None
    authorities: File = None
    timeout_s: Seconds = 10

    @model_validator(mode="after")
    def _one_address(self) -> WebhookSettings:
        if bool(self.url) == bool(self.url_file):
            raise ValueError("one of url and url_file is needed")
        return self

    def address(self) -> str:
        """Where it is.

        Raises:
            OSError: the file with it cannot be read.
            ValueError: the file holds no address.
        """
        return self.url or check_webhook(_secret(self.url_file))

    def token(self) -> str:
        """What is presented there; empty: nothing.

        Raises:
            OSError: the file with it cannot be read.
        """
        return _secret(self.token_file, TOKEN_VARIABLE)


class MailSettings(Section):
    """Alerts by SMTP.

    Attributes:
        encryption: without it nobody is authenticated.
        sender: address in From.
        username: by which the node authenticates itself; empty: not at all.
        password_file: holds the password and nothing else; without it that of the environment variable
            RECTAL_NODE_MAIL_PASSWORD.
        authorities: certificates of those who sign for the server; without it those that this machine knows.
        timeout_s: for connecting and for each answer, in s.
    """

    host: str = Field(min_length=1)
    port: Port = 587
    encryption: Encryption = Encryption.STARTTLS
    sender: MailAddress
    recipients: tuple[MailAddress, ...] = Field(min_length=1)
    username: str = ""
    password_file: File = None
    authorities: File = None
    timeout_s: Seconds = 30

    @model_validator(mode="after")
    def _no_password_in_plain(self) -> MailSettings:
        if self.username and self.encryption is Encryption.NONE:
            raise ValueError("username: encryption is needed, or the password could be read on its way")
        return self

    def password(self) -> str:
        """What goes with `username`.

        Raises:
            OSError: the file with it cannot be read.
        """
        return _secret(self.password_file, PASSWORD_VARIABLE)


class AlertSettings(Section):
    """How operators are told of alerts.

    Attributes:
        look_every_s: how often it is looked for alerts to tell, in s.
        repeat_after_s: after that one is told again which came again and which nobody has acknowledged, in s.
        end_after_s: so long one that was told has to be over before its end is told, in s.
        first_retry_s: wait after a message was not taken, in s; it doubles each time …
        longest_retry_s: … up to this, in s.
    """

    look_every_s: Seconds = 10
    repeat_after_s: Seconds = 14400
    end_after_s: float = Field(default=300, ge=0)
    first_retry_s: Seconds = 30
    longest_retry_s: Seconds = 3600
    webhook: WebhookSettings | None = None
    mail: MailSettings | None = None

    def within(self, folder: Path) -> AlertSettings:
        """With relative paths taken from a folder."""
        return self.model_copy(update={"webhook": _within(self.webhook, folder), "mail": _within(self.mail, folder)})

    @property
    def secrets(self) -> tuple[Path, ...]:
        """Files that nobody but the owner should read."""
        webhook = (self.webhook.url_file, self.webhook.token_file) if self.webhook else ()
        mail = (self.mail.password_file,) if self.mail else ()
        return tuple(file for file in (*webhook, *mail) if file)

    @property
    def authorities(self) -> tuple[Path, ...]:
        """Files with certificates."""
        return tuple(it.authorities for it in (self.webhook, self.mail) if it and it.authorities)


def _within(channel: Section | None, folder: Path) -> Section | None:
    return None if channel is None else files_within(channel, folder)


def _secret(file: Path | None, variable: str = "") -> str:
    """The text of a file without the line feed that an editor leaves at its end; without a file, of a variable."""
    return file.read_text("utf-8").rstrip("\r\n") if file else os.environ.get(variable, "")
