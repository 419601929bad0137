"""What leaves: one durable queue a destination, fed by rows of the ledger."""
