"""The programs of PostgreSQL by which its database is dumped and put back."""

from __future__ import annotations

import os
import shutil
import subprocess

from sqlalchemy.engine import URL

from node.errors import NodeError


def run(program: str, url: URL, *arguments: str) -> str:
    """Run a program on the database of an address; why it failed, empty where it did not.

    The password is in its environment: arguments can be read by other users of this machine.

    Raises:
        NodeError: it is not installed.
    """
    found = shutil.which(program)
    if found is None:
        what = "postgresql-client of the server's version, or a newer one"
        raise NodeError(f"{program} is not installed: install {what}")
    environment = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
    address = url.set(drivername="postgresql", password=None).render_as_string()
    call = [found, f"--dbname={address}", *arguments]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    return f"{program}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'failed'}"
