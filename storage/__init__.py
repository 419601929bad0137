"""Received and produced DICOM objects: files on disk, an index, a ledger. Knows neither node nor models."""
