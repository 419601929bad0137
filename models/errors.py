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


class ProcessKilledError(MemoryError):
    """A process of a computation was killed: by the system, which was short of memory, or by what it computed."""


class EnhancementError(ModelError):
    """A dynamic run does not show when contrast was injected; the message says why."""
