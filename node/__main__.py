"""`python -m node` is the command `rectal-node`."""

from node.cli.main import run

run()
