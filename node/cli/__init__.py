"""Commands: they ask the rooms and print; no logic of their own."""
