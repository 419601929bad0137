"""DICOM studies → a cohort of volumes for training, by the recognition that serving uses; docs/training.md."""
