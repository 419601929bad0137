"""Who may look at the page: accounts, one-time links that set a password, and sessions.

Of a link and of a session the digest of its token is kept: who reads the database can use neither.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Engine, Row, Select, delete, insert, select, update

from storage import database
from storage.errors import StorageError
from storage.page_schema import LONGEST_SUBJECT as LONGEST_SUBJECT
from storage.page_schema import account, account_link, web_session

#: A session that is used is written down as seen so often at the most.
_SEEN_EVERY = timedelta(minutes=1)


class AccountRole(StrEnum):
    """What an account may do: a viewer looks and gives verdicts, an operator orders as well."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may look at the page.

    Attributes:
        name: here, and of everything that was said and done.
        role: what it may do.
        password_hash: empty until the person has set a password.
        created_at: when it was made.
        subject: of who signs in at a provider, its issuer and its own name of that one; empty for a local account.
    """

    name: str
    role: AccountRole
    password_hash: str
    created_at: datetime
    subject: str = ""


class Accounts:
    """The accounts of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str, role: AccountRole, now: datetime) -> None:
        """Make an account without a password.

        Raises:
            StorageError: there is one of that name.
        """

        def make(connection: Connection) -> bool:
            if _found(connection, name) is not None:
                return False
            connection.execute(insert(account).values(name=name, role=role, password_hash="", created_at=now))
            return True

        if not database.transact(self._engine, make):
            raise StorageError(f"account {name!r}: there is one already")

    def admit(self, subject: str, name: str, role: AccountRole, now: datetime) -> Account | None:
        """The account of who has signed in at a provider, with the role of today; made where there is none.

        None where it would be made, and the name is another's.
        """

        def enter(connection: Connection) -> Account | None:
            known = connection.scalar(select(account.c.name).where(account.c.subject == subject))
            if known is not None:
                connection.execute(update(account).where(account.c.name == known).values(role=role))
                return _found(connection, known)
            if _found(connection, name) is not None:
                return None
            values = {"name": name, "role": role, "password_hash": "", "created_at": now, "subject": subject}
            connection.execute(insert(account).values(values))
            return _found(connection, name)

        return database.transact(self._engine, enter)

    def end_sessions(self, subject: str) -> int:
        """End all sessions of who signs in at a provider, such as of one who has no role there any more; how many."""
        of_subject = select(account.c.name).where(account.c.subject == subject)
        with database.writing(self._engine).begin() as connection:
            return connection.execute(delete(web_session).where(web_session.c.account.in_(of_subject))).rowcount

    def find(self, name: str) -> Account | None:
        """The account of a name."""
        with self._engine.connect() as connection:
            return _found(connection, name)

    def all(self) -> tuple[Account, ...]:
        """Every account, by name."""
        with self._engine.connect() as connection:
            return tuple(map(_account, connection.execute(select(account).order_by(account.c.name))))

    def remove(self, name: str) -> bool:
        """Remove an account with its links and sessions; whether there was one."""
        with database.writing(self._engine).begin() as connection:
            connection.execute(delete(account_link).where(account_link.c.account == name))
            connection.execute(select(account.c.name).where(account.c.name == name).with_for_update())
            connection.execute(delete(web_session).where(web_session.c.account == name))
            return bool(connection.execute(delete(account).where(account.c.name == name)).rowcount)

    # --- links

    def keep_link(self, name: str, token: str, expires_at: datetime) -> None:
        """Keep the one link of an account; an earlier one ends."""
        with database.writing(self._engine).begin() as connection:
            connection.execute(delete(account_link).where(account_link.c.account == name))
            values = {"digest": digest(token), "account": name, "expires_at": expires_at}
            connection.execute(insert(account_link).values(values))

    def link_of(self, token: str, now: datetime) -> Account | None:
        """Whose link that is; None for one that is used, over, or was never given."""
        with self._engine.connect() as connection:
            name = connection.scalar(_link(token, now))
            return None if name is None else _found(connection, name)

    def use_link(self, token: str, password_hash: str, now: datetime) -> Account | None:
        """Set the password of the account of a link, which ends, as all sessions of the account do."""
        with database.writing(self._engine).begin() as connection:
            # Of several who use it at once one has deleted it.
            used = delete(account_link).where(account_link.c.digest == digest(token), account_link.c.expires_at > now)
            name = connection.scalar(used.returning(account_link.c.account))
            if name is None:
                return None
            # Before its sessions: until one that is just being begun is there to be deleted, it has this row.
            connection.execute(update(account).where(account.c.name == name).values(password_hash=password_hash))
            connection.execute(delete(web_session).where(web_session.c.account == name))
            return _found(connection, name)

    # --- sessions

    def begin_session(self, verified: Account, token: str, now: datetime, expires_at: datetime) -> bool:
        """Begin a session, and forget those that are over.

        False, and none is begun, where the account has got another password since it was `verified`, or is gone.
        """
        same = (account.c.name == verified.name, account.c.password_hash == verified.password_hash)
        with database.writing(self._engine).begin() as connection:
            if connection.scalar(select(account.c.name).where(*same).with_for_update()) is None:
                return False
            connection.execute(delete(web_session).where(web_session.c.expires_at <= now))
            values = {"digest": digest(token), "account": verified.name, "seen_at": now, "expires_at": expires_at}
            connection.execute(insert(web_session).values(values))
            return True

    def session(self, token: str, now: datetime, idle: timedelta, used: bool = True) -> Account | None:
        """Whose session that is; None for one that has ended, or was not used for so long.

        It is not `used` by what a browser asks for when nobody is at it.
        """
        table = web_session
        query = (
            select(account, table.c.seen_at)
            .join(table, table.c.account == account.c.name)
            .where(table.c.digest == digest(token), table.c.expires_at > now, table.c.seen_at > now - idle)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if used and row.seen_at <= now - _SEEN_EVERY:
            with database.writing(self._engine).begin() as connection:
                connection.execute(update(table).where(table.c.digest == digest(token)).values(seen_at=now))
        return _account(row)

    def end_session(self, token: str) -> None:
        """Nobody comes in by it any more."""
        with database.writing(self._engine).begin() as connection:
            connection.execute(delete(web_session).where(web_session.c.digest == digest(token)))


def digest(token: str) -> str:
    """What is kept of a token: its SHA-256; it has enough random bits that nobody can guess it from that."""
    return hashlib.sha256(token.encode()).hexdigest()


def _link(token: str, now: datetime) -> Select[str]:
    return select(account_link.c.account).where(account_link.c.digest == digest(token), account_link.c.expires_at > now)


def _found(connection: Connection, name: str) -> Account | None:
    row = connection.execute(select(account).where(account.c.name == name)).one_or_none()
    return None if row is None else _account(row)


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(row.name, AccountRole(row.role), row.password_hash, row.created_at, row.subject or "")
