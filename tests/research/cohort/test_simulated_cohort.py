"""Which simulated patients a cohort on disk holds."""

from __future__ import annotations

from itertools import islice

from models.research.phantom.cohort import seeds_with_complete_truth
from models.research.phantom.grade import biology_of


def test_every_tumour_of_a_simulated_cohort_has_a_label():
    seeds = list(islice(seeds_with_complete_truth(0), 60))
    tumours = [biology for seed in seeds if (biology := biology_of(seed)) is not None]
    assert all(tumour.grade is not None for tumour in tumours)
    assert 0 < len(tumours) < 60
    left_out = set(range(max(seeds))) - set(seeds)
    assert left_out
    assert all(biology_of(seed).mucinous for seed in left_out)
