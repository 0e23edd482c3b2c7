"""The pyramid on the smallest maps, where a CPU's bf16 convolution leaves gradients as it finds them in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detection.fcos import FCOS
from detection.fpn import FPN
from detection.training.distributed import alone
from detection.training.step import backward
from tests.detection.small_runs import MASKS, MODEL, noise_batch

CHANNELS = 32


def fill_free_memory_with_nan() -> None:
    """So that whoever reads what was never written reads that."""
    sizes = [2**power for power in range(6, 19)] + [9 * 2**power for power in range(6, 17)]
    held = [torch.full((size,), float("nan")) for size in sizes for _ in range(4)]
    del held


def gradients(network: torch.nn.Module, weigh: Callable[[], None]) -> dict[str, Tensor]:
    network.zero_grad(set_to_none=True)
    fill_free_memory_with_nan()
    weigh()
    return {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("cells", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (5, 1)])
def test_in_bf16_coarse_levels_learn_what_they_learn_in_fp32(cells: tuple[int, int], channels_last: bool):
    torch.manual_seed(0)
    pyramid = FPN((16, 24, CHANNELS), CHANNELS)
    height, width = cells
    maps = [torch.randn(2, c, height * n, width * n) for c, n in ((16, 4), (24, 2), (CHANNELS, 1))]
    if channels_last:
        pyramid = pyramid.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        maps = [each.to(memory_format=torch.channels_last) for each in maps]

    def weigh(bf16: bool) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            levels = pyramid(tuple(maps))
        torch.stack([level.float().square().sum() for level in levels]).sum().backward()

    exact = gradients(pyramid, lambda: weigh(False))
    for _ in range(5):
        for name, found in gradients(pyramid, lambda: weigh(True)).items():
            torch.testing.assert_close(found, exact[name], rtol=0, atol=0.03 * float(exact[name].abs().max()), msg=name)


@torch.no_grad()
@pytest.mark.parametrize("cells", [(1, 1), (2, 1), (5, 1), (1, 3)])
def test_maps_of_a_single_column_are_seen_as_all_others(cells: tuple[int, int]):
    torch.manual_seed(0)
    pyramid = FPN((16, 24, CHANNELS), CHANNELS)
    height, width = cells
    maps = tuple(torch.randn(2, c, height * n, width * n) for c, n in ((16, 4), (24, 2), (CHANNELS, 1)))
    *_, p5, p6, p7 = pyramid(maps)
    torch.testing.assert_close(p6, pyramid.p6(p5))
    torch.testing.assert_close(p7, pyramid.p7(p6.relu()))


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize(
    "fields",
    [
        {"backbone": "resnet18", "norm": "gn", "frozen_stages": 0},
        {"backbone": "resnet50", "frozen_stages": 0},
        {"frozen_stages": 0},
        MASKS["condinst"],
        MASKS["polar"],
    ],
    ids=["resnet18", "resnet50", "efficientnet-lite0", "condinst", "polar"],
)
def test_in_bf16_no_gradient_is_what_memory_held(fields: dict[str, Any], side: int):
    config = dataclasses.replace(MODEL, **fields)
    torch.manual_seed(0)
    network = FCOS(config).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    share = noise_batch(images=2, height=side, width=side, masks=config.masks != "none")

    def learn() -> None:
        backward(network, share, config=config, images_per_pass=2, world=alone(), precision="bf16")

    first = gradients(network, learn)
    for _ in range(3):
        for name, found in gradients(network, learn).items():
            assert found.isfinite().all(), name
            assert torch.equal(found, first[name]), name
