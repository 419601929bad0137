"""Analysis results as DICOM objects: one module a kind of object, `encode` writes them all."""
