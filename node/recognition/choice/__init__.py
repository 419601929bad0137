"""Choice: the one stack that fills each role, and why the others do not."""
