"""Headers of many files, read in several processes: pydicom is Python through and through, so threads do not help.

Processes are forked, which costs a few milliseconds where starting anew would import everything again. Only a process
without other threads may do so, as a command is before it shows progress; any other reads by itself.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from node.errors import NodeError
from node.operations.watching import Watch, unwatched
from node.recognition.header.words import words
from node.recognition.plan import HeaderFinding, ReadHeader, ReadHeaders, read_header_of, read_headers
from node.settings import RecognitionSettings

_FEW = 100  # files for which another process does not pay: they take 0.2 s
_AT_ONCE = 16


def in_processes(
    watch: Watch[HeaderFinding] = unwatched, processes: int | None = None, read_header: ReadHeader = read_header_of
) -> ReadHeaders:
    """A reader that gives what `read_headers` gives, in the same order.

    Args:
        watch: told of each file when it has been read.
        processes: the most; without it one for each processor that this process may use.
        read_header: reads one.
    """

    def read(files: list[Path], settings: RecognitionSettings) -> Iterator[HeaderFinding]:
        count = min(processes or len(os.sched_getaffinity(0)), -(-len(files) // _FEW))
        if count < 2 or threading.active_count() > 1:
            yield from watch(read_headers(files, settings, read_header), len(files))
            return
        words(settings.words_of_site)  # compiled once, before the processes part
        with ProcessPoolExecutor(count, multiprocessing.get_context("fork")) as pool:
            found = pool.map(partial(read_header, settings.words_of_site), files, chunksize=_AT_ONCE)
            try:
                yield from watch(found, len(files))
            except BrokenProcessPool as error:
                raise NodeError("a process that read headers was killed: is memory short?") from error

    return read
