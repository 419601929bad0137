"""The table `[web.oidc]`: a provider of OpenID Connect by whom people sign in to the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from node.settings.values import File, Section, files_within

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _issuer(value: str) -> str:
    """As the provider writes it, to the letter: it is compared with what stands in tokens."""
    try:
        parts = urlsplit(value)
        known = bool(parts.hostname) and (parts.port or 1) > 0 and value.isascii() and value.isprintable()
    except ValueError:
        known = False
    safe = known and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK))
    if not safe or parts.username or parts.query or parts.fragment or " " in value:
        raise ValueError('an issuer has the form "https://login.example/realms/hospital"')
    return value


class OidcSettings(Section):
    """A provider of OpenID Connect, and what its tokens mean here.

    Attributes:
        issuer: of the tokens, to the letter; below it lies `/.well-known/openid-configuration`.
        client_id: by which the provider knows this node.
        client_secret_file: holds the secret of the client and nothing else; without it the client is a public one.
        authorities: certificates of those who sign for the provider; without it those that `requests` knows (certifi).
        name: of the provider, on the page; empty: the host of the issuer.
        scopes: asked for, beside `openid`.
        name_claim: claim of the ID token that names the account.
        role_claim: claim of the ID token that holds the roles, a text or a list; dots lead into objects.
        operators: roles of the provider that make an operator here.
        viewers: roles of the provider that make a viewer here.
    """

    issuer: Annotated[str, AfterValidator(_issuer)]
    client_id: str = Field(min_length=1)
    client_secret_file: File = None
    authorities: File = None
    name: str = ""
    scopes: tuple[str, ...] = ("profile",)
    name_claim: str = Field(default="preferred_username", min_length=1)
    role_claim: str = Field(default="roles", min_length=1)
    operators: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _somebody(self) -> OidcSettings:
        if not self.operators and not self.viewers:
            raise ValueError("operators or viewers: without roles nobody could sign in")
        return self

    @property
    def shown_name(self) -> str:
        """What the page calls the provider."""
        return self.name or str(urlsplit(self.issuer).hostname)

    def client_secret(self) -> str:
        """The secret of the client; empty where it has none.

        Raises:
            OSError: the file cannot be read.
        """
        return self.client_secret_file.read_text().strip() if self.client_secret_file else ""

    def within(self, folder: Path) -> OidcSettings:
        """With relative paths taken from a folder."""
        return files_within(self, folder)
