"""Where the new dimensions of the plain reference society come from: one source for each agent and discovery."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.discovery import minres, null_eigenvalues
from agents.population import COMPONENT, EMBEDDING, EXEMPLAR, FACTOR, NOTHING, RANDOM
from knowledge_graph.rotation import varimax
from tests.agents.reference_mind import ReferenceAgent, likeness

if TYPE_CHECKING:
    from tests.agents.reference import ReferenceSociety

Matrix = NDArray[np.float64]

ALONE = {"factor": FACTOR, "pca": COMPONENT, "exemplar": EXEMPLAR, "random": RANDOM, "embedding": EMBEDDING}


@dataclasses.dataclass(kw_only=True)
class Proposal:
    """A dimension that an agent may take up; ``exemplar`` is the object that it is likeness to, if any."""

    loading: Matrix
    origin: int
    exemplar: int = NOTHING


@dataclasses.dataclass(kw_only=True)
class Proposing:
    """The luck of one discovery: for every agent a source, and what it draws from it."""

    society: ReferenceSociety
    origin: list[int]
    objects: Matrix | None
    normal: Matrix | None
    coordinates: Matrix | None

    @classmethod
    def drawn(cls, society: ReferenceSociety) -> Proposing:
        """Everybody's luck is drawn, whoever may need it."""
        world, config, rng, n = society.world, society.config, society.rng, len(society.agents)
        m, there = len(society.agents[0].sensor), world.embedding is not None
        possible = [ALONE[config.discovery]] if config.discovery != "mixed" else []
        if config.discovery == "mixed":
            possible = [EXEMPLAR, FACTOR, COMPONENT, RANDOM, EMBEDDING][: 5 if there else 4]
            origin = [possible[int(i)] for i in rng.integers(len(possible), size=n)]
        else:
            origin = possible * n
        return cls(
            society=society,
            origin=origin,
            objects=rng.random((n, config.memory)) if EXEMPLAR in possible else None,
            normal=rng.standard_normal((n, config.dimensions, m)) if RANDOM in possible else None,
            coordinates=rng.random((n, len(world.embedding[0]))) if EMBEDDING in possible else None,
        )

    def propose(self, place: int, corr: Matrix) -> tuple[list[Proposal], list[float]]:
        """As many dimensions as there is more than noise for, by the agent's source; communalities."""
        config, agent, origin = self.society.config, self.society.agents[place], self.origin[place]
        values, vectors = np.linalg.eigh(corr)
        values, vectors = values[::-1], vectors[:, ::-1]
        number = how_many(values, len(set(agent.seen)), config.dimensions)
        if number == 0:
            return [], [0.0] * len(corr)
        if origin in (FACTOR, COMPONENT):
            loadings = in_common(corr, values, vectors, number, components=origin == COMPONENT)
            columns = sorted(loadings.T, key=lambda column: -np.linalg.norm(column))
            communality = np.minimum((loadings**2).sum(axis=1), 1.0).astype(np.float32)
            found = [Proposal(loading=column / np.linalg.norm(column), origin=origin) for column in columns]
            return found, communality.tolist()
        if origin == EXEMPLAR:
            found = self.likenesses(place, agent, number)
        elif origin == RANDOM:
            assert self.normal is not None
            drawn = self.normal[place, :number]
            found = [Proposal(loading=one / np.linalg.norm(one), origin=RANDOM) for one in drawn]
        else:
            found = self.told(place, agent, number)
        return found, explained(corr, [proposal.loading for proposal in found])

    def likenesses(self, place: int, agent: ReferenceAgent, number: int) -> list[Proposal]:
        """To different remembered objects."""
        assert self.objects is not None
        first: dict[int, float] = {}
        for at, obj in enumerate(sorted(agent.seen), start=self.society.config.memory - len(agent.seen)):
            first.setdefault(obj, self.objects[place, at])
        chosen = sorted(first, key=lambda obj: first[obj])[:number]
        return [
            Proposal(
                loading=likeness(self.society.world, obj, agent.sensor).astype(np.float64),
                origin=EXEMPLAR,
                exemplar=obj,
            )
            for obj in chosen
        ]

    def told(self, place: int, agent: ReferenceAgent, number: int) -> list[Proposal]:
        """Ridge regressions of coordinates of the embedding on what is sensed of the remembered objects."""
        world = self.society.world
        assert self.coordinates is not None
        assert world.embedding is not None
        objects = sorted(set(agent.seen))
        n, m = len(objects), len(agent.sensor)
        sensed = world.features[np.ix_(objects, agent.sensor)].astype(np.float64)
        sensed -= sensed.mean(axis=0)
        covariance = sensed.T @ sensed / n
        found = []
        for coordinate in np.argsort(self.coordinates[place])[:number]:
            told = world.embedding[objects, coordinate].astype(np.float64)
            told -= told.mean()
            ridge = np.trace(covariance) / m * m / n
            weights = np.linalg.solve(covariance + ridge * np.eye(m), sensed.T @ told / n)
            if np.linalg.norm(weights) > 1e-9:
                found.append(Proposal(loading=weights / np.linalg.norm(weights), origin=EMBEDDING))
        return found


def how_many(values: Matrix, count: int, limit: int) -> int:
    """How many leading eigenvalues exceed those of noise (parallel analysis)."""
    number, m = 0, len(values)
    if count > m:
        noise = null_eigenvalues(count, m)
        while number < min(limit, m - 1) and values[number] > noise[number]:
            number += 1
    return number


def in_common(corr: Matrix, values: Matrix, vectors: Matrix, number: int, *, components: bool) -> Matrix:
    """Loadings [m, number] of principal components or common factors."""
    if components:
        return np.asarray(vectors[:, :number] * np.sqrt(values[:number]))
    unrotated, _ = minres(corr[None], number, start=vectors[None, :, :number])
    return np.asarray(varimax(unrotated[0], max_iterations=50, tolerance=1e-5, troughs=False)[0])


def explained(corr: Matrix, loadings: list[Matrix]) -> list[float]:
    """R squared of each sensed feature, given the levels along the proposed dimensions."""
    if not loadings:
        return [0.0] * len(corr)
    weights = np.array(loadings)
    cross = weights @ corr
    beta = np.linalg.solve(cross @ weights.T, cross)
    shares = np.clip((beta * cross).sum(axis=0), 0.0, 1.0)
    return [float(share) for share in shares.astype(np.float32)]
