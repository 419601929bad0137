"""Delivery of results: one durable queue a destination, fed by rows of the storage, and the transports."""
