"""Errors of the model side; each message says which file or volume, what was found and what is allowed."""

from __future__ import annotations


class ModelError(Exception):
    """Root of everything that `models` raises on purpose."""


class BundleError(ModelError):
    """A bundle is incomplete, has another digest than its manifest says, or does not fit its network."""


class VolumeError(ModelError):
    """A volume cannot be used: wrong dimension, empty, not finite, or another grid than expected."""


class EngineError(ModelError):
    """A network cannot be run by the engine, or in the precision, that is set."""


class EnhancementError(ModelError):
    """A dynamic run does not show when contrast was injected; the message says why."""


class CohortError(ModelError):
    """A cohort cannot be trained on; `faults` says why, one line each, all at once."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class MissingPackageError(ModelError):
    """A package of an optional extra is not installed; the message says which extra."""
