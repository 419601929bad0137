"""DICOM-native node for rectal MRI: receives studies, analyses them once, sends results back."""
