"""Devices, precision, schedules and seeds."""

import math
from contextlib import suppress

import numpy as np
import pytest
import torch

from latentover.training import (
    SCHEDULES,
    autocast,
    draw_seed,
    learning_rate_factor,
    resolve_device,
    resolve_precision,
    seeded,
)

CPU = torch.device("cpu")


class TestDevice:
    def test_auto_is_cuda_where_there_is_one(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert resolve_device("auto") == CPU
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert resolve_device("auto").type == "cuda"

    def test_by_name_or_as_a_device(self):
        assert resolve_device("cpu") == resolve_device(CPU) == CPU

    @pytest.mark.parametrize("device", ["gpu", "cuda:99", "", None])
    def test_unknown(self, device):
        with pytest.raises(ValueError, match=r"Expected device to be 'auto', 'cpu' or .*but got"):
            resolve_device(device)


class TestPrecision:
    def test_named(self):
        for images in (True, False):
            assert resolve_precision("float32", CPU, images=images) == torch.float32
            assert resolve_precision("bfloat16", CPU, images=images) == torch.bfloat16

    @pytest.mark.parametrize("capable", [True, False])
    def test_auto_asks_the_hardware_and_spares_tables(self, monkeypatch, capable):
        capabilities = {"avx512_bf16": capable, "amx_bf16": False}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
        assert resolve_precision("auto", CPU, images=True) == (torch.bfloat16 if capable else torch.float32)
        assert resolve_precision("auto", CPU, images=False) == torch.float32

    def test_unknown(self):
        with pytest.raises(ValueError, match=r"Expected precision to be one of .* but got 'half'"):
            resolve_precision("half", CPU, images=True)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_autocast_computes_in_it(self, dtype):
        with autocast(CPU, dtype):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


class TestSchedules:
    @pytest.mark.parametrize("progress", [0, 0.3, 1])
    def test_constant(self, progress):
        assert learning_rate_factor("constant", progress) == 1

    def test_cosine(self):
        for progress in np.linspace(0, 1, 11):
            expected = (1 + math.cos(math.pi * progress)) / 2
            assert learning_rate_factor("cosine", progress) == pytest.approx(expected)

    def test_one_cycle_rises_for_a_fifth_and_falls_to_zero(self):
        factors = [learning_rate_factor("one_cycle", step / 100) for step in range(101)]
        assert factors[0] == pytest.approx(0.04)
        assert factors[20] == pytest.approx(1)
        assert factors[100] == pytest.approx(0)
        assert np.all(np.diff(factors[:21]) > 0)
        assert np.all(np.diff(factors[20:]) < 0)
        assert np.abs(np.diff(factors)).max() < 0.1, "a jump"

    @pytest.mark.parametrize("schedule", SCHEDULES)
    def test_stays_between_zero_and_one(self, schedule):
        factors = [learning_rate_factor(schedule, step / 50) for step in range(51)]
        assert min(factors) >= 0
        assert max(factors) <= 1

    def test_unknown(self):
        with pytest.raises(ValueError, match=r"Expected the schedule to be one of .* but got 'linear'"):
            learning_rate_factor("linear", 0)


class TestSeeds:
    def test_an_integer_gives_the_same_seed_and_touches_nothing(self):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        assert draw_seed(5) == draw_seed(5) != draw_seed(6)
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_a_generator_gives_one_seed_after_the_other(self):
        drawn = [draw_seed(state) for state in [np.random.RandomState(5)] * 2]
        assert drawn[0] != drawn[1]
        assert drawn[0] == draw_seed(5)

    def test_none_gives_new_seeds(self):
        assert draw_seed(None) != draw_seed(None)

    def test_seeded_restores_the_global_generator(self):
        before = torch.get_rng_state()
        draws = []
        for _ in range(2):
            with seeded(3) as generator:
                draws.append((torch.rand(2), torch.rand(2, generator=generator)))
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(draws[0][0], draws[1][0])
        assert torch.equal(draws[0][1], draws[1][1])

    def test_seeded_restores_after_an_error(self):
        before = torch.get_rng_state()
        with suppress(KeyError), seeded(3):
            torch.rand(1)
            raise KeyError
        assert torch.equal(torch.get_rng_state(), before)
