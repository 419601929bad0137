"""Queries of the catalogue: the entities of one level that fit keys of it and of those above (PS3.4 C.2.2.2).

What columns can decide, the database decides; the rest is looked at in the elements of what it finds. Entities come in
portions, each read in a transaction of its own, so that nobody who reads slowly holds a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from pydicom.datadict import tag_for_keyword
from sqlalchemy import ColumnElement, Connection, Engine, FromClause, Select, select

from storage import catalogue_schema as tables
from storage.catalogue import columns, fitting, ranges
from storage.catalogue.attributes import COUNTED, READ, Level, keywords
from storage.catalogue.entity import TABLES, Entity, columns_of, entity_of
from storage.catalogue.keys import Key, Query, key
from storage.catalogue.withdrawn import Withdrawn, read_withdrawn

PORTION = 500
"""Entities that are read at once."""

_Fits = Callable[[Entity], bool]


def portions(engine: Engine, query: Query, portion: int = PORTION) -> Iterator[list[Entity]]:
    """The entities that fit, by their age, some at a time; a portion may have none.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    fits = _rest(query)
    withdrawn: Withdrawn | None = None
    after = 0
    while True:
        with engine.connect() as connection:
            withdrawn = withdrawn or read_withdrawn(connection)
            found = _read(connection, query, withdrawn, portion, after)
        yield [entity for entity in found if not entity.hidden and fits(entity)]
        if len(found) < portion:
            return
        after = found[-1].identifier


def find(connection: Connection, level: Level, keys: Mapping[str, str], limit: int) -> list[Entity]:
    """The first `limit` entities that fit keys by keyword, several values with a backslash between.

    Raises:
        KeyError: a keyword is no key of these levels.
    """
    if unknown := keys.keys() - keywords(level):
        raise KeyError(f"{', '.join(sorted(unknown))}: no key at {level} level")
    query = Query(level, tuple(key(keyword, value.split("\\")) for keyword, value in keys.items()))
    fits = _rest(query)
    withdrawn, after, found = read_withdrawn(connection), 0, list[Entity]()
    while len(found) < limit:
        read = _read(connection, query, withdrawn, limit, after)
        found += [entity for entity in read if not entity.hidden and fits(entity)]
        if len(read) < limit:
            break
        after = read[-1].identifier
    return found[:limit]


def statement(dialect: str, query: Query, limit: int, after: int = 0) -> Select[tuple[object, ...]]:
    """What the database is asked for: at most `limit` entities, whose identifiers are above `after`."""
    source: FromClause = tables.patient
    fitting_here: list[ColumnElement[bool]] = []
    for above, each in pairwise((None, *query.level.and_above)):
        assert each is not None
        table = TABLES[each]
        if above is not None:
            source = source.join(table)
            # What is above is found first, and by it what is below: joined, SQLite might go through all instances.
            fitting_here = (
                [table.c[above.lower()].in_(select(TABLES[above].c.identifier).where(*fitting_here))]
                if fitting_here
                else []
            )
        fitting_here += _conditions(dialect, query, each)
    identifier = TABLES[query.level].c.identifier
    if after:
        fitting_here.append(identifier > after)
    if query.level is Level.PATIENT:
        fitting_here.append(tables.patient.c.patient_id != "")  # an entity has a unique key (PS3.4 C.2.2.1.1)
    return select(*columns_of(query.level)).select_from(source).where(*fitting_here).order_by(identifier).limit(limit)


def _read(connection: Connection, query: Query, withdrawn: Withdrawn, limit: int, after: int) -> list[Entity]:
    rows = connection.execute(statement(connection.dialect.name, query, limit, after)).all()
    return [entity_of(query.level, row, withdrawn) for row in rows]


def _level_of(keyword: str) -> Level:
    return next(level for level in Level if keyword in READ[level] or keyword in COUNTED[level])


def _conditions(dialect: str, query: Query, level: Level) -> list[ColumnElement[bool]]:
    """What columns of a level decide."""
    pairs = _pairs(query)
    paired = {keyword for date in pairs for keyword in (date, _time_of(date))}
    conditions = [
        columns.condition(dialect, level, each)
        for each in query.keys
        if _level_of(each.keyword) is level and each.keyword not in paired
    ]
    conditions += [columns.combined(level, date, span) for date, span in pairs.items() if _level_of(date) is level]
    return [each for each in conditions if each is not None]


def _rest(query: Query) -> _Fits:
    """What columns do not decide."""
    pairs = _pairs(query)
    paired = {keyword for date in pairs for keyword in (date, _time_of(date))}
    left = [each for each in query.keys if each.keyword not in paired and not _is_decided(each)]
    spans = [
        (span, _tag(date), _tag(_time_of(date)))
        for date, span in pairs.items()
        if columns.combined(_level_of(date), date, span) is None
    ]
    if not left and not spans:
        return lambda _entity: True

    def fits(entity: Entity) -> bool:
        elements = entity.elements
        zones = fitting.zones_of(elements, query.zone, query.site_zone)
        return all(fitting.fits(each, elements, zones) for each in left) and all(
            fitting.pair_fits(*span, elements) for span in spans
        )

    return fits


def _is_decided(each: Key) -> bool:
    return columns.is_exact(_level_of(each.keyword), each)


def _pairs(query: Query) -> dict[str, ranges.Span]:
    """Spans of dates and their times, by the keyword of the date, where both are asked for as one range."""
    if not query.combined:
        return {}
    single = {each.keyword: each.values[0] for each in query.keys if len(each.values) == 1}
    spans = {
        date: ranges.combined(value, single[_time_of(date)])
        for date, value in single.items()
        if date.endswith("Date") and _time_of(date) in single
    }
    return {date: span for date, span in spans.items() if span is not None}


def _time_of(date: str) -> str:
    return date.removesuffix("Date") + "Time"


def _tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"
