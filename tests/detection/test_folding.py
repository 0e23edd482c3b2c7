"""Backbones in training and in use: folded, frozen and recomputed ones say what they say otherwise."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from detection import backbones
from detection.config import Category, ModelConfig
from detection.detector import Detector
from detection.fcos import FCOS
from detection.folding import fold
from detection.norm import FrozenBatchNorm2d

SMALL = ModelConfig(
    backbone="resnet18",
    fpn_channels=32,
    head_convs=1,
    short_side=64,
    max_side=96,
    frozen_stages=0,
    categories=(Category(1, "one"), Category(3, "three")),
)


def image(seed: int = 0, height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.randint(256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def lively(config: ModelConfig) -> FCOS:
    """A network whose normalisation has statistics of its own."""
    torch.manual_seed(0)
    model = FCOS(config)
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d | torch.nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                torch.nn.init.uniform_(values, 0.5, 1.5)
            for values in (module.bias, module.running_mean):
                torch.nn.init.uniform_(values, -0.3, 0.3)
    torch.nn.init.normal_(model.head.logits.weight, std=0.3)
    torch.nn.init.zeros_(model.head.logits.bias)
    return model.eval()


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "efficientnet-lite0"])
@pytest.mark.parametrize("norm", ["frozen_bn", "bn", "gn"])
@torch.no_grad()
def test_a_folded_network_says_the_same(backbone, norm):
    model = lively(dataclasses.replace(SMALL, backbone=backbone, norm=norm))
    batch, sizes = image()[None], torch.tensor([[64, 96]])
    folded = fold(model)
    for mine, theirs in zip(folded(batch, sizes)[:3], model(batch, sizes)[:3], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)
    assert norm == "gn" or len(folded.backbone.state_dict()) < len(model.backbone.state_dict())


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet-lite0"])
@pytest.mark.parametrize("frozen", [0, 2, 5])
def test_frozen_stages_neither_learn_nor_move(backbone, frozen):
    torch.manual_seed(0)
    net = backbones.build(dataclasses.replace(SMALL, backbone=backbone, norm="bn", frozen_stages=frozen)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    features = net(torch.randn(2, 3, 64, 64))
    assert [f.shape[-1] for f in features] == [8, 4, 2]
    assert tuple(f.shape[1] for f in features) == net.out_channels
    if frozen < 5:
        sum(f.sum() for f in features).backward()
    moved = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    learning = [name for name, p in net.named_parameters() if p.requires_grad]
    if frozen == 5:
        assert not moved
        assert not learning
    else:
        assert moved
        assert learning
    if frozen == 2 and backbone == "resnet18":
        assert not [n for n in moved + learning if n.startswith(("conv1", "bn1", "layer1"))]


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet-lite0"])
def test_recomputed_activations_leave_gradients_and_statistics_as_they_were(backbone):
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        net = backbones.build(dataclasses.replace(SMALL, backbone=backbone, norm="bn")).train()
        net.checkpoint_activations = recompute
        x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        sum((f**2).sum() for f in net(x)).backward()
        found.append(({n: p.grad for n, p in net.named_parameters()}, dict(net.named_buffers())))
    for (name, mine), theirs in zip(found[1][0].items(), found[0][0].values(), strict=True):
        assert torch.equal(mine, theirs), name
    for (name, mine), theirs in zip(found[1][1].items(), found[0][1].values(), strict=True):
        assert torch.equal(mine, theirs), name


def test_a_detector_finds_the_same_in_whichever_form():
    model = lively(SMALL)
    images = [image(1), image(2, 50, 60)]
    plain = Detector(model, device="cpu", fold=False, channels_last=False)
    for form in (Detector(model, device="cpu"), Detector(model, device="cpu", fold=False)):
        for mine, theirs, picture in zip(form.detect(images), plain.detect(images), images, strict=True):
            assert len(mine.boxes) > 5
            torch.testing.assert_close(mine.scores, theirs.scores, rtol=1e-3, atol=1e-3)
            assert (mine.boxes[:, 2] <= picture.shape[2]).all()
            assert (mine.boxes[:, 3] <= picture.shape[1]).all()
    assert Detector(model, device="cpu").detect([]) == []


def test_imagenet_weights_fit_and_a_strange_source_does_not(tmp_path):
    net = backbones.build(dataclasses.replace(SMALL, backbone="efficientnet-lite0", norm_eps=1e-3))
    before = next(net.parameters()).clone()
    backbones.load_weights(net, "imagenet")
    assert not torch.equal(before, next(net.parameters()))
    (tmp_path / "w.pth").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"w\.pth"):
        backbones.load_weights(net, tmp_path / "w.pth")
