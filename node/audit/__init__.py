"""The audit in the form of PS3.15 A.5: events of the storage as messages, in a chained file, and to a collector."""
