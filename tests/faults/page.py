"""Write docs/reliability.md from what the long forms have counted: `python -m tests.faults.page`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .results import FILE, ROOT, Passed, read

PAGE = ROOT / "docs" / "reliability.md"

HEAD = f"""\
# Reliability

What is promised: once an image has been answered with Success, it is not lost and not changed; each study ends with a
verdict; each result is at its destination once, or again with the same bytes; and after any fault that passes, the
node goes on by itself.

`make faults` tries to break that and writes this page from what it has counted; `make faults PART=kills` runs one of
the parts below, of which each test takes less than 40 minutes on two processors. What has passed is not run again
with the same code, so that an interrupted run goes on; without `{FILE.relative_to(ROOT)}` all begins anew. `make
test` runs a short form of each part. The table has only runs that have happened and passed.

The nodes are processes of their own, with small networks on studies of eight images of 32 × 32 pixels; what comes in
is sent by pynetdicom and DCMTK, which note each Success, and what goes out is received by DCMTK. What is compared are
the bytes of the data sets.

- `kills`: kill -9 at random, 300 times while 60 studies come, are analysed and delivered; every second one comes
  while an analysis is under way. What a kill leaves without a row is taken in or removed.
- `boundaries`: kill -9 just before the n-th sync, rename, write or message of a thread, for n from 1 until there is
  none, by strace: of receiving, of an analysis, of a delivery, of a migration, of `reindex`, `backup` and `restore`.
  Of writes and messages, which are many, some.
- `power_cut`: the changes of a node to its files are recorded by strace, and a node starts on what would be left of
  them. Of a file only what its fsync covers is there, of a folder only the names that its own fsync covers; in a part
  of the cuts by chance more. The control is a node whose syncs do nothing (libeatmydata): there the same cuts must
  lose what was acknowledged, or the test fails.
- `outages`: PostgreSQL is stopped without warning and started again, while everything goes on; a destination is away
  until all others are done; a destination says Success and keeps nothing, which storage commitment finds out.
- `day`: 84 studies in half an hour in the waves of a hospital's day, from several scanners, with queries all the
  time, a PACS that is away for two of the 24 hours, and images removed by retention after six. Descriptors and
  threads must not grow after the first third of the day, memory of the process's own (RssAnon) by no more than 20 MB
  (median of all slopes between two samples): the caches of SQLite, up to 2 MB of pages for each of 13 connections,
  fill as the index grows. Queues, spool and leftovers must be empty at the end.

"""
_NONE = "No run has been written down yet.\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(list(read())))


def page(passed: Sequence[Passed]) -> str:
    """The page, of what has passed."""
    if not passed:
        return HEAD + _NONE
    commits = sorted({f"{each.commit} ({each.on})" for each in passed})
    lines = [
        f"Of commit {', '.join(commits)}.",
        "",
        "| part | runs | minutes | what was counted |",
        "| --- | --- | --- | --- |",
    ]
    return HEAD + "\n".join([*lines, *_rows(passed)]) + "\n"


def _rows(passed: Sequence[Passed]) -> Iterator[str]:
    for name in dict.fromkeys(each.name for each in passed):
        runs = [each for each in passed if each.name == name]
        counted = "; ".join(f"{_sum(figure, runs):,g} {figure}" for figure in runs[0].figures)
        minutes = sum(each.seconds for each in runs) / 60
        title = name.removeprefix("test_").replace("_", " ")
        yield f"| {title} | {len(runs)} | {minutes:.1f} | {counted} |"


def _sum(figure: str, runs: Sequence[Passed]) -> float:
    """Of all runs together; of what is the greatest of something, the greatest."""
    values = [each.figures[figure] for each in runs]
    return max(values) if "at most" in figure else sum(values)


if __name__ == "__main__":
    main()
