"""How a network is run: engine and precision, which change the last bits of what it makes.

A manifest names those that were measured for its bundle; an installation may choose others. Nothing is timed or
guessed at start, and no choice follows the processor: two machines with the same settings run the same computation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pydantic


class Engine(StrEnum):
    """A library that runs networks."""

    TORCH = "torch"
    OPENVINO = "openvino"


class Precision(StrEnum):
    """The numbers that convolutions are computed in; inputs and outputs are float32 in any case."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Execution(pydantic.BaseModel):
    """Engine and precision of a network; a bundle of which nothing was measured is run in float32."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    engine: Engine = Engine.OPENVINO
    precision: Precision = Precision.FLOAT32

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


@dataclass(frozen=True, slots=True)
class Installation:
    """What the place where networks run decides.

    Attributes:
        engine, precision: instead of those of the bundle; None: the bundle's.
        threads: CPU threads; None: as many as torch uses.
        cache: folder of converted networks; None: they are converted once a process.
    """

    engine: Engine | None = None
    precision: Precision | None = None
    threads: int | None = None
    cache: Path | None = None

    def execution(self, of_bundle: Execution | None) -> Execution:
        """How a bundle runs here whose manifest says `of_bundle`."""
        said = of_bundle or Execution()
        return Execution(engine=self.engine or said.engine, precision=self.precision or said.precision)


#: What changes nothing of what bundles say.
AS_BUNDLED = Installation()
