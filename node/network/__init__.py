"""What both directions of the DICOM network need: presentation contexts, peers, transport, the SCU side."""
