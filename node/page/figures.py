"""Figures over time: disk, memory and steps of the machine, and what came of the studies of each scanner."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from node.operations.machine import Machine, machine
from node.operations.scanners import scanners
from node.page.plots import bars, line
from node.page.rendering import Pages
from node.page.visitors import Visitor, Visitors
from storage.samples import Sample

_GIGABYTE = 1e9
_POINTS = 400
"""Of a line at the most; more cannot be seen."""


@dataclass(frozen=True, slots=True)
class Day:
    """The least that was free on a day, in GB."""

    day: date
    disk_gb: float
    memory_gb: float


def figures_routes(engine: Engine, root: Path, visitors: Visitors, pages: Pages) -> APIRouter:
    """The two pages."""
    router = APIRouter(prefix="/node")
    Looking = Annotated[Visitor, Depends(visitors.visitor)]  # noqa: N806 - a type

    @router.get("/machine")
    def of_machine(request: Request, visitor: Looking) -> Response:
        found = machine(engine, root)
        said = {"here": "/node/machine", "found": found, "days": _days(found.samples, pages), **_plots(found)}
        return pages.page(request, "node_machine.html", visitor, said)

    @router.get("/scanners")
    def of_scanners(request: Request, visitor: Looking) -> Response:
        lines = [(it, bars([(week.studies, week.failed) for week in it.weeks])) for it in scanners(engine)]
        return pages.page(request, "node_scanners.html", visitor, {"here": "/node/scanners", "lines": lines})

    return router


def _plots(found: Machine) -> dict[str, Any]:
    every = max(1, len(found.samples) // _POINTS)
    some = found.samples[::every]
    disk = [(it.taken_at, it.disk_free / _GIGABYTE) for it in some]
    memory = [(it.taken_at, it.memory_available / _GIGABYTE) for it in some]
    longest = max((it.ninth_decile_s for it in found.steps), default=0.0)
    return {
        "disk": line(disk) if disk else None,
        "memory": line(memory) if memory else None,
        "analyses": line(found.analyses[-_POINTS:], joined=False) if found.analyses else None,
        "shares": {it.name: (_share(it.median_s, longest), _share(it.ninth_decile_s, longest)) for it in found.steps},
        "last": found.samples[-1] if found.samples else None,
    }


def _share(value: float, most: float) -> float:
    """Of a bar of 300 pixels."""
    return round(300 * value / most, 1) if most else 0.0


def _days(samples: Sequence[Sample], pages: Pages) -> list[Day]:
    by_day: dict[date, list[Sample]] = defaultdict(list)
    for it in samples:
        by_day[pages.local(it.taken_at).date()].append(it)
    return [
        Day(
            day,
            min(it.disk_free for it in its) / _GIGABYTE,
            min(it.memory_available for it in its) / _GIGABYTE,
        )
        for day, its in by_day.items()
    ]
