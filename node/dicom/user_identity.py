"""User identity negotiation (PS3.7 D.3.3.7): who an association is for, by user name and passcode."""

from __future__ import annotations

import hmac
from pathlib import Path

from pynetdicom.pdu_primitives import UserIdentityNegotiation

from node.settings import RemoteSettings

_NAME, _NAME_AND_PASSCODE = 1, 2


def requested(remote: RemoteSettings) -> UserIdentityNegotiation | None:
    """The item with which this node calls a remote; None where none is configured.

    Raises:
        OSError: the file with the passcode cannot be read.
    """
    if not remote.username:
        return None
    item = UserIdentityNegotiation()
    item.user_identity_type = _NAME_AND_PASSCODE if remote.passcode_file else _NAME
    item.primary_field = remote.username.encode()
    if remote.passcode_file:
        item.secondary_field = _passcode(remote.passcode_file)
    # Whoever knows nothing of identities accepts without an answer, and it is not for the caller to refuse that.
    item.positive_response_requested = True
    return item


def mismatch(remote: RemoteSettings, presented: UserIdentityNegotiation | None) -> str:
    """Why what a caller presents is not the identity of a remote; empty where it is, or where the remote has none."""
    if not remote.username:
        return ""
    if presented is None:
        return "it presents no user identity"
    name, passcode = presented.primary_field or b"", presented.secondary_field or b""
    if not hmac.compare_digest(name, remote.username.encode()):
        return "it presents another user name"
    if remote.passcode_file is None:
        return ""
    try:
        known = _passcode(remote.passcode_file)
    except OSError as error:
        return f"{remote.passcode_file} cannot be read ({error.strerror})"
    if presented.user_identity_type != _NAME_AND_PASSCODE:
        return "it presents no passcode"
    return "" if hmac.compare_digest(passcode, known) else "it presents another passcode"


def positive_response() -> UserIdentityNegotiation:
    """The item of the acceptor; of a user name it is empty (PS3.7 Table D.3-15)."""
    item = UserIdentityNegotiation()
    item.server_response = b""
    return item


def _passcode(path: Path) -> bytes:
    """Without the line feed that an editor leaves at the end.

    Raises:
        OSError: the file cannot be read.
    """
    return path.read_bytes().rstrip(b"\r\n")
