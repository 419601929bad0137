"""Rules: the table that says what a volume is, the facts that its conditions look at, and the rules of a site."""
