"""A small provider of OpenID Connect on a port of its own: real HTTP, signed tokens, and what can be wrong with them.

It shares no code with the libraries of the node: signatures are made with `cryptography` after RFC 7515 and RFC 7518.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CLIENT = "rectal-node"
SECRET = "a secret of the client+/ :%"


def b64(data: bytes) -> str:
    """base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(value: object) -> str:
    return b64(json.dumps(value).encode())


class OpenIdProvider:
    """Everybody who comes is `claims`.

    Attributes:
        claims: of the next tokens, over the usual ones; None leaves one out.
        header: of the next tokens, over the usual one.
        key: that signs; `publish` makes it known.
        forge: makes the signature of a token, instead of `key`.
        asked: the requests that browsers came with.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.issuer = ""
        self._codes: dict[str, dict[str, str]] = {}
        self.keys: list[dict[str, str]] = []
        self.publish()
        self._first = self.key, self.kid, self.keys
        self.mend()

    def mend(self) -> None:
        """Be in order again, with the first key."""
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.forge: Any = None
        self.key, self.kid, self.keys = self._first

    def publish(self, kid: str = "one", known: bool = True) -> None:
        """Sign with a new key from now on, which the provider says to be its own or not."""
        self.key, self.kid = rsa.generate_private_key(65537, 2048), kid
        numbers = self.key.public_key().public_numbers()
        if known:
            of_key = {name: b64(value.to_bytes((value.bit_length() + 7) // 8)) for name, value in vars_of(numbers)}
            self.keys = [{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", **of_key}]

    def public_pem(self) -> bytes:
        """The public key, which an attacker may take for the secret of an HMAC."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(self, nonce: str) -> str:
        """An ID token (OpenID Connect Core 1.0, section 2)."""
        now = int(time.time())
        usual = {"iss": self.issuer, "sub": "0001", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce}
        usual |= {"preferred_username": "petra", "roles": ["radiologists"]}
        claims = {name: value for name, value in (usual | self.claims).items() if value is not None}
        signed = f"{_json({'alg': 'RS256', 'kid': self.kid} | self.header)}.{_json(claims)}"
        if self.forge:
            return f"{signed}.{b64(self.forge(signed.encode()))}"
        return f"{signed}.{b64(self.key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    def about(self) -> dict[str, Any]:
        """What it says of itself (OpenID Connect Discovery 1.0)."""
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {"issuer": self.issuer, **{name: f"{self.issuer}/{path}" for name, path in places.items()}}

    def answer(self, asked: dict[str, str]) -> str:
        """Where a browser is sent with the code for its request."""
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer})}"

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Tokens for a code (RFC 6749 4.1.3), once, to who has asked for it (RFC 7636)."""
        asked = self._codes.pop(form.get("code", ""), None)
        wanted = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if authorization != f"Basic {wanted}":
            return 401, {"error": "invalid_client"}
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "opaque", "token_type": "Bearer", "id_token": self.token(asked["nonce"])}


def vars_of(numbers: rsa.RSAPublicNumbers) -> list[tuple[str, int]]:
    """Modulus and exponent as JWK calls them (RFC 7518 6.3.1)."""
    return [("n", numbers.n), ("e", numbers.e)]


def hmac_of(secret: bytes) -> Any:
    """What signs by HS256."""
    return lambda signed: hmac.digest(secret, signed, "sha256")


class _Handler(BaseHTTPRequestHandler):
    provider: OpenIdProvider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            self._say(200, self.provider.about())
        elif parts.path == "/keys":
            self._say(200, {"keys": self.provider.keys})
        elif parts.path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.provider.answer(_first(parts.query)))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._say(404, {})

    def do_POST(self) -> None:
        form = _first(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._say(*self.provider.redeem(form, self.headers.get("Authorization", "")))

    def _say(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def _first(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


@contextmanager
def running_provider(host: str = "127.0.0.1") -> Iterator[OpenIdProvider]:
    """A provider whose issuer names `host`, a name of this machine."""
    provider = OpenIdProvider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_OfOne", (_Handler,), {"provider": provider}))
    provider.issuer = f"http://{host}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield provider
    server.shutdown()
    server.server_close()
