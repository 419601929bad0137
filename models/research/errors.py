"""Errors of the laboratory; the message says which cohort or package, and what is wrong with it."""

from __future__ import annotations

from models.errors import ModelError


class CohortError(ModelError):
    """A cohort cannot be trained on; `faults` says why, one line each, all at once."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class MissingPackageError(ModelError):
    """A package of an optional extra is not installed; the message says which extra."""
