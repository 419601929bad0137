"""The DICOM Conformance Statement (PS3.2): its tables from the contexts, settings, statuses and keys of the code."""
