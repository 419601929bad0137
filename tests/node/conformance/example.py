"""Results of every kind, of studies as four scanners write them; as a command it writes docs/conformance.md.

python -m tests.node.conformance.example > docs/conformance.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from models.plausibility.records import UNCONFIRMED, SetAside
from node.conformance.examples import Example, read_examples
from node.conformance.page import statement
from node.results.encode import EncodedObject, encode
from node.results.findings import StudyResults
from node.results.identity import Site
from node.settings import ADDITIONAL
from tests.node.results.conftest import EVERYTHING, SITE, VENDORS, study_results, write_series

ALL = ("T2WI", "DWI", "PVP")
ELSEWHERE = Site("1.2.826.0.1.3680043.10.1600.", "Another Hospital", "Asia/Shanghai", name_patient=False)


def _as_it_is(results: StudyResults) -> StudyResults:
    return results


def _set_aside(results: StudyResults) -> StudyResults:
    finding = SetAside("T2WI", 8.21, "at the left gluteal region", UNCONFIRMED, "none shows it", (61.0, 70.0, -20.0))
    return replace(results, prediction=None, plan=replace(results.plan, set_aside=(finding,)))


@dataclass(frozen=True)
class Case:
    """A study: of which scanner and site, with which sequences, with a tumour or not."""

    vendor: str
    sequences: tuple[str, ...] = ALL
    with_tumour: bool = True
    site: Site = SITE
    change: Callable[[StudyResults], StudyResults] = _as_it_is


CASES = (
    Case("siemens"),
    Case("philips", ("DWI",), site=ELSEWHERE),
    Case("ge", ("T2WI",), change=lambda results: replace(results, prediction=None)),
    Case("uih", ("T2WI",), with_tumour=False, change=_set_aside),
    Case("siemens", (), with_tumour=False),
)


def examples(folder: Path) -> Iterator[Example]:
    """The results of each case; of a series of images the first and the last."""
    for number, case in enumerate(CASES):
        source, made = folder / f"source-{number}", folder / f"results-{number}"
        source.mkdir()
        made.mkdir()
        vendor = VENDORS[case.vendor]
        stacks = {name: write_series(source, vendor, name) for name in ALL}
        used = {name: stacks[name] for name in case.sequences}
        results = case.change(study_results(used, case.with_tumour))
        first = stacks["T2WI"].frames[0].path
        objects = encode(results, made, case.site, reference=first, kinds=ADDITIONAL, selections=(EVERYTHING,))
        sources = [stack.frames[0].path for stack in stacks.values()]
        yield from read_examples(_of_each_series(objects), sources)


def _of_each_series(objects: tuple[EncodedObject, ...]) -> list[Path]:
    series: dict[str, list[Path]] = {}
    for made in objects:
        series.setdefault(made.role, []).append(made.path)
    return [path for paths in series.values() for path in dict.fromkeys((paths[0], paths[-1]))]


def page() -> str:
    """The conformance statement."""
    with TemporaryDirectory() as folder:
        return statement(list(examples(Path(folder))))


if __name__ == "__main__":
    print(page(), end="")
