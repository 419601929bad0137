"""Volumes in, volumes and numbers out: networks, radiomics, prediction, phantom. No DICOM in sight."""
