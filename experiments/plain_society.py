"""The rules of the society's tick as one would write them in plain Mesa: an object per agent, a loop per thing done.

The peer of the benchmark, and nothing else: it has the phases that every tick has (meet, perceive, talk, compare,
attribute, feel, remember) with the language game, and neither discovery, selection nor a library. Levels are small
NumPy products, as anybody would write them, and only those that are needed. It makes the draws that `Society` makes, so
that tests can hold the two against each other, life for life.
"""

from __future__ import annotations

import dataclasses

import mesa
import numpy as np
from numpy.typing import NDArray

from agents.communication import MEMORY_OF_SUCCESS
from agents.config import SocietyConfig
from agents.population import MANY, NOTHING, Population, found
from agents.superiority import ACQUAINTANCES, LEVEL
from agents.world import World

Vector = NDArray[np.float32]


@dataclasses.dataclass(kw_only=True)
class Dimension:
    """One dimension of a view."""

    loading: Vector
    score: float
    understood: float = 0.0
    contests: int = 0
    words: list[int] = dataclasses.field(default_factory=list)

    def add_word(self, word: int, vocabulary: int) -> None:
        """Learn a word; the oldest is forgotten where there are more than ``vocabulary``."""
        self.words = [*self.words, word][-vocabulary:]


class PlainAgent(mesa.Agent):  # type: ignore[misc]
    """One mind, as an object."""

    def __init__(self, model: PlainSociety, people: Population, row: int) -> None:
        super().__init__(model)
        self.features = model.world.features
        self.config = model.config
        self.body = int(people.body[row])
        self.sensor = people.sensor[row].copy()
        self.n_seen = int(people.n_seen[row])
        self.seen = [int(obj) for obj in people.seen[row] if obj != NOTHING]
        self.success = float(people.success[row])
        self.view = {
            int(slot): Dimension(loading=people.loading[row, slot].copy(), score=float(people.score[row, slot]))
            for slot in np.flatnonzero(people.held[row])
        }

    def heights(self, objects: list[int], slot: int) -> Vector:
        """How high objects stand on one dimension, [C]."""
        return self.features[np.ix_(objects, self.sensor)] @ self.view[slot].loading

    def levels(self, objects: list[int], slots: list[int]) -> Vector:
        """How high objects stand on dimensions, [C, S]."""
        loadings: Vector = np.array([self.view[slot].loading for slot in slots])
        return self.features[np.ix_(objects, self.sensor)] @ loadings.T

    def remember(self, scene: list[int], luck: list[float]) -> None:
        """Every object ever seen is equally likely to be in memory."""
        for obj, chance in zip(scene, luck, strict=True):
            if self.n_seen < self.config.memory:
                self.seen.append(obj)
            elif (place := int(chance * (self.n_seen + 1))) < self.config.memory:
                self.seen[place] = obj
            self.n_seen += 1

    def speak(self, hearer: PlainAgent, scene: list[int], topic: int, choice: float) -> tuple[int, int, float]:
        """The dimension along which the topic stands apart most, a word for it, and how high the topic stands."""
        lexicon = {word for dimension in hearer.view.values() for word in dimension.words}
        shared = {slot: [w for w in d.words if w in lexicon] for slot, d in self.view.items()}
        slots = [slot for slot, words in shared.items() if words and self.config.audience] or list(self.view)
        z = standardised(self.levels(scene, slots))
        gap = np.abs(z - z[topic])
        gap[topic] = np.inf
        best = int(gap.min(axis=0).argmax())
        meant = self.view[slots[best]]
        words = (self.config.audience and shared[slots[best]]) or meant.words
        if words:
            word = words[int(choice * len(words))]
        else:
            word = self.model.coin()
            meant.add_word(word, self.config.vocabulary)
        return slots[best], word, float(z[topic, best])

    def understand(self, word: int, gesture: float, scene: list[int]) -> tuple[int, int]:
        """The dimension that the word is for, and the object nearest to the gesture; (-1, -1) if it is unknown."""
        for slot, dimension in self.view.items():
            if word in dimension.words:
                z = standardised(self.heights(scene, slot)[:, None])[:, 0]
                return slot, int(np.abs(z - gesture).argmin())
        return NOTHING, NOTHING

    def be_shown(self, word: int, objects: list[int], demonstrated: Vector) -> int:
        """The dimension that orders the objects most alike takes the word over; one without a name may turn round."""
        slots = list(self.view)
        r = correlations(demonstrated, self.levels(objects, slots))
        fit = [c if self.view[slot].words else abs(c) for slot, c in zip(slots, r.tolist(), strict=True)]
        best = int(np.argmax(fit))
        taken = self.view[slots[best]]
        if not taken.words and r[best] < 0:
            taken.loading = -taken.loading
            taken.score = sum(d.score for d in self.view.values()) / len(self.view)
            taken.contests = 0
        taken.add_word(word, self.config.vocabulary)
        return slots[best]

    def contest(self, slot: int, partner: PlainAgent) -> tuple[float, float, float]:
        """Whose body stands higher, and how both stand among those remembered."""
        height = self.heights([self.body, partner.body, *self.seen[:ACQUAINTANCES]], slot).astype(np.float64)
        outcome = float(above(height[0], height[1]))
        if len(height) == 2:
            return outcome, 0.5, 0.5
        return outcome, float(above(height[0], height[2:]).mean()), float(above(height[1], height[2:]).mean())

    def feel(self, slot: int, reward: float) -> None:
        """Fast up, slowly down."""
        dimension, config = self.view[slot], self.config
        error = reward - dimension.score
        dimension.score += (config.rate_up if error > 0 else config.rate_down) * error
        dimension.contests += 1

    def get_used_to(self, slot: int, won: bool) -> None:
        """Running means of how well one is understood."""
        self.success += MEMORY_OF_SUCCESS * (won - self.success)
        if slot != NOTHING:
            self.view[slot].understood += MEMORY_OF_SUCCESS * (won - self.view[slot].understood)


class PlainSociety(mesa.Model):  # type: ignore[misc]
    """A society of such agents. Superiority feeds on comparison alone, as it does by default."""

    def __init__(self, world: World, config: SocietyConfig, *, seed: int) -> None:
        super().__init__(seed=seed)
        self.world, self.config, self.n_words = world, config, 0
        # Who they are is not what is measured, so the first generation is founded as that of `Society` is.
        people = found(world, config, self.rng)
        self.everybody = [PlainAgent(self, people, row) for row in range(config.agents)]
        self.entries: list[tuple[float, float, float]] = []

    def coin(self) -> int:
        """A new word."""
        self.n_words += 1
        return self.n_words - 1

    def step(self) -> None:
        """One tick."""
        world, config, rng = self.world, self.config, self.rng
        order, half = rng.permutation(config.agents).tolist(), config.agents // 2
        couples = list(zip(order[:half], order[half : 2 * half], strict=True))
        if half >= MANY:
            couples.sort()  # as `agents.meeting.meet` does
        pairs = [(self.everybody[one], self.everybody[other]) for one, other in couples]
        chosen: list[list[int]] = [[] for _ in pairs]
        for last in range(len(world.train) - config.candidates, len(world.train)):
            for places, pick in zip(chosen, rng.integers(last + 1, size=half).tolist(), strict=True):
                places.append(last if pick in places else pick)
        scenes = [world.train[places].tolist() for places in chosen]
        topics = rng.integers(config.candidates, size=half).tolist()
        luck = rng.random((2 * half, config.candidates)).tolist()
        for i, ((speaker, hearer), scene) in enumerate(zip(pairs, scenes, strict=True)):
            speaker.remember(scene, luck[i])
            hearer.remember(scene, luck[half + i])
        choices = rng.random(half).tolist()
        pointed = world.probe[rng.integers(len(world.probe), size=(half, config.common_ground))].tolist()
        for (speaker, hearer), scene, topic, choice, ground in zip(
            pairs, scenes, topics, choices, pointed, strict=True
        ):
            self.converse(speaker, hearer, scene, topic, choice, ground)

    def converse(
        self,
        speaker: PlainAgent,
        hearer: PlainAgent,
        scene: list[int],
        topic: int,
        choice: float,
        ground: list[int],
    ) -> None:
        """Talk, and what follows from it for both."""
        slot, word, gesture = speaker.speak(hearer, scene, topic, choice)
        meaning, picked = hearer.understand(word, gesture, scene)
        if meaning == NOTHING:
            objects = scene + ground
            meaning = hearer.be_shown(word, objects, speaker.heights(objects, slot))
        won = picked == topic
        if won:
            speaker.view[slot].words, hearer.view[meaning].words = [word], [word]
        for agent, used, partner in ((speaker, slot, hearer), (hearer, meaning, speaker)):
            outcome, own, other = agent.contest(used, partner)
            self.attribute(agent, used, outcome, own, other)
        speaker.get_used_to(slot, won)
        hearer.get_used_to(meaning, won)

    def attribute(self, agent: PlainAgent, slot: int, outcome: float, own: float, other: float) -> None:
        """Split the outcome between the own part and the other's, and feel what one takes for one's own."""
        config = self.config
        mine = ((own - 0.5) + (outcome - (1 - other))) / 2
        theirs = ((0.5 - other) + (outcome - own)) / 2
        mine *= config.bias_gain if mine > 0 else config.bias_loss
        agent.feel(slot, min(max(0.5 + mine + config.self_attribution * theirs, 0.0), 1.0))
        self.entries.append((outcome, own - 0.5, 0.5 - other))


def standardised(levels: Vector) -> NDArray[np.float64]:
    """Levels [C, S] with mean 0 and variance 1 over the scene; 0 where all are level."""
    centred = levels - levels.mean(axis=0, dtype=np.float64)
    spread = np.sqrt((centred**2).mean(axis=0))
    z: NDArray[np.float64] = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-6)
    return z


def correlations(shown: Vector, own: Vector) -> NDArray[np.float64]:
    """Of levels shown [G] with own ones [G, S]; 0 where one does not vary."""
    a, b = shown - shown.mean(dtype=np.float64), own - own.mean(axis=0, dtype=np.float64)
    scale = np.sqrt((a**2).sum() * (b**2).sum(axis=0))
    r: NDArray[np.float64] = np.divide(a @ b, scale, out=np.zeros_like(scale), where=scale > 1e-9)
    return r


def above(height: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where higher, 0 where lower, 1/2 where level."""
    difference = height - others
    return np.where(np.abs(difference) <= LEVEL, 0.5, difference > 0)
