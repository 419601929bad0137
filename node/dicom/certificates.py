"""The certificate of this node: until when it is good."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from node.settings import Credentials

#: Before its end: enough for an order at a slow authority.
WARN_BEFORE = timedelta(days=30)


def expiry_warning(credentials: Credentials, now: datetime) -> str:
    """That the certificate has ended, or ends soon, and what to do; empty where neither is so, or it cannot be read."""
    end = _end(credentials.certificate)
    if end is None or end - now > WARN_BEFORE:
        return ""
    when = f"has expired on {end:%Y-%m-%d}" if end <= now else f"expires on {end:%Y-%m-%d}"
    new = "put a new one, with its key, in the place of the files: no restart is needed"
    return f"the TLS certificate {credentials.certificate} {when}: {new}"


def _end(path: Path) -> datetime | None:
    """The end of the first certificate of a file, or of one after it that ends before it."""
    from cryptography import x509  # loaded where TLS is used alone

    try:
        return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError):
        return None  # whoever makes a context of it says what is wrong
