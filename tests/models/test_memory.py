"""How the allocator is set; in processes of their own, since what a process has made of arenas stays."""

import subprocess
import sys

import pytest

_ARENAS_OF_EIGHT_THREADS = """
import ctypes, threading
from models.memory import share_arenas
{call}
libc = ctypes.CDLL(None)
libc.fopen.restype, libc.malloc.restype = ctypes.c_void_p, ctypes.c_void_p
at_once = threading.Barrier(8)
def work():
    at_once.wait()
    libc.malloc(100_000)
    at_once.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.malloc_info(0, ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w")))
libc.fflush(None)
"""


@pytest.mark.parametrize(("call", "are_few"), [("", False), ("share_arenas()", True)])
def test_threads_share_two_arenas(call: str, are_few: bool):
    code = _ARENAS_OF_EIGHT_THREADS.format(call=call)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert (told.count("<heap nr=") <= 2) == are_few
