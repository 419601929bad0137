"""Errors of the storage; each message names the object by its UID or path and says what to do."""

from __future__ import annotations


class StorageError(Exception):
    """Root of everything that `storage` raises on purpose."""


class HeaderError(StorageError):
    """The bytes are no DICOM data set, are cut short, or lack an element that the index needs."""


class TransitionError(StorageError):
    """A study was not in the state from which the move was asked."""


class SchemaError(StorageError):
    """The database has a schema that this release does not know, or cannot be brought to that of this release."""


class DatabaseError(StorageError):
    """The database is damaged, cannot be written, or does not answer."""
