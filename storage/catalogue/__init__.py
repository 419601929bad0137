"""The catalogue: keys of patients, studies, series and instances for queries (PS3.4 C.6), from the stored files."""
