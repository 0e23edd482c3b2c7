"""The network: shapes, switches, where padding ends, and what its outputs mean."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from detection.config import Category, ModelConfig
from detection.fcos import FCOS
from detection.targets import locations

SMALL = ModelConfig(
    backbone="resnet18",
    fpn_channels=32,
    head_convs=2,
    short_side=64,
    max_side=128,
    categories=tuple(Category(i, f"class {i}") for i in range(1, 6)),
)


def net(**changes: object) -> FCOS:
    torch.manual_seed(0)
    return FCOS(dataclasses.replace(SMALL, **changes)).eval()


def images(height: int = 64, width: int = 96, n: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (n, 3, height, width), generator=generator, dtype=torch.uint8)


def sizes(*each: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(each)


@torch.no_grad()
def test_every_location_of_five_levels_says_something():
    out = net()(images(), sizes((64, 96), (64, 96)))
    n = sum(h * w for h, w in out.grid)
    assert out.grid == ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1))
    assert out.logits.shape == (2, n, 5)
    assert out.distances.shape == (2, n, 4)
    assert out.quality.shape == (2, n)
    assert len(locations(out.grid, config=SMALL, image_size=(64, 96)).points) == n


@torch.no_grad()
def test_classes_begin_improbable():
    out = net()(images(), sizes((64, 96), (64, 96)))
    assert out.logits.sigmoid().mean().item() == pytest.approx(0.01, abs=0.005)


@torch.no_grad()
def test_rows_are_locations_in_the_order_of_locations():
    model = net()
    features = [torch.zeros(1, 32, h, w) for h, w in ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1))]
    features[1][0, :, 2, 5] = 100.0
    model.head.box_tower = torch.nn.Identity()
    model.head.quality = torch.nn.Conv2d(32, 1, 1)
    said = model.head(tuple(features))[0].quality[0]
    odd = (said - said[0]).abs().argmax()
    where = locations(((8, 12), (4, 6), (2, 3), (1, 2), (1, 1)), config=SMALL, image_size=(64, 96))
    assert where.points[odd].tolist() == [5 * 16 + 8, 2 * 16 + 8]


@torch.no_grad()
def test_padding_says_nothing_whatever_it_holds():
    model = net()
    batch = images()
    size = sizes((64, 96), (40, 50))
    other = batch.clone()
    other[1, :, 40:] = 7
    other[1, :, :, 50:] = 9
    for mine, theirs in zip(model(batch, size)[:3], model(other, size)[:3], strict=True):
        assert torch.equal(mine, theirs)
    assert (model.normalised(batch, size)[1, :, 40:] == 0).all()


@torch.no_grad()
def test_pixels_are_normalised_in_the_order_of_the_channels():
    batch = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    model = net(channels="bgr", mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))
    assert model.normalised(batch, sizes((32, 32)))[0, :, 0, 0].tolist() == [29, 9, 1.75]
    model = net(channels="rgb", mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))
    assert model.normalised(batch, sizes((32, 32)))[0, :, 0, 0].tolist() == [9, 9, 6.75]


@torch.no_grad()
def test_distances_are_rectified_strides_or_exponential_pixels():
    features = tuple(torch.randn(1, 32, h, 1, generator=torch.Generator().manual_seed(h)) for h in (5, 4, 3, 2, 1))
    heads = {}
    for normalised in (True, False):
        model = net(normalise_distances=normalised)
        model.head.distances.weight.normal_(std=1.0, generator=torch.Generator().manual_seed(2))
        model.head.scales.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
        heads[normalised] = model.head
    raw = heads[True].distances(heads[True].box_tower(features[1])).flatten(2).transpose(1, 2) * 2
    assert torch.allclose(heads[True](features)[0].distances[:, 5:9], raw.relu(), atol=1e-5)
    assert torch.allclose(heads[False](features)[0].distances[:, 5:9], raw.exp(), rtol=1e-4)
    assert (heads[True](features)[0].distances >= 0).all()


@torch.no_grad()
@pytest.mark.parametrize("on_box_tower", [True, False])
def test_quality_comes_from_the_tower_that_it_should(on_box_tower):
    model = net(quality_on_box_tower=on_box_tower)
    before = model(images(), sizes((64, 96), (64, 96))).quality
    for parameter in model.head.box_tower.parameters():
        parameter.zero_()
    after = model(images(), sizes((64, 96), (64, 96))).quality
    assert torch.equal(before, after) != on_box_tower


def test_without_scales_and_norm_there_are_no_such_weights():
    model = net(learned_scales=False, head_norm="none")
    names = dict(model.named_parameters())
    assert "head.scales" not in names
    assert "head.cls_tower.2.weight" in names  # conv, relu, conv
    assert net().head.scales.shape == (5,)


def test_the_published_network_has_its_size():
    # A ResNet-50 without classifier 23.5 M, of which the frozen affine maps' 53,120 numbers are buffers; pyramid 8.0 M;
    # two towers of 4 x (590,080 + 512), 80 + 4 + 1 outputs of 2,305 each, 5 scales.
    model = FCOS(ModelConfig(categories=tuple(Category(i, str(i)) for i in range(1, 81))))
    head = sum(p.numel() for p in model.head.parameters())
    assert head == 2 * 4 * (256 * 256 * 9 + 256 + 512) + 85 * (256 * 9 + 1) + 5
    assert sum(p.numel() for p in model.fpn.parameters()) == (512 + 1024 + 2048) * 256 + 5 * (256 * 256 * 9) + 8 * 256
    assert sum(p.numel() for p in model.backbone.parameters()) == 23_508_032 - 53_120
    assert model.head.logits.bias[0].item() == pytest.approx(-math.log(99))


@torch.no_grad()
def test_an_image_of_one_cell_has_detections_too():
    # P7 is one location, which the groups of the towers' normalisation must still be able to normalise.
    out = net()(images(32, 32, 1), sizes((32, 32)))
    assert out.grid[-1] == (1, 1)
    assert out.logits.isfinite().all()
