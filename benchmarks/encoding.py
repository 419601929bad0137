"""How long it takes to encode, keep and record the objects of a study, beside an earlier state of this repository.

A simulated study is analysed once and kept in `--folder`; both states encode it in processes of their own, in turns,
from the same volumes, masks and features. The first study of a process and a later one are told apart.

    python -m benchmarks.encoding
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.encoded_study import analysed_study
from benchmarks.real_parts import ENVIRONMENT, checkout
from benchmarks.record import Row, record

ROOT = Path(__file__).parents[1]
#: The last state before the encoders were made faster.
EARLIER = "9ca0d75"


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of both.")] = 3,
    earlier: Annotated[str, typer.Option(help="Commit of the earlier state.")] = EARLIER,
    folder: Annotated[Path, typer.Option(help="Where the analysed study is kept.")] = ROOT / "runs" / "encoded-study",
) -> None:
    """Measure and record."""
    analysed_study(folder)
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as name:
        sources = {"node": ROOT, f"encoders of {earlier}": checkout(ROOT, earlier, Path(name) / "earlier")}
        for run in range(1, rounds + 1):
            for variant, source in sources.items():
                _measure(run, variant, source, folder, Path(name) / f"{run}-{variant.replace(' ', '-')}")


def _measure(run: int, variant: str, source: Path, analysed: Path, place: Path) -> None:
    # -P: the modules beside the script are not to be found by their names.
    command = [sys.executable, "-P", str(ROOT / "benchmarks" / "encode_once.py"), str(analysed), str(place), "2"]
    environment = ENVIRONMENT | {"PYTHONPATH": str(source)}
    printed = subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.PIPE).stdout
    found = json.loads(printed.splitlines()[-1])
    for which, seconds in zip(("first", "second"), found["seconds"], strict=True):
        record(Row("encoding", f"{found['objects']} objects, {which} study of a process", variant, run, seconds, "s"))


if __name__ == "__main__":
    typer.run(main)
