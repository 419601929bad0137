"""Studies that were made once, a script each, with what they found in `results`."""
