"""The one durable analysis of a study revision: the queue, the workflow, its steps."""
