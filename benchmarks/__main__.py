"""Run every measurement, one after another, and write the page: `make bench`.

A part that has ended is not run again for the same commit, so that an interrupted run goes on; `--fresh` begins anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.comparison import slower
from benchmarks.page import machine, write_page
from benchmarks.record import TABLE, Row, read_rows, write_rows

ROOT = Path(__file__).parents[1]
PARTS = ("receiving", "delivery", "networks", "radiomics", "encoding", "growth", "turnaround")
PUBLISHED = ROOT / "docs" / "performance"
TABLE_NAME = "measurements.csv"
ORIGINS_NAME = "origins.json"  # commit and machine of each part


def main(
    parts: Annotated[list[str] | None, typer.Argument(help="Parts to run; without: all.")] = None,
    fresh: Annotated[bool, typer.Option(help="Run parts again that have ended.")] = False,
    publish: Annotated[bool, typer.Option(help="Write docs/performance.md and its table.")] = True,
) -> None:
    """Measure, compare with the last committed table, and write the page."""
    unknown = set(parts or ()) - set(PARTS)
    if unknown:
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    folder = ROOT / "runs" / "bench" / _commit()
    folder.mkdir(parents=True, exist_ok=True)
    failed = [part for part in parts or PARTS if not _run(part, folder, fresh)]
    before = read_rows(PUBLISHED / TABLE_NAME) if (PUBLISHED / TABLE_NAME).exists() else []
    measured = [row for part in PARTS if (folder / f"{part}.csv").exists() for row in read_rows(folder / f"{part}.csv")]
    for each in slower(before, measured):
        change = f"{each.before:.4g} before, {each.now:.4g} now, {each.share:.0%} worse"
        typer.echo(f"SLOWER: {each.part}: {each.case}: {change} ({each.unit})")
    if publish and measured:
        _publish(before, measured)
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "node", "storage", "models", "benchmarks")
    return git("rev-parse", "--short=12", "HEAD") + ("-changed" if changed else "")


def _run(part: str, folder: Path, fresh: bool) -> bool:
    """Run a part in a process of its own; its table is there when it has ended well."""
    table, begun = folder / f"{part}.csv", folder / f"{part}.begun.csv"
    if table.exists() and not fresh:
        typer.echo(f"{part}: measured before, see {table.relative_to(ROOT)}")
        return True
    begun.unlink(missing_ok=True)
    environment = os.environ | {TABLE: str(begun), "TCP_NODELAY": "1"}
    ended = subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], cwd=ROOT, env=environment, check=False)
    if ended.returncode or not begun.exists():
        return False
    begun.replace(table)
    return True


def _publish(before: list[Row], measured: list[Row]) -> None:
    """Parts that were not measured now stay as they were."""
    parts = {row.part for row in measured}
    PUBLISHED.mkdir(exist_ok=True)
    rows = [row for part in PARTS for row in (measured if part in parts else before) if row.part == part]
    write_rows(rows, PUBLISHED / TABLE_NAME)
    known = PUBLISHED / ORIGINS_NAME
    origins = json.loads(known.read_text("utf-8")) if known.exists() else {}
    origins |= dict.fromkeys(parts, f"at commit {_commit()} on {machine()}")
    known.write_text(json.dumps(origins, indent=1) + "\n", "utf-8")
    write_page(rows, PUBLISHED, origins)


if __name__ == "__main__":
    typer.run(main)
