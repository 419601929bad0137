"""Values of config.toml that several sections have, each checked as it is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _ae_title(value: str) -> str:
    """AE value representation, PS3.5 6.2: 1 to 16 characters, no backslash, no control character."""
    if not value.strip() or len(value) > 16 or "\\" in value or not value.isascii() or not value.isprintable():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return value.strip()


def _url(value: str) -> str:
    """The address of a DICOMweb service, without a slash at its end; user names do not stand in it."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and parts.path.isascii()
    except ValueError:
        known = False
    if not known or parts.username or parts.query or parts.fragment or any(it.isspace() for it in value):
        raise ValueError('an address has the form "https://pacs.example/dicom-web"')
    return value.rstrip("/")


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


def _fingerprint(value: str) -> str:
    digits = value.replace(":", "").replace(" ", "").lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        how = "openssl x509 -in CERTIFICATE -noout -fingerprint -sha256"
        raise ValueError(f"a SHA-256 fingerprint has 64 hexadecimal digits; `{how}` shows that of a certificate")
    return digits


def _time_zone(value: str) -> str:
    try:
        if value:
            ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is called {value!r}; give an IANA name such as Asia/Shanghai") from error
    return value


def is_loopback_name(host: str) -> bool:
    """Whether a host to listen on is this machine's loopback interface alone."""
    return host in ("localhost", "::1") or host.startswith("127.")


AETitle = Annotated[str, AfterValidator(_ae_title)]
AETitleOrNone = Annotated[str, AfterValidator(lambda value: _ae_title(value) if value else value)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
Pattern = Annotated[str, AfterValidator(_pattern)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
URL = Annotated[str, AfterValidator(_url)]
#: A file; empty in the configuration: none.
File = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of config.toml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Section = TypeVar("_Section", bound=Section)


def files_within(section: _Section, folder: Path) -> _Section:
    """With relative paths of its files taken from a folder."""
    files = {name: value for name in type(section).model_fields if isinstance(value := getattr(section, name), Path)}
    return section.model_copy(update={name: folder / file for name, file in files.items()})


class Credentials(Section):
    """What proves by TLS who this node is, and whom it believes; PEM files.

    Attributes:
        certificate: of this node, followed by those between it and its authority.
        key: of the certificate, without passphrase.
        authorities: certificates of those who sign for the remotes; a remote whose certificate is signed by itself has
            it here.
    """

    certificate: Path
    key: Path
    authorities: Path

    def within(self, folder: Path) -> Credentials:
        """With relative paths taken from a folder."""
        return Credentials(
            certificate=folder / self.certificate, key=folder / self.key, authorities=folder / self.authorities
        )
