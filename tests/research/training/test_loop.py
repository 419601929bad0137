"""Training runs: split by case, falling rate, checkpoints that resume."""

import pytest
import torch

from models.research.phantom.scanners import load_scanners
from models.research.training import loop
from models.research.training.segmentation.data import split_cases, split_scanners
from models.research.training.simulated_cases import case_keys


def _fabric(folder):
    return loop.start(folder, seed=4, accelerator="cpu", devices=1, precision="32-true", threads=1)


def _parts(fabric):
    network = torch.nn.Linear(3, 1)
    return dict(
        zip(
            ("network", "optimizer"),
            fabric.setup(network, torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)),
            strict=True,
        )
    )


def _step(parts):
    loss = parts["network"](torch.ones(2, 3)).square().mean()
    parts["optimizer"].zero_grad()
    loss.backward()
    parts["optimizer"].step()


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    fabric = _fabric(tmp_path)
    parts = _parts(fabric)
    _step(parts)
    loop.save_checkpoint(fabric, tmp_path, loop.Progress(3, 0.5, 2), **parts)
    _step(parts)
    expected = parts["network"].weight.detach().clone()

    again = _fabric(tmp_path)
    others = _parts(again)
    assert loop.resume(again, tmp_path, **others) == loop.Progress(3, 0.5, 2)
    _step(others)
    assert torch.equal(others["network"].weight, expected)


def test_a_run_without_checkpoint_starts_at_the_beginning(tmp_path):
    assert loop.resume(_fabric(tmp_path), tmp_path) == loop.Progress()


def test_the_same_seed_gives_the_same_first_weights(tmp_path):
    first, second = (_parts(_fabric(tmp_path / name))["network"].weight for name in ("a", "b"))
    assert torch.equal(first, second)


def test_the_rate_falls_from_the_initial_one_towards_zero():
    rates = [loop.poly_rate(0.001, epoch, 500) for epoch in range(500)]
    assert rates[0] == 0.001
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 1e-5


def test_cases_are_split_8_to_2_and_no_case_is_in_both_parts():
    keys = case_keys(100, 50, load_scanners())
    training, validation = split_cases(keys, seed=1)
    assert (len(training), len(validation)) == (40, 10)
    assert {key.seed for key in training}.isdisjoint(key.seed for key in validation)
    assert split_cases(keys, seed=1) == (training, validation)
    assert split_cases(keys, seed=2) != (training, validation)


def test_held_out_scanners_are_not_trained_on():
    known, others = split_scanners(("Skyra", "uMR 570"))
    assert {scanner.model for scanner in others} == {"Skyra", "uMR 570"}
    assert {scanner.model for scanner in known}.isdisjoint({"Skyra", "uMR 570"})
    assert len(known) == 4


def test_an_unknown_scanner_is_refused():
    with pytest.raises(Exception, match="no scanner model is called Sykra"):
        split_scanners(("Sykra",))
