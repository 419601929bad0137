"""Who may look at the page: accounts, the links by which people set their passwords, and signing in.

A password is kept as argon2id makes it. A link works once, for a day; it is shown when it is made and kept nowhere.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Engine

from node.clock import utc_now
from node.errors import NodeError
from storage.accounts import Account, AccountRole, Accounts
from storage.audit import Audit, AuditAction, AuditEvent

log = logging.getLogger(__name__)

FIRST = "operator"
"""The account that the first start makes."""

LINK_LASTS = timedelta(hours=24)
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256
_LONGEST_NAME = 64
_TOKEN_BYTES = 32

_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account as it is listed; `has_password` is False until the person has used a link, and of one that signs in at
    a provider (`at_provider`)."""

    name: str
    role: AccountRole
    has_password: bool
    created_at: datetime
    at_provider: bool = False


@dataclass(frozen=True, slots=True)
class AccountList:
    """Every account, by name."""

    accounts: tuple[AccountLine, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link that lets the person of an account set a password, once; `path` is that below the page's address."""

    account: str
    path: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Removed:
    """An account that is no more; what was done and said under its name stays on record."""

    account: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has signed in at a provider.

    Attributes:
        subject: issuer of the provider, and what it will always call that one.
        name: of the account.
        role: what the provider's roles mean here.
    """

    subject: str
    name: str
    role: AccountRole


def accounts(engine: Engine) -> AccountList:
    """Every account."""
    return AccountList(
        tuple(
            AccountLine(it.name, it.role, bool(it.password_hash), it.created_at, bool(it.subject))
            for it in Accounts(engine).all()
        )
    )


def first_link(engine: Engine) -> Link | None:
    """A link for the first operator, whose account is made where there is none.

    None where an operator has a password already. A start before the link was used makes another one.
    """
    known = Accounts(engine)
    operators = [it for it in known.all() if it.role is AccountRole.OPERATOR and not it.subject]
    if any(it.password_hash for it in operators):
        return None
    if not operators:
        add(engine, FIRST, AccountRole.OPERATOR)
    return link(engine, operators[0].name if operators else FIRST)


def add(engine: Engine, name: str, role: AccountRole, by: str = "") -> Link:
    """Make an account, and its first link; `by` goes on record, empty: the node itself.

    Raises:
        NodeError: the name is none.
        StorageError: there is an account of that name.
    """
    if not name.strip() or name != name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise NodeError(f"a name of an account has 1 to {_LONGEST_NAME} printable characters")
    Accounts(engine).add(name, role, utc_now())
    _on_record(engine, by, name, f"made: {role}")
    return link(engine, name, by)


def link(engine: Engine, name: str, by: str = "") -> Link:
    """A new link for an account, in place of an earlier one; the password stays until it is used. `by`: as of `add`.

    Raises:
        NodeError: there is no such account, or it signs in at a provider.
    """
    known = Accounts(engine)
    found = known.find(name)
    if found is None:
        raise NodeError(f"account {name!r}: there is none")
    if found.subject:
        raise NodeError(f"account {name!r} has no password here: it signs in at a provider")
    token, expires_at = secrets.token_urlsafe(_TOKEN_BYTES), utc_now() + LINK_LASTS
    known.keep_link(name, token, expires_at)
    _on_record(engine, by, name, "a link to set its password was made")
    return Link(name, f"/welcome/{token}", expires_at)


def remove(engine: Engine, name: str, by: str = "") -> Removed:
    """Remove an account with its sessions; `by`: as of `add`.

    Raises:
        NodeError: there is no such account, or no other operator could sign in.
    """
    known = Accounts(engine)
    others = [it for it in known.all() if it.name != name]
    if len(others) == len(known.all()):
        raise NodeError(f"account {name!r}: there is none")
    if not any(it.role is AccountRole.OPERATOR and it.password_hash for it in others):
        raise NodeError(f"account {name!r} stays: no other operator has a password yet")
    known.remove(name)
    _on_record(engine, by, name, "removed")
    return Removed(name)


def set_password(engine: Engine, token: str, password: str) -> Account:
    """Set the password of the account of a link, which ends with it.

    Raises:
        NodeError: the link is used, over, or none; or the password is too short or too long.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise NodeError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    found = Accounts(engine).use_link(token, _hasher.hash(password), utc_now())
    if found is None:
        raise NodeError("this link was used or is over: an operator can give you another one")
    return found


def sign_in(engine: Engine, name: str, password: str) -> Account | None:
    """The account of a name and its password; None for any other, which takes as long."""
    found = Accounts(engine).find(name) if len(name) <= _LONGEST_NAME else None
    kept = found.password_hash if found is not None and found.password_hash else _nobodys()
    try:
        _hasher.verify(kept, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    return found


def admit(engine: Engine, identity: Identity) -> Account:
    """The account of who has signed in at the provider, with the role of today.

    Raises:
        NodeError: the name is that of another account, which nobody becomes by it.
    """
    found = Accounts(engine).admit(identity.subject, identity.name, identity.role, utc_now())
    if found is None:
        raise NodeError(f"there is another account of the name {identity.name!r} here: ask an operator")
    return found


def turn_away(engine: Engine, subject: str) -> None:
    """End the sessions of who has no role at the provider any more."""
    if ended := Accounts(engine).end_sessions(subject):
        log.warning("%d open sessions have ended: the provider gives their account no role any more", ended)


def _on_record(engine: Engine, by: str, name: str, what: str) -> None:
    Audit(engine).add(AuditEvent(utc_now(), AuditAction.CHANGED_ACCOUNT, True, by, subject=name, detail=what))


@cache
def _nobodys() -> str:
    """The hash of a password that nobody has."""
    return _hasher.hash(secrets.token_urlsafe(_TOKEN_BYTES))
