"""What theory says of superiority where there is no closed form, for `experiments.limits.superiority`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from agents.population import NEUTRAL


def normal_expectile(tau: float) -> float:
    """The tau-expectile of N(0, 1), by root finding on E(r - V)+ = phi(V) - V (1 - Phi(V))."""

    def imbalance(value: float) -> float:
        above = float(norm.pdf(value) - value * norm.sf(value))
        return tau * above - (1 - tau) * (above + value)

    return float(brentq(imbalance, -5.0, 5.0, xtol=1e-14))


def normal_bias(rate_up: float, rate_down: float) -> float:
    """How far the mean of V is from the expectile of N(0, 1), to first order in the rates.

    With the drift g(V) = a+ E(r - V)+ - a- E(V - r)+ and steps of variance s^2 at V*, V scatters with the variance
    s^2 / (2 |g'|), and its mean is off by g'' / (2 |g'|) times that.
    """
    e = normal_expectile(rate_up / (rate_up + rate_down))
    above, below, density = float(norm.sf(e)), float(norm.cdf(e)), float(norm.pdf(e))
    steps = rate_up**2 * ((1 + e * e) * above - e * density) + rate_down**2 * ((1 + e * e) * below + e * density)
    slope, bend = rate_up * above + rate_down * below, (rate_up - rate_down) * density
    return bend / (2 * slope) * steps / (2 * slope)


def walk_course(
    win_rate: NDArray[np.floating], contests: NDArray[np.integer], *, rate_up: float, rate_down: float
) -> NDArray[np.float64]:
    """Expected superiority [n] of the quantile variant after so many contests each, exact.

    V walks on multiples of a-: k up where a contest is won (k = a+ / a-, a whole number), one down where it is lost,
    and stays within [0, 1].

    Raises
    ------
    ValueError
        If a+ or 1/2 is not a whole number of steps a-.
    """
    top, up = round(1 / rate_down), round(rate_up / rate_down)
    if not np.allclose([up * rate_down, top * rate_down], [rate_up, 1.0], rtol=1e-9) or top % 2:
        raise ValueError(f"a walk needs rates of which 1/2 is a multiple, not {rate_up} and {rate_down}")
    p = np.asarray(win_rate, dtype=np.float64)[:, None]
    chance = np.zeros((len(p), top + 1))
    chance[:, round(NEUTRAL / rate_down)] = 1.0
    for step in range(int(np.max(contests))):
        following = np.zeros_like(chance)
        following[:, up:] = p * chance[:, :-up]
        following[:, -1:] += p * chance[:, -up:].sum(axis=1, keepdims=True)
        following[:, :-1] += (1 - p) * chance[:, 1:]
        following[:, :1] += (1 - p) * chance[:, :1]
        chance = np.where((contests > step)[:, None], following, chance)
    return np.asarray(chance @ np.linspace(0.0, 1.0, top + 1), dtype=np.float64)


def course_variance(win_rate: float, contests: int, *, rate_up: float, rate_down: float) -> float:
    """Variance of V after so many contests won at this rate, exact: E V^2 follows a linear recursion too."""
    p, mean, square = win_rate, NEUTRAL, NEUTRAL**2
    for _ in range(contests):
        won = (1 - rate_up) ** 2 * square + 2 * rate_up * (1 - rate_up) * mean + rate_up**2
        square = p * won + (1 - p) * (1 - rate_down) ** 2 * square
        mean = p * (mean + rate_up * (1 - mean)) + (1 - p) * (1 - rate_down) * mean
    return square - mean * mean
