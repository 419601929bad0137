"""The section `[web]`: DICOMweb and the page."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field

from node.settings.oidc import OidcSettings
from node.settings.values import URL, Credentials, Port, Section, is_loopback_name

STUDY = "{study}"


def _viewer(value: str) -> str:
    if value and (urlsplit(value).scheme not in ("http", "https") or value.count(STUDY) != 1):
        raise ValueError(
            f'the address of a viewer has the form "https://ohif.example/viewer?StudyInstanceUIDs={STUDY}"'
        )
    return value


class WebSettings(Section):
    """DICOMweb (PS3.18): searching, retrieving and storing by HTTP; and the page for operators and readers.

    Attributes:
        local_rights: what callers on this machine may do without token and certificate.
        public_url: how clients reach the service, where that is another address than the one that they call; empty:
            that one.
        allowed_origins: of pages of other hosts that may call it from a browser, such as "https://ohif.example".
        maximum_connections: at once; beyond it requests are answered with 503.
        largest_request_gb: of one that stores; a larger one is refused with 413.
        most_matches: of one answer; more can be asked for with `offset`.
        page: whether the page is served as well, to those who have an account.
        page_hosts: names that the page is called by, beside `host` and that of `public_url`; no others are answered.
        session_hours: after which one signs in again.
        session_idle_minutes: without a request, after which one signs in again.
        language: of the page, for who has chosen none; empty: that of the browser.
        viewer: address of a study in another viewer, which reads it here by DICOMweb; `{study}` stands for its Study
            Instance UID. Empty: none.
        oidc: by which people sign in as well.
    """

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Port = 8080
    tls: bool = False
    credentials: Credentials | None = None
    local_rights: tuple[Literal["may_query", "may_retrieve", "may_store"], ...] = ()
    public_url: URL = ""
    allowed_origins: tuple[str, ...] = ()
    maximum_connections: int = Field(default=64, ge=1)
    largest_request_gb: float = Field(default=32, gt=0)
    most_matches: int = Field(default=5000, ge=1)
    page: bool = False
    page_hosts: tuple[str, ...] = ()
    session_hours: float = Field(default=12, gt=0)
    session_idle_minutes: float = Field(default=60, gt=0)
    language: Literal["", "en", "zh-Hans"] = ""
    viewer: Annotated[str, AfterValidator(_viewer)] = ""
    oidc: OidcSettings | None = None

    @property
    def address(self) -> str:
        """Of the page, as somebody on this machine calls it, or by its public name."""
        if self.public_url:
            return "{0.scheme}://{0.netloc}".format(urlsplit(self.public_url))
        return f"{'https' if self.tls else 'http'}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it listens on the loopback interface alone."""
        return is_loopback_name(self.host)

    def viewer_of(self, study_instance_uid: str) -> str:
        """The address of a study in the other viewer; empty where there is none."""
        return self.viewer.replace(STUDY, quote(study_instance_uid, safe=""))
