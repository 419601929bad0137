"""DICOMweb (PS3.18): searching (QIDO-RS), retrieving (WADO-RS) and storing (STOW-RS) by HTTP, on FastAPI."""
