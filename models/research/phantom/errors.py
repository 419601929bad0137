"""Refusals of the phantom."""

from __future__ import annotations

from models.errors import ModelError


class PhantomError(ModelError):
    """A phantom was asked for something that it does not know; the message names what is allowed."""
