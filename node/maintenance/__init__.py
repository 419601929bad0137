"""What keeps a node in order while it runs, apart from the data's way: jobs on a schedule."""
