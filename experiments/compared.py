"""What a comparison found: figures of every condition, paired differences to the baseline, as a table and in words.

Conditions are compared seed by seed: the same seed gives them the same world and founders, so that what differs
between seeds drops out of their difference. Its mean has a t-interval over the seeds (Student 1908). Nothing is
corrected for how many differences are looked at; how many of them chance alone would mark is said beside them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from experiments.pieces import Found
from experiments.report_text import number

CONFIDENCE = 0.95
MINUS = "\N{MINUS SIGN}"
UP, DOWN = "\N{BLACK UP-POINTING TRIANGLE}", "\N{BLACK DOWN-POINTING TRIANGLE}"
ROUNDING = 1e-12
"""What is smaller than this share of a figure is none of it: sums in another order have other last digits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its confidence interval over ``seeds`` samples; the ends are nan where there are fewer than two."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval is above or below 0, and 0 where it is not, or is not known.

        Figures that are counts may differ by the same with every seed, which leaves no spread to judge them by. Then
        that all seeds agree has to be unlikely enough by itself (the sign test: 2 / 2^seeds).
        """
        if self.constant and 2.0 ** (1 - self.seeds) > 1 - CONFIDENCE:
            return 0
        return int(self.low > 0) - int(self.high < 0)

    @property
    def constant(self) -> bool:
        """Whether every sample is the same."""
        return self.low == self.high

    @property
    def none(self) -> bool:
        """Whether every sample is 0: no difference at all, rather than none that can be shown."""
        return self.constant and self.mean == 0


def interval(samples: NDArray[np.float64]) -> Interval:
    """The t-interval of the mean of the samples that are known (not nan)."""
    known = samples[np.isfinite(samples)]
    n = len(known)
    if n == 0:
        return Interval(mean=math.nan, low=math.nan, high=math.nan, seeds=0)
    mean = float(known.mean())
    if n == 1:
        return Interval(mean=mean, low=math.nan, high=math.nan, seeds=1)
    half = float(student.ppf((1 + CONFIDENCE) / 2, n - 1) * known.std(ddof=1) / math.sqrt(n))
    if half <= ROUNDING * abs(mean):
        half = 0.0
    return Interval(mean=mean, low=mean - half, high=mean + half, seeds=n)


def paired(values: NDArray[np.float64], baseline: NDArray[np.float64]) -> Interval:
    """The interval of the differences ``values - baseline``, seed by seed, where both are known."""
    return interval(_without_rounding(values - baseline, np.maximum(np.abs(values), np.abs(baseline))))


def trend(curves: NDArray[np.float64], at: NDArray[np.float64]) -> Interval:
    """How much curves [seeds, places] rise from the first place to the last: the interval over the seeds.

    The rise is that of the straight line that fits a curve best (least squares), which all its places have a say in.
    """
    centred = at - at.mean()
    rises = curves @ centred / float(centred @ centred) * float(np.ptp(at))
    return interval(_without_rounding(rises, np.abs(curves).max(axis=1)))


def _without_rounding(differences: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences between figures as large as ``scale``, of which those that are mere rounding are 0."""
    return np.where(np.abs(differences) <= ROUNDING * scale, 0.0, differences)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """Figures by condition.

    Attributes
    ----------
    question : what was asked
    found : by condition, the first of which is the baseline, and by figure: float64 [seeds], nan where unknown
    seeds : which they were
    figures : what each figure is, in words that can begin a line; in the order in which they are shown
    answers : the figures that answer the question
    curve, at : what the axis of a curve of conditions is, and where on it each of them stands; empty for no curve
    """

    question: str
    found: Mapping[str, Found]
    seeds: Sequence[int]
    figures: Mapping[str, str]
    answers: Sequence[str]
    curve: str = ""
    at: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """What all other conditions are compared with."""
        return next(iter(self.found))

    @property
    def others(self) -> list[str]:
        """The conditions but for the baseline."""
        return list(self.found)[1:]

    def values(self, condition: str, figure: str) -> NDArray[np.float64]:
        """One figure in one condition, [seeds]; nan where the condition does not have it."""
        return self.found[condition].get(figure, np.full(len(self.seeds), np.nan))

    def difference(self, condition: str, figure: str) -> Interval:
        """The paired difference of a condition to the baseline."""
        return paired(self.values(condition, figure), self.values(self.baseline, figure))

    def beside(self, condition: str) -> Compared:
        """The same with another condition as the baseline."""
        return dataclasses.replace(self, found={condition: self.found[condition]} | dict(self.found))

    def known(self, figure: str) -> bool:
        """Whether there is anything to be said of a figure."""
        return any(np.isfinite(self.values(condition, figure)).any() for condition in self.found)

    def trend(self, figure: str) -> Interval | None:
        """How a figure goes along the curve of conditions; None where there are fewer than three of them."""
        if len(self.at) < 3:
            return None
        names = sorted(self.at, key=lambda name: self.at[name])
        places = np.array([self.at[name] for name in names])
        return trend(np.stack([self.values(name, figure) for name in names], axis=1), places)


def as_json(compared: Compared) -> dict[str, Any]:
    """Everything found, for JSON: what is not known is nan."""
    return {
        "question": compared.question,
        "seeds": list(compared.seeds),
        "baseline": compared.baseline,
        "confidence": CONFIDENCE,
        "figures": dict(compared.figures),
        "conditions": {
            condition: {
                figure: {
                    **spread_of(compared.values(condition, figure)),
                    "values": compared.values(condition, figure).tolist(),
                    "difference": None
                    if condition == compared.baseline
                    else dataclasses.asdict(compared.difference(condition, figure)),
                }
                for figure in compared.figures
            }
            for condition in compared.found
        },
        "trends": {
            figure: dataclasses.asdict(along) for figure in compared.figures if (along := compared.trend(figure))
        },
    }


def spread_of(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean and standard deviation over the seeds where the figure is known."""
    known = values[np.isfinite(values)]
    return {
        "mean": float(known.mean()) if len(known) else math.nan,
        "sd": float(known.std(ddof=1)) if len(known) > 1 else math.nan,
    }


# ---- in words


def table(compared: Compared, figures: Sequence[str]) -> str:
    """Mean +- standard deviation of figures under every condition, and the paired difference, for the terminal.

    A triangle marks a difference whose interval is wholly on one side of 0.
    """
    blocks = []
    for figure in figures:
        lines = [(compared.baseline, told(compared.values(compared.baseline, figure)), "")]
        for condition in compared.others:
            found = compared.difference(condition, figure)
            lines.append((condition, told(compared.values(condition, figure)), f"{mark(found) or ' '} {change(found)}"))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = ("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)
        blocks.append("\n".join([compared.figures[figure], *(f"  {line}".rstrip() for line in shown)]))
    return "\n\n".join(blocks)


def told(values: NDArray[np.float64]) -> str:
    """Mean +- standard deviation; a dash where nothing is known."""
    found = spread_of(values)
    digits = decimals(found["sd"], found["mean"])
    spread = f" \N{PLUS-MINUS SIGN} {number(found['sd'], digits)}" if math.isfinite(found["sd"]) else ""
    return f"{number(found['mean'], digits)}{spread}"


def change(found: Interval) -> str:
    """A difference and its interval: +0.04, +0.01 to +0.07."""
    if found.none:
        return "the same"
    digits = decimals((found.high - found.low) / 2, found.mean)
    if found.constant:
        return f"{_signed(found.mean, digits)} with every seed"
    interval = f", {_signed(found.low, digits)} to {_signed(found.high, digits)}" if found.seeds > 1 else ""
    return f"{_signed(found.mean, digits)}{interval}"


def _signed(value: float, digits: int) -> str:
    return f"+{number(value, digits)}" if round(value, digits) > 0 else number(value, digits)


def decimals(spread: float, value: float) -> int:
    """So many digits after the point that a spread has two that count, or the value three where nothing spreads."""
    for scale, digits in ((spread, 2), (value, 3)):
        if math.isfinite(scale) and abs(scale) > 0:
            return min(max(digits - 1 - math.floor(math.log10(abs(scale))), 0), 6)
    return 0


def mark(found: Interval) -> str:
    """A triangle up or down where the interval is wholly on that side of 0; nothing otherwise."""
    return {1: UP, -1: DOWN, 0: ""}[found.sign]


def sentences(compared: Compared) -> list[str]:
    """A sentence for each figure that answers the question, and one on what chance alone would have shown."""
    return [*(sentence(compared, figure) for figure in compared.answers), by_chance(compared)]


def by_chance(compared: Compared) -> str:
    """How many of the differences that were looked at are shown, and how many chance alone would show."""
    differences = [compared.difference(name, figure) for name in compared.others for figure in compared.answers]
    looked_at = sum(found.seeds > 1 for found in differences)
    return (
        f"{sum(found.sign != 0 for found in differences)} of these {looked_at} differences are shown, each with "
        f"{CONFIDENCE:.0%} confidence for itself alone; if there were none, chance would show about "
        f"{number((1 - CONFIDENCE) * looked_at, 1)}."
    )


def sentence(compared: Compared, figure: str) -> str:
    """What the seeds say of one figure: under which conditions it is higher, lower, or cannot be told apart."""
    differences = {name: compared.difference(name, figure) for name in compared.others}
    parts = []
    for words, sign in (("higher", 1), ("lower", -1)):
        chosen = [f"{name} ({change(found)})" for name, found in differences.items() if found.sign == sign]
        if chosen:
            parts.append(f"{words} under {listed(chosen)}")
    alike = [
        f"{name} ({change(found)})"
        for name, found in differences.items()
        if found.constant and not found.sign and not found.none
    ]
    if alike:
        parts.append(f"differing alike with so few seeds under {listed(alike)}")
    told_apart = bool(parts)
    unshown = {
        name: found for name, found in differences.items() if found.seeds > 1 and not (found.sign or found.constant)
    }
    for words, left in (
        ("the same", [name for name, found in differences.items() if found.none]),
        (f"no difference that {so_many(unshown.values())} seeds can show", list(unshown)),
        ("not known", [name for name, found in differences.items() if found.seeds < 2]),
    ):
        if left:
            all_others = len(left) == len(differences) > 1 and not told_apart
            parts.append(f"{words} under {'any other condition' if all_others else listed(left)}")
    first = f"{compared.figures[figure]}: {told(compared.values(compared.baseline, figure))} under {compared.baseline}"
    along = compared.trend(figure)
    return f"{'; '.join([first, *parts])}.{_along(compared, along)}"


def so_many(found: Iterable[Interval]) -> str:
    """The number of seeds on which these rest, or from which to which number, where some know less."""
    numbers = sorted({one.seeds for one in found})
    return " to ".join(str(number) for number in (numbers[:1] + numbers[1:][-1:]))


def verdict(
    compared: Compared,
    condition: str,
    ways: Mapping[str, int],
    *,
    gains: str = "better in",
    losses: str = "poorer in",
    neither: str = "no different that {} seeds can show in",
) -> str:
    """In which figures a condition is better than the baseline, in which poorer, and in which nothing can be shown.

    ``ways`` is by figure 1 where more is better, and -1 where less is; figures that fewer than two seeds know under
    both are passed over.
    """
    differences = {
        figure: found
        for figure in ways
        if figure in compared.figures and (found := compared.difference(condition, figure)).seeds > 1
    }
    signs = {compared.figures[figure]: found.sign * ways[figure] for figure, found in differences.items()}
    seeds = so_many(found for found in differences.values() if not found.sign)
    parts = [
        f"{words} {listed([in_a_line(what) for what, sign in signs.items() if sign == wanted])}"
        for words, wanted in ((gains, 1), (losses, -1), (neither.format(seeds), 0))
        if wanted in signs.values()
    ]
    return "; ".join(parts) if parts else "nothing that could be compared is known"


def trends(compared: Compared, figures: Iterable[str]) -> str:
    """Which figures rise along the curve of conditions, which fall, and which show no trend; see `verdict`."""
    found = {
        compared.figures[figure]: along
        for figure in figures
        if figure in compared.figures and (along := compared.trend(figure)) is not None and along.seeds > 1
    }
    signs = {what: along.sign for what, along in found.items()}
    seeds = so_many(along for along in found.values() if not along.sign)
    parts = [
        f"{words} in {listed([in_a_line(what) for what, sign in signs.items() if sign == wanted])}"
        for words, wanted in (("a rise", 1), ("a fall", -1), (f"no trend that {seeds} seeds can show", 0))
        if wanted in signs.values()
    ]
    return f"{_along_the_curve(compared)}: {'; '.join(parts)}" if parts else "nothing is known"


def _along_the_curve(compared: Compared) -> str:
    first, last = (f"{place:g}".replace("-", MINUS) for place in (min(compared.at.values()), max(compared.at.values())))
    return f"from {compared.curve} {first} to {last}"


def in_a_line(what: str) -> str:
    """Words that begin a sentence, inside one."""
    return what[0].lower() + what[1:]


def _along(compared: Compared, along: Interval | None) -> str:
    if along is None or along.seeds < 2:
        return ""
    way = _along_the_curve(compared)
    if along.none:
        return f" It stays the same {way}."
    if not along.sign:
        return f" No trend that {along.seeds} seeds can show {way} ({change(along)})."
    return f" It {'rises' if along.sign > 0 else 'falls'} {way} ({change(along)})."


def listed(names: Sequence[str]) -> str:
    """Names as they stand in a sentence: "a, b and c"."""
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last
