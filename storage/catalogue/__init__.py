"""What a query can ask of patients, studies, series and instances (PS3.4 C.6), filled from the stored files."""
