"""Disk and memory are kept for a week, whatever the clock says meanwhile."""

from __future__ import annotations

from storage.samples import KEPT, Sample, Samples, samples

WEEK = KEPT.total_seconds()


def kept(engine, *moments):
    """What is left once samples were taken at these."""
    for moment in moments:
        Samples(engine).add(Sample(moment, 1, 2, 3, 4))
    with engine.connect() as connection:
        return samples(connection)


def test_a_sample_comes_back_as_it_was_taken_and_stays_for_a_week(engine, at):
    assert kept(engine, at(0), at(60), at(WEEK)) == (Sample(at(60), 1, 2, 3, 4), Sample(at(WEEK), 1, 2, 3, 4))


def test_a_sample_of_a_clock_that_was_ahead_goes(engine, at):
    assert [it.taken_at for it in kept(engine, at(0), at(3600), at(60))] == [at(0), at(60)]
