"""The scanner protocols that the phantom can imitate: one CSV row a sequence, one `Scanner` a machine."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from models.research.phantom.errors import PhantomError


@dataclass(frozen=True, slots=True)
class Protocol:
    """Settings of one sequence of one scanner.

    Times in ms, lengths in mm, angle in degrees. `matrix` is the acquisition matrix (columns = read-out,
    rows = phase encoding) as printed in the source; the reconstructed matrix is the square of its larger number.
    """

    tr_ms: float
    te_ms: float
    flip_deg: float
    slice_thickness_mm: float
    mr_acquisition_type: str
    matrix: tuple[int, int]
    pixel_spacing_mm: float

    @property
    def reconstructed(self) -> int:
        """Rows and columns of the reconstructed image."""
        return max(self.matrix)


@dataclass(frozen=True, slots=True)
class Scanner:
    """One machine with its three rectal protocols."""

    manufacturer: str
    model: str
    field_strength_t: float
    t2wi: Protocol
    dwi: Protocol
    dce: Protocol

    @property
    def name(self) -> str:
        """Short unique name, such as "Siemens Skyra"."""
        return f"{self.manufacturer} {self.model}"


@lru_cache(maxsize=1)
def load_scanners() -> tuple[Scanner, ...]:
    """The scanners of the shipped `scanners.csv`, in the order of the file."""
    text = resources.files(__package__).joinpath("scanners.csv").read_text(encoding="utf-8")
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(text.splitlines()):
        rows.setdefault((row["manufacturer"], row["model"]), []).append(row)
    return tuple(_scanner(group) for group in rows.values())


def find_scanner(name: str) -> Scanner:
    """The scanner whose name or model is `name` (any case); `PhantomError` names the known ones."""
    wanted = name.casefold()
    for scanner in load_scanners():
        if wanted in (scanner.name.casefold(), scanner.model.casefold()):
            return scanner
    known = ", ".join(scanner.name for scanner in load_scanners())
    raise PhantomError(f"no scanner is called {name!r}; known are: {known}")


def _scanner(rows: list[dict[str, str]]) -> Scanner:
    by_sequence = {row["sequence"]: _protocol(row) for row in rows}
    first = rows[0]
    return Scanner(
        manufacturer=first["manufacturer"],
        model=first["model"],
        field_strength_t=float(first["field_strength_t"]),
        t2wi=by_sequence["T2WI"],
        dwi=by_sequence["DWI"],
        dce=by_sequence["DCE T1WI"],
    )


def _protocol(row: dict[str, str]) -> Protocol:
    columns, rows = (int(number) for number in row["matrix"].split("x"))
    return Protocol(
        tr_ms=float(row["tr_ms"]),
        te_ms=float(row["te_ms"]),
        flip_deg=float(row["flip_angle_deg"]),
        slice_thickness_mm=float(row["slice_thickness_mm"]),
        mr_acquisition_type=row["acquisition_type"],
        matrix=(columns, rows),
        pixel_spacing_mm=float(row["pixel_spacing_mm"]),
    )
