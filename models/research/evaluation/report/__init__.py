"""The evaluation as people read it: figures, one HTML page, one Word document, CSV files, check-lists."""
