"""Radiomics features of a tumour: settings, preparation, extraction by pyradiomics, and the IBSI codes."""
