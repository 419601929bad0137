"""kill -9 at the boundaries of what a process does to its files: just before the n-th sync, rename, write of a thread.

strace does it (`inject`), so that nothing of the node has to be patched. It counts in each thread apart: the first
thread that comes to its n-th call ends the process.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping

from ..parts.node import Node


def killing(call: str, number: int) -> list[object]:
    """What stands before the command line of a process that is to be killed just before such a call of a thread."""
    options = ["-D", "-f", "-qq", "-o", "/dev/null"]  # with --seccomp-bpf it injects no signal
    return ["strace", *options, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"]


def kill_at_each(steps: Mapping[str, int], attempt: Callable[[str, int], bool]) -> int:
    """Attempt something with a kill before the first call of each kind, and the one a step later, …; how many kills.

    Args:
        steps: of each kind of calls.
        attempt: says whether it was killed; where it was not, there are no more calls of this kind.
    """
    kills = 0
    for call, step in steps.items():
        number = 1
        while attempt(call, number):
            kills, number = kills + 1, number + step
    return kills


def was_killed(node: Node, is_done: Callable[[], object], seconds: float = 120) -> bool:
    """Whether the process ends before what it has to do is done; once that is done, it is killed here."""
    assert node.process is not None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if node.process.poll() is not None:
            return True
        if is_done():
            node.kill()
            return False
        time.sleep(0.05)
    node.kill()
    raise AssertionError(f"neither killed nor done within {seconds:.0f} s")


def command_was_killed(*call: object) -> bool:
    """Run a command to its end; whether it was killed.

    Raises:
        AssertionError: it has failed otherwise.
    """
    done = subprocess.run([str(word) for word in call], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, -9), done.stderr[-3000:]
    return done.returncode != 0
