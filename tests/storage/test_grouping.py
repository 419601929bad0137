"""Work that is done for all who wait."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.grouping import Group


def test_one_alone_is_served_at_once_in_its_own_thread():
    threads = []

    def work(items: Sequence[int]) -> Sequence[int]:
        threads.append(threading.current_thread())
        return [item * 2 for item in items]

    assert Group(work).do(3) == 6
    assert threads == [threading.current_thread()]


def test_those_who_come_meanwhile_are_served_together():
    begun, may_end, groups = threading.Event(), threading.Event(), []

    def work(items: Sequence[int]) -> Sequence[int]:
        groups.append(sorted(items))
        begun.set()
        may_end.wait(10)
        return [item * 2 for item in items]

    group = Group(work)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(group.do, 0)
        assert begun.wait(10)
        others = [pool.submit(group.do, number) for number in range(1, 6)]
        while len(group._waiting) < 5:
            pass
        may_end.set()
        assert [first.result(10), *(each.result(10) for each in others)] == [0, 2, 4, 6, 8, 10]
    assert groups == [[0], [1, 2, 3, 4, 5]]


def test_where_a_group_fails_each_member_has_its_own_end():
    def work(items: Sequence[int]) -> Sequence[int]:
        if 3 in items:
            raise ValueError("three")
        return items

    group = Group(work)
    barrier = threading.Barrier(8)

    def ask(number: int) -> int:
        barrier.wait(10)
        return group.do(number)

    with ThreadPoolExecutor(8) as pool:
        asked = {number: pool.submit(ask, number) for number in range(8)}
        assert {number: each.result(10) for number, each in asked.items() if number != 3} == {
            number: number for number in range(8) if number != 3
        }
        with pytest.raises(ValueError, match="three"):
            asked[3].result(10)
    assert group.do(9) == 9


def test_a_thousand_requests_of_many_threads_have_their_own_answers():
    group = Group(lambda items: [item * 2 for item in items], most=4)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(group.do, range(1000))) == [number * 2 for number in range(1000)]
