"""DICOM networking in both directions: presentation contexts, remotes, associations, the SCU side, conversion."""
