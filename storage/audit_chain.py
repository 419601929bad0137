"""What the database knows of the chained files of the audit, so that who can write these alone cannot make them anew.

The digest of every line is in the database before the line is in a file (`AuditChain.begin`): whatever a process leaves
behind when it is killed, each line that is found was announced, or was written by somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Engine, insert, select, update

from storage import database
from storage.audit_schema import audit_position, audit_resumption

TARGET = "file"
"""Of the files among the places that events go to."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far events have been written to a place.

    Attributes:
        event: the last one.
        digest: of its line, SHA-256 in hexadecimal digits; empty where there are no lines.
        file: number of the file that was written last; 0 where there are none.
    """

    event: int
    digest: str = ""
    file: int = 0


@dataclass(frozen=True, slots=True)
class Chained:
    """What is known of the files.

    Attributes:
        position: what was written last, and is durable.
        begun: event and digest of the lines that come next; of these any number may be in the files.
        is_put_back: whether the database is older than the files, as `restore` and `reindex` leave it.
        resumed: digests of lines behind which the numbers go back for that reason.
    """

    position: Position = Position(0)
    begun: tuple[tuple[int, str], ...] = ()
    is_put_back: bool = False
    resumed: frozenset[str] = frozenset()


class AuditChain:
    """What one database knows of its files; written by whoever holds their lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def state(self) -> Chained:
        """What is known now."""
        with self._engine.connect() as connection:
            row = connection.execute(select(audit_position).where(audit_position.c.target == TARGET)).first()
            resumed = frozenset(connection.scalars(select(audit_resumption.c.digest)))
        if row is None:
            return Chained(resumed=resumed)
        begun = tuple((int(event), digest) for event, digest in (it.split(":") for it in row.begun.split()))
        return Chained(Position(row.event, row.digest, row.file), begun, row.is_put_back, resumed)

    def begin(self, position: Position, lines: Sequence[tuple[int, str]]) -> None:
        """All is written up to a position, and lines with these events and digests come next."""
        with database.writing(self._engine).begin() as connection:
            _keep(connection, position, " ".join(f"{event}:{digest}" for event, digest in lines))

    def keep(self, position: Position, resumed: Iterable[str] = ()) -> None:
        """All is written up to a position; behind the lines of these digests the numbers go back."""
        with database.writing(self._engine).begin() as connection:
            _keep(connection, position, "")
            for digest in set(resumed) - set(connection.scalars(select(audit_resumption.c.digest))):
                connection.execute(insert(audit_resumption).values(digest=digest))


def mark_put_back(connection: Connection) -> None:
    """Say that the database is older than the files may be, in a transaction that writes."""
    if not _updated(connection, is_put_back=True):
        connection.execute(insert(audit_position).values(target=TARGET, event=0, digest="", is_put_back=True))


def _keep(connection: Connection, position: Position, begun: str) -> None:
    values = asdict(position) | {"begun": begun, "is_put_back": False}
    if not _updated(connection, **values):
        connection.execute(insert(audit_position).values(target=TARGET, **values))


def _updated(connection: Connection, **values: object) -> bool:
    done = connection.execute(update(audit_position).where(audit_position.c.target == TARGET).values(values))
    return bool(done.rowcount)
