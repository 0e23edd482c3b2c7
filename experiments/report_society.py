"""Sections of the report on the society: its feelings, its dead, whose doing it was, how it was set up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.selection import fitness
from agents.society import Society
from agents.superiority import settling_point
from experiments import report_figures as draw
from experiments.measuring import true_standing
from experiments.report_page import Plot, Section
from experiments.report_text import Row, count, esc, known, number, percent

MANY = 250
"""Agents whose dimensions are drawn as points at most; more are sampled evenly."""

ALIKE = 0.05
"""Shares of variance that differ by no more are called nearly equal."""

LAST_DEAD = 8
"""Deaths that are told one by one."""


def feelings_section(society: Society, metrics: Sequence[Row], summary: Mapping[str, Any]) -> Section:
    """Superiority: felt beside true, beside where it is heading."""
    felt, config = summary["superiority"], society.config
    up, down = config.rate_up, config.rate_down
    news = (
        f"good news moves them more than bad (by {up:g} against {down:g}), so they come to feel more than is true"
        if up > down
        else f"bad news moves them more than good (by {down:g} against {up:g}), so they come to feel less than is true"
        if up < down
        else f"good and bad news move them alike (by {up:g})"
    )
    text = f"Agents compare their bodies on the dimensions they talk about; {news}. "
    if known(felt["mean_felt"]) is not None and known(felt["mean_true"]) is not None:
        mean_contests = round(known(felt["contests"]) or 0.0)
        text += (
            f"At the end they feel a superiority of {number(felt['mean_felt'])} where {number(felt['mean_true'])} "
            f"is true, an illusion of {number(felt['illusory'])}; dimensions have been in "
            f"{count(mean_contests, 'contest')} on average. "
        )
    foretold = known(felt["predicted"]) is not None
    if config.reward_weights["comparison"] < 1 or config.self_attribution < 1:
        text += (
            "Where it settles can be foretold only for comparison alone, felt as wholly one&#x27;s own doing, and here "
            "other things are felt too. "
        )
    if foretold:
        text += f"With their win rates it settles at {number(felt['predicted'])}. "
    tau = known(felt["tau"]) if foretold and config.superiority == "expectile" else None
    if tau is not None:
        text += f"Were every contest fair, it would settle at &tau; = {number(tau)}."
    elif foretold:
        text += (
            "Feelings move in steps of one size here, whatever the surprise: they run to 1 on a dimension on which "
            f"more than {number(1 - config.tau)} of contests are won, and to 0 on the others."
        )
    parts: list[str | Plot | tuple[Plot, ...]] = []
    developed = draw.superiority_figure(metrics, tau=tau)
    if developed is not None:
        note = "Mean over all dimensions held. The axis does not start at 0."
        parts.append(Plot(name="superiority", heading="Superiority felt, and true", note=note, figure=developed))
    feeling, true, contests = standings_of(society)
    p = np.linspace(0.0, 1.0, 101)
    curve = (p, settling_point(p, config)) if foretold else None
    spread = draw.standing_histogram(feeling, true)
    cloud = draw.standing_scatter(feeling, true, contests, curve)
    if spread is not None and cloud is not None:
        shown = "Share of dimensions with contests; at 0 everybody stands higher, at 1 nobody."
        settling = "Where feeling settles" if foretold else "Felt beside true"
        near = "A point is one dimension of one agent" + ("; contests draw it to the curve." if foretold else ".")
        parts.append(
            (
                Plot(name="spread", heading="Felt and true at the end", note=shown, figure=spread),
                Plot(name="standing", heading=settling, note=near, figure=cloud),
            )
        )
    return Section(id="feelings", short="Feelings", heading="What they feel, and what is true", text=text, parts=parts)


def standings_of(society: Society) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Superiority felt, true standing and contests, [n] each, of the dimensions that have been in any contest.

    Of an even sample of agents in a large society, which a page can hold; true standing is that of the measurements.
    """
    population = society.population
    n = len(population)
    rows = np.unique(np.linspace(0, n - 1, min(n, MANY)).astype(int))
    been = (population.held & (population.contests > 0))[rows]
    felt, contests = population.score[rows][been].astype(np.float64), population.contests[rows][been].astype(np.int64)
    return felt, true_standing(society)[rows][been], contests


def deaths_section(society: Society) -> Section:
    """Who died: when, how old, how unfit; the last of them one by one."""
    section = {"id": "deaths", "short": "Deaths", "heading": "Who died"}
    dead = society.deaths
    total = sum(len(record.id) for _, record in dead)
    if total == 0:
        return Section(**section, text="Nobody has died.")
    ages = np.concatenate([record.age for _, record in dead])
    worth = [(step, record.fitness) for step, record in dead]
    living = fitness(society.population)
    share = percent(society.config.turnover)
    if society.config.selection == "moran":
        law = f"At each selection {share} of those old enough die, whoever they are, and parents are drawn by fitness. "
    else:
        law = (
            f"At each selection the least fit {share} of those old enough die, and the heirs of the fittest take their "
            "place. "
        )
    text = (
        f"{law}Fitness is what an agent feels, times how well it is understood. "
        f"{count(total, 'agent')} died, half of them within {count(float(np.median(ages)), 'step')} of their birth; "
        f"the fitness of those who live now is {number(float(np.median(living)))} in the middle."
    )
    founders = [int((record.age == step).sum()) for step, record in dead]
    later = [len(record.id) - n for (_, record), n in zip(dead, founders, strict=True)]
    per_selection = draw.deaths_figure([step for step, _ in dead], founders, later)
    old = draw.ages_figure(ages)
    unfit = draw.fitness_figure(worth, living, society.steps)
    return Section(
        **section,
        text=text,
        parts=[
            Plot(
                name="fitness",
                heading="Fitness of the dead, and of the living at the end",
                note="A stroke is a selection, from the least to the most fit of its dead, with the median as a point.",
                figure=unfit,
            ),
            (
                Plot(
                    name="deaths", heading="Deaths at each selection", note="Number of the dead.", figure=per_selection
                ),
                Plot(name="ages", heading="How old they were", note="Number of the dead, by age.", figure=old),
            ),
            _last_dead(society),
        ],
    )


def _last_dead(society: Society) -> str:
    told = [(step, record, i) for step, record in reversed(society.deaths) for i in reversed(range(len(record.id)))]
    rows = []
    for step, record, i in told[:LAST_DEAD]:
        cells = (
            f"{step:,}",
            f"{record.id[i]}",
            count(int(record.age[i]), "step"),
            number(record.fitness[i]),
            f"{record.dimensions[i]}",
            f"{record.heir[i]}, child of {record.parent[i]}",
        )
        rows.append("<tr>" + "".join(f'<td class="n">{cell}</td>' for cell in cells) + "</tr>")
    names = ("Step", "Agent", "Aged", "Fitness", "Dimensions", "Replaced by")
    head = "".join(f'<th class="n">{name}</th>' for name in names)
    return (
        f'<div class="scroll" tabindex="0"><table><caption>The last who died</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def doing_section(society: Society) -> Section:
    """Attribution: whose doing the outcomes were in the long run."""
    shares = society.ledger.shares()
    section = {"id": "doing", "short": "Attribution", "heading": "Whose doing it was"}
    if shares is None:
        return Section(**section, text="Outcomes have not differed yet, so nothing can be put down to anybody.")
    text = (
        f"Of what made outcomes differ, {percent(shares['self'])} were the agents&#x27; own dimensions, "
        f"{percent(shares['others'])} those they met, and {percent(shares['luck'])} luck. These are Shapley "
        "shares of the variance: each is credited with what it adds, averaged over all orders of adding. Luck is what "
        "a linear account of both sides leaves unexplained. "
    )
    if society.config.reward_weights["comparison"] > 0:
        text += "Contests are decided by the two bodies, so it is not chance in the strict sense. "
    if abs(shares["self"] - shares["others"]) <= ALIKE:
        text += "Self and others are nearly equal, since partners are drawn from the same society. "
    plot = Plot(name="doing", heading="Self, others and luck", figure=draw.attribution_figure(shares))
    return Section(**section, text=text, parts=[plot])


def settings_section(society: Society) -> Section:
    """The configuration, every field."""
    rows = []
    for name, value in dataclasses.asdict(society.config).items():
        shown = (
            "by the world" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        )
        rows.append(f"<div><dt>{esc(name.replace('_', ' '))}</dt><dd>{esc(shown)}</dd></div>")
    world = society.world
    text = (
        f"The world has {count(world.n_objects, 'object')} of {count(world.n_features, 'feature')}; "
        f"{len(world.held_out):,} are held out for measuring, and {len(world.probe):,} are common ground that anyone "
        f"can point at. An agent senses {count(society.population.n_sensors, 'feature')}. Intervals are in steps; "
        "0 is never."
    )
    parts = [f'<dl class="settings">{"".join(rows)}</dl>']
    return Section(id="settings", short="Settings", heading="How it was set up", text=text, parts=parts)
