"""How each manufacturer writes a study: one module a dialect."""
