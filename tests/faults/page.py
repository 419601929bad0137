"""Write docs/reliability.md from what the long forms have counted: `python -m tests.faults.page`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .results import FILE, ROOT, Passed, read

PAGE = ROOT / "docs" / "reliability.md"

HEAD = f"""\
# Reliability

What is promised: once an image has been answered with Success, it is not lost and not changed; each study ends with a
verdict; each result is at its destination once, or again with the same bytes; and after any fault that passes, the node
goes on by itself.

`make faults` tries to break that and writes this page from what it has counted. `make faults PART=kills` runs the parts
whose name holds that word; none takes more than 40 minutes on two processors. What has passed is not run again with the
same code, so that an interrupted run goes on; without `{FILE.relative_to(ROOT)}` all begins anew. `make test` runs a
short form of each part. The table has only runs that have happened and passed.

The nodes are processes of their own, with small networks on studies of eight images of 32 × 32 pixels; what comes in is
sent by pynetdicom and DCMTK, which note each Success, and what goes out is received by DCMTK. What is compared are the
bytes of the data sets.

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
