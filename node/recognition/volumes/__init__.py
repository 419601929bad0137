"""Volumes: the frames of a series split into stacks, each on a regular grid or with a named fault."""
