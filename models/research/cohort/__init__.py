"""A cohort on disk: volumes, masks and one table, in the layout of docs/training.md; no DICOM, no network."""
