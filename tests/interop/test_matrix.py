"""Every service in both roles with every real part, over real sockets.

The suite runs the rows that are `short`, `make interop` all. What a row looks at is a function in the module of its
service, which takes fixtures by their names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ..parts.node import Node
from . import committing, echo, fetching, finding, retrieving, storing, web


@dataclass(frozen=True)
class Row:
    """What a part asks of the node, or the node of a part; `short`: also in the suite."""

    service: str
    part: str
    check: Callable[..., None]
    short: bool = False


THE_NODE_IS_ASKED = (
    Row("C-ECHO", "echoscu", echo.by_echoscu),
    Row("C-ECHO", "pynetdicom", echo.by_pynetdicom),
    Row("C-ECHO", "Orthanc", echo.by_orthanc, short=True),
    Row("C-ECHO", "dcmjs-dimse", echo.by_dcmjs),
    Row("Shutdown", "termscu", echo.by_termscu, short=True),
    Row("C-STORE", "storescu", storing.by_storescu),
    Row("C-STORE", "pynetdicom", storing.by_pynetdicom),
    Row("C-STORE", "Orthanc", storing.by_orthanc, short=True),
    Row("C-STORE", "Orthanc, movescu", storing.by_orthanc_told_by_movescu),
    Row("C-STORE", "dcmqrscp, movescu", storing.by_dcmqrscp),
    Row("C-STORE", "dcmjs-dimse", storing.by_dcmjs, short=True),
    Row("C-FIND", "findscu", finding.by_findscu, short=True),
    Row("C-FIND in each model", "findscu", finding.by_findscu_in_each_model),
    Row("C-FIND", "pynetdicom", finding.by_pynetdicom),
    Row("C-FIND", "Orthanc", finding.by_orthanc, short=True),
    Row("C-FIND", "dcmjs-dimse", finding.by_dcmjs),
    Row("C-MOVE", "movescu", retrieving.move_by_movescu, short=True),
    Row("C-MOVE at each level", "movescu", retrieving.move_by_movescu_at_each_level),
    Row("C-MOVE to nobody", "movescu", retrieving.move_to_nobody_by_movescu),
    Row("C-MOVE", "pynetdicom", retrieving.move_by_pynetdicom),
    Row("C-MOVE", "Orthanc", retrieving.move_by_orthanc),
    Row("C-MOVE", "dcmjs-dimse", retrieving.move_by_dcmjs),
    Row("C-GET", "getscu", retrieving.get_by_getscu, short=True),
    Row("C-GET", "pynetdicom", retrieving.get_by_pynetdicom),
    Row("C-GET", "dcmjs-dimse", retrieving.get_by_dcmjs),
    Row("Commitment", "Orthanc", committing.by_orthanc, short=True),
    Row("Commitment", "pynetdicom", committing.by_pynetdicom),
    Row("Commitment", "dcmjs-dimse", committing.by_dcmjs),
    Row("QIDO-RS", "dicomweb-client", web.searched_by_dicomweb_client),
    Row("QIDO-RS", "Orthanc", web.searched_by_orthanc),
    Row("WADO-RS", "dicomweb-client", web.fetched_by_dicomweb_client),
    Row("WADO-RS", "Orthanc", web.fetched_by_orthanc),
    Row("STOW-RS", "dicomweb-client", web.stored_by_dicomweb_client),
    Row("STOW-RS", "Orthanc", web.stored_by_orthanc, short=True),
)

THE_NODE_ASKS = (
    Row("C-ECHO", "storescp", echo.of_storescp),
    Row("C-ECHO", "dcmqrscp", echo.of_dcmqrscp),
    Row("C-ECHO", "Orthanc", echo.of_orthanc),
    Row("C-ECHO", "pynetdicom", echo.of_pynetdicom),
    Row("C-ECHO", "dcmjs-dimse", echo.of_dcmjs),
    Row("C-STORE", "storescp", storing.to_storescp),
    Row("C-STORE", "dcmqrscp", storing.to_dcmqrscp, short=True),
    Row("C-STORE", "Orthanc", storing.to_orthanc),
    Row("C-STORE", "pynetdicom", storing.to_pynetdicom),
    Row("C-STORE", "dcmjs-dimse", storing.to_dcmjs),
    Row("C-FIND", "Orthanc", finding.of_orthanc),
    Row("C-FIND", "dcmqrscp", finding.of_dcmqrscp, short=True),
    Row("C-FIND", "pynetdicom", finding.of_pynetdicom),
    Row("C-FIND", "dcmjs-dimse", finding.of_dcmjs),
    Row("C-MOVE", "Orthanc", fetching.move_from_orthanc, short=True),
    Row("C-MOVE", "dcmqrscp", fetching.move_from_dcmqrscp),
    Row("C-MOVE", "pynetdicom", fetching.move_from_pynetdicom),
    Row("C-MOVE", "dcmjs-dimse", fetching.move_from_dcmjs),
    Row("C-GET", "Orthanc", fetching.get_from_orthanc),
    Row("C-GET", "dcmqrscp", fetching.get_from_dcmqrscp, short=True),
    Row("C-GET", "pynetdicom", fetching.get_from_pynetdicom),
    Row("C-GET", "dcmjs-dimse", fetching.get_from_dcmjs),
    Row("Commitment", "Orthanc", committing.of_orthanc, short=True),
    Row("Commitment", "pynetdicom", committing.of_pynetdicom),
    Row("Commitment", "dcmjs-dimse", committing.of_dcmjs),
    Row("STOW-RS without an object", "Orthanc", web.asked_whether_orthanc_takes_results),
    Row("STOW-RS", "Orthanc", web.stored_in_orthanc, short=True),
)


def rows(table: tuple[Row, ...]) -> pytest.MarkDecorator:
    """Each row as a test of its own."""
    parameters = [
        pytest.param(row, id=f"{row.service}, {row.part}", marks=() if row.short else pytest.mark.interop)
        for row in table
    ]
    return pytest.mark.parametrize("row", parameters)


def check(row: Row, request: pytest.FixtureRequest, **given: object) -> None:
    """Look at a row, whose function says by the names of its arguments what it needs."""
    wanted = inspect.signature(row.check).parameters
    row.check(**{name: given[name] if name in given else request.getfixturevalue(name) for name in wanted})


@rows(THE_NODE_IS_ASKED)
def test_the_node_is_asked(row: Row, node: Node, request: pytest.FixtureRequest) -> None:
    check(row, request, node=node)


@rows(THE_NODE_ASKS)
def test_the_node_asks(row: Row, node: Node, request: pytest.FixtureRequest) -> None:
    check(row, request, node=node)
