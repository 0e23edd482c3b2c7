"""What a network says of masks."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class MaskCodes(NamedTuple):
    """What L locations of B images say of the mask of their object, each by itself."""

    codes: Tensor
    """float [B, L, K]: K weights of convolutions (CondInst), or K lengths of rays in the unit of the distances."""
    features: Tensor | None
    """float [B, 8, H / 8, W / 8]: what the convolutions are applied to (CondInst)."""
