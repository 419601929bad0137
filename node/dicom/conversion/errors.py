"""Why an object cannot be had in another transfer syntax."""

from __future__ import annotations

from node.errors import PermanentError


class ConversionError(PermanentError):
    """There is no lossless way from the stored transfer syntax to the one that is asked for."""
