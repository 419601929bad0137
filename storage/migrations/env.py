"""The script that Alembic runs: on the connection, and within the transaction, that `storage.migrations` hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
