"""A provider of OpenID Connect: who signs in there, by the authorization code flow with PKCE.

Authlib speaks with the provider, joserfc reads its tokens. An ID token counts when a key of the provider has signed it,
by an algorithm with a public key, for this client, as the answer to the one request that it is for (nonce), and now.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from node.errors import NodeError
from node.operations.accounts import Identity
from node.settings.oidc import OidcSettings
from storage.accounts import LONGEST_SUBJECT, AccountRole

_TIMEOUT_S = 10.0
#: The clocks of two machines may differ so much.
_LEEWAY_S = 60
#: With a public key alone: whoever knows the client's secret could else make a token himself, and `none` has no key.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_LONGEST = 64


class ProviderError(NodeError):
    """The provider does not answer as it must, or nobody may come in by what it says; the message says why."""


class NoRoleError(ProviderError):
    """Who has signed in there has no role here; `subject` is whom it is about, as in `Identity`."""

    def __init__(self, subject: str) -> None:
        super().__init__("the provider gives you no role here")
        self.subject = subject


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to sign in that somebody was sent to the provider with.

    Attributes:
        address: of the provider, where it is answered.
        state: comes back with the answer.
        nonce: comes back in the token.
        verifier: shows the provider that the code is redeemed by who has asked (PKCE).
    """

    address: str
    state: str
    nonce: str
    verifier: str


class Provider:
    """One provider; safe for use by several threads."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._about: dict[str, Any] = {}
        self._keys: KeySet | None = None

    def ask(self, redirect_uri: str) -> Asked:
        """A request to sign in, whose answer comes to `redirect_uri`.

        Raises:
            ProviderError: it does not say where it is asked.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        with self._session(redirect_uri) as session:
            address, _ = session.create_authorization_url(
                self._endpoint("authorization_endpoint"), state=state, nonce=nonce, code_verifier=verifier
            )
        return Asked(address, state, nonce, verifier)

    def identity(self, nonce: str, verifier: str, redirect_uri: str, code: str, said_issuer: str = "") -> Identity:
        """Who has signed in, as the answer to what was `Asked` with these.

        `said_issuer` is what the answer names as its issuer (RFC 9207), where it does.

        Raises:
            NoRoleError: the provider gives no role to that one.
            ProviderError: the code or the token is none.
        """
        if said_issuer and said_issuer != self._settings.issuer:
            raise ProviderError("the answer is of another provider")
        try:
            with self._session(redirect_uri) as session:
                tokens = session.fetch_token(
                    self._endpoint("token_endpoint"), code=code, code_verifier=verifier, allow_redirects=False
                )
        except (AuthlibBaseError, requests.RequestException, ValueError, OSError) as error:
            raise ProviderError(f"the code was not redeemed: {_told(error)}") from error
        return self._identity(self._claims(tokens, nonce))

    def _claims(self, tokens: Mapping[str, Any], nonce: str) -> CodeIDToken:
        """What stands in the ID token, once it is known that it is one."""
        wanted = {
            "iss": {"essential": True, "value": self._settings.issuer},
            "aud": {"essential": True, "value": self._settings.client_id},
        }
        params = {
            "nonce": nonce,
            "client_id": self._settings.client_id,
            "access_token": tokens.get("access_token"),
        }
        try:
            token = self._decoded(str(tokens.get("id_token", "")))
            claims = CodeIDToken(token.claims, token.header, wanted, params)
            claims.validate(leeway=_LEEWAY_S)
        except (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError) as error:
            raise ProviderError(f"the ID token is none: {_told(error)}") from error
        return claims

    def _decoded(self, text: str) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(_ALGORITHMS), strict_check_header=False)
        try:
            return jwt.decode(text, self._key_set(), registry=registry)
        except InvalidKeyIdError:  # it may have got a new key
            return jwt.decode(text, self._key_set(anew=True), registry=registry)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        settings = self._settings
        subject = f"{settings.issuer} {claims['sub']}"
        if len(subject) > LONGEST_SUBJECT:
            raise ProviderError("the claim 'sub' is too long")
        roles = _roles(claims, settings.role_claim)
        if roles & set(settings.operators):
            role = AccountRole.OPERATOR
        elif roles & set(settings.viewers):
            role = AccountRole.VIEWER
        else:
            raise NoRoleError(subject)
        name = claims.get(settings.name_claim)
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST or not name.isprintable():
            raise ProviderError(f"the claim {settings.name_claim!r} holds no name of an account")
        return Identity(subject, name.strip(), role)

    def _endpoint(self, name: str) -> str:
        """An address that the provider says of itself."""
        with self._lock:
            if not self._about:
                about = self._got(self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
                if about.get("issuer") != self._settings.issuer:
                    raise ProviderError(f"the provider calls itself {about.get('issuer')!r}: set that as issuer")
                self._about = about
            found = self._about.get(name)
        if not isinstance(found, str) or not found.startswith(
            ("https:", self._settings.issuer.partition(":")[0] + ":")
        ):
            raise ProviderError(f"the provider says no {name}")
        return found

    def _key_set(self, anew: bool = False) -> KeySet:
        address = self._endpoint("jwks_uri")
        with self._lock:
            if anew or self._keys is None:
                self._keys = KeySet.import_key_set(self._got(address))  # type: ignore[arg-type]
            return self._keys

    def _got(self, address: str) -> dict[str, Any]:
        """A JSON object of the provider."""
        try:
            with self._session("") as session:
                answer = session.get(address, withhold_token=True, allow_redirects=False)
            answer.raise_for_status()
            found = answer.json()
        except (requests.RequestException, ValueError, OSError) as error:
            raise ProviderError(f"{address}: {_told(error)}") from error
        if not isinstance(found, dict):
            raise ProviderError(f"{address}: no JSON object")
        return found

    def _session(self, redirect_uri: str) -> OAuth2Session:
        settings = self._settings
        try:
            secret = settings.client_secret()
        except OSError as error:
            raise ProviderError(f"client_secret_file cannot be read: {error.strerror}") from error
        session = OAuth2Session(
            settings.client_id,
            secret or None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=" ".join(dict.fromkeys(("openid", *settings.scopes))),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            default_timeout=_TIMEOUT_S,
        )
        if settings.authorities:
            session.verify = str(settings.authorities)
        return session


def _roles(claims: Mapping[str, Any], path: str) -> set[str]:
    """The roles of a claim; where one of that very name is not there, dots lead into objects."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return {found}
    return {it for it in found if isinstance(it, str)} if isinstance(found, list) else set()


def _told(error: Exception) -> str:
    """In a line: Authlib and joserfc say a code and, sometimes, a description."""
    said = getattr(error, "description", "") or getattr(error, "error", "") or str(error)
    return str(said).splitlines()[0][:200] if said else type(error).__name__
