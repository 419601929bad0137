"""De-identification by PS3.15 Annex E: one data set in, the same without what tells whose it is out."""
