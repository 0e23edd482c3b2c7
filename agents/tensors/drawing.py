"""What is drawn in a tick: by the society's own generator, or by one of the device."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from agents.config import SocietyConfig
from agents.meeting import Meeting, meet
from agents.tensors.columns import Sights
from agents.world import World


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encounters:
    """`agents.meeting.Meeting` in tensors: ``speaker``, ``hearer``, ``topic`` int64 [B], ``scene`` int64 [B, C]."""

    speaker: Tensor
    hearer: Tensor
    scene: Tensor
    topic: Tensor

    def __len__(self) -> int:
        return len(self.speaker)

    @property
    def participants(self) -> Tensor:
        """int64 [2B]: speakers, then hearers. Nobody is in it twice, so rows can be written without conflict."""
        return torch.cat([self.speaker, self.hearer])


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostDraws:
    """Every number as `agents.society.Society` draws it, and then moved over."""

    world: World
    config: SocietyConfig
    rng: np.random.Generator
    device: torch.device

    def encounters(self) -> Encounters:
        """`agents.meeting.meet`."""
        met: Meeting = meet(self.config.agents, self.world.train, self.config.candidates, self.rng)
        moved = {name: torch.from_numpy(drawn).to(self.device).long() for name, drawn in vars(met).items()}
        return Encounters(**moved)

    def luck(self, n: int) -> Tensor:
        """float64 [n, C] in [0, 1): by which what is seen comes to be remembered."""
        return torch.from_numpy(self.rng.random((n, self.config.candidates))).to(self.device)

    def words_and_ground(self, n: int) -> tuple[Tensor, Tensor]:
        """float64 [n] in [0, 1), by which a word is chosen; and int64 [n, G], the objects to point at."""
        choice = self.rng.random(n)
        pointed = self.world.probe[self.rng.integers(len(self.world.probe), size=(n, self.config.common_ground))]
        return torch.from_numpy(choice).to(self.device), torch.from_numpy(pointed).to(self.device).long()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceDraws:
    """The same by a generator of the device: other numbers, from the same distributions, that need not be moved."""

    sights: Sights
    config: SocietyConfig
    generator: torch.Generator

    def encounters(self) -> Encounters:
        """A uniformly random perfect matching (one of an odd number sits out), distinct objects, an even topic."""
        half = self.config.agents // 2
        order = torch.randperm(self.config.agents, generator=self.generator, device=self.generator.device)
        # Pairs are alike; whoever goes through them in order goes through memory.
        speaker, place = order[:half].sort()
        return Encounters(
            speaker=speaker,
            hearer=order[half : 2 * half][place],
            scene=self._scenes(half),
            topic=self._whole(self.config.candidates, half),
        )

    def _scenes(self, n: int) -> Tensor:
        """`agents.meeting.scenes`: Floyd's algorithm, a column at a time."""
        objects, candidates = len(self.sights.train), self.config.candidates
        chosen = torch.empty((n, candidates), dtype=torch.int64, device=self.generator.device)
        for place, top in enumerate(range(objects - candidates, objects)):
            pick = self._whole(top + 1, n)
            repeated = (chosen[:, :place] == pick[:, None]).any(dim=1)
            chosen[:, place] = torch.where(repeated, top, pick)
        return self.sights.train[chosen]

    def luck(self, n: int) -> Tensor:
        """See `HostDraws.luck`."""
        return self._even(n, self.config.candidates)

    def words_and_ground(self, n: int) -> tuple[Tensor, Tensor]:
        """See `HostDraws.words_and_ground`."""
        return self._even(n), self.sights.probe[self._whole(len(self.sights.probe), n, self.config.common_ground)]

    def _even(self, *shape: int) -> Tensor:
        device = self.generator.device
        return torch.rand(shape, generator=self.generator, device=device, dtype=torch.float64)

    def _whole(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator, device=self.generator.device)
