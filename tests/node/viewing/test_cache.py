"""What was read last is kept up to a bound, and read once by however many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import sleep

from node.viewing.cache import BoundedCache


def test_what_was_asked_for_last_is_kept_up_to_the_bound():
    read = []
    cache = BoundedCache[int](10, lambda value: value)

    def asked(value):
        return cache.get(value, lambda: read.append(value) or value)

    assert [asked(value) for value in (4, 5, 4, 6, 4, 5)] == [4, 5, 4, 6, 4, 5]
    assert read == [4, 5, 6, 5]  # of 4, 5 and 6 those asked for last have 10 together


def test_threads_that_ask_at_once_read_once():
    read = []
    cache = BoundedCache[str](10, len)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(cache.get, "key", lambda: sleep(0.02) or read.append("key") or "value")
    assert read == ["key"]


def test_what_does_not_last_is_read_again():
    read = []
    cache = BoundedCache[str](10, len)
    for _ in range(2):
        cache.get("key", lambda: read.append("key") or "value", lambda _: False)
    assert read == ["key", "key"]
