"""Work that is killed with SIGKILL at its n-th boundary: before what it does to the disk, before and after a commit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable

from sqlalchemy import Connection, Engine, event

_ON_DISK = frozenset({"os.remove", "os.rmdir", "os.rename", "shutil.rmtree"})
_processes = multiprocessing.get_context("forkserver")


def killed_at(number: int, work: Callable[..., object], *arguments: object) -> bool:
    """Run `work` in a process of its own, which dies at its n-th boundary; False where it ended before that."""
    _processes.set_forkserver_preload([__name__, work.__module__])  # loaded once, for all of them
    process = _processes.Process(target=_work, args=(number, work, arguments))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _work(number: int, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    left = number

    def boundary(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_disk(name: str, _arguments: object) -> None:
        if name in _ON_DISK:
            boundary()

    def commit(connection: Connection) -> None:
        boundary()
        connection.connection.commit()
        boundary()

    event.listen(Engine, "commit", commit)
    sys.addaudithook(on_disk)
    work(*arguments)
    os._exit(0)
