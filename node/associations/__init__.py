"""The SCP side: the listener that takes objects in."""
