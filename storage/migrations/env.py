"""The script that Alembic runs: on the connection, and within the transaction, that `storage.migrations` hands over."""

from __future__ import annotations

from alembic import context

# The name under which Alembic runs it; as a module of the package it does nothing.
if __name__ == "env_py":
    context.configure(connection=context.config.attributes["connection"])
    context.run_migrations()
