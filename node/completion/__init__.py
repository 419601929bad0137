"""Completion of studies, by what has arrived and by what the PACS has of them."""
