"""What `experiments.bench_society` measured as a picture: agent-steps a second, and memory, by the number of agents."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detection import files, plotting
from experiments.society_costs import CALLED, Kind

STYLES: dict[Kind, dict[str, Any]] = {
    "society": {"color": "black", "linewidth": 2.2},
    "tensors": {"color": "C3"},
    "own draws": {"color": "C3", "linestyle": "--"},
    "plain": {"color": "C0"},
    "wealth": {"color": "C1"},
    "frames": {"color": "C2"},
}

BOUND = {"color": "0.5", "linestyle": "--", "linewidth": 1}
"""Of what can be reckoned without running anything."""


def draw(told: Mapping[str, Any], path: Path) -> None:
    """Write an SVG of two panels; the same measurements give the same bytes.

    Parameters
    ----------
    told : what `bench_society.as_json` returns, or what was read from the file that it was written to
    path : of the SVG, whose directory must be there

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    matplotlib = plotting.matplotlib("plot is")
    with files.replacing(path) as stream:
        stream.write(_picture(told, matplotlib))


def _picture(told: Mapping[str, Any], matplotlib: Any) -> bytes:
    points: Sequence[Mapping[str, Any]] = sorted(told["points"], key=lambda point: point["agents"])
    # Text stays text, and neither ids nor dates differ from run to run.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "society"}):
        figure = matplotlib.figure.Figure(figsize=(9.6, 4.6), layout="constrained")
        speed, memory = figure.subplots(1, 2)
        for kind, style in STYLES.items():
            rows = [point for point in points if point["kind"] == kind]
            if rows:
                agents, of_kind = [row["agents"] for row in rows], {"marker": "o", "markersize": 4, **style}
                speed.plot(agents, [row["agent_steps_per_s"] for row in rows], label=CALLED[kind], **of_kind)
                memory.plot(agents, [row["peak_mb"] for row in rows], **of_kind)
        _bounds([point for point in points if point["kind"] == "society"], speed, memory)
        speed.set(title="agent-steps a second")
        memory.set(title="peak memory of the process, MB")
        for axes in (speed, memory):
            axes.set(xscale="log", yscale="log", xlabel="agents")
            axes.set_xticks(sorted({point["agents"] for point in points}))
            axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter("{x:,.0f}")
                axis.set_minor_locator(matplotlib.ticker.NullLocator())
            axes.title.set_fontsize(10)
            axes.tick_params(labelsize=8)
            axes.grid(color="0.92")
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=9)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _bounds(society: Sequence[Mapping[str, Any]], speed: Any, memory: Any) -> None:
    """How fast a society would be if a tick only read what it has to do with; how much its population alone holds."""
    agents, style = [row["agents"] for row in society], {"color": "0.4", "fontsize": 8}
    rates = [row["agents"] / row["floor_seconds"] for row in society]
    speed.plot(agents, rates, **BOUND)
    above = {"xytext": (0, 5), "textcoords": "offset points"}
    speed.annotate("Society, if a tick only read memory once", (agents[0], rates[0]), **above, **style)
    memory.plot(agents, [row["agents"] * row["bytes_per_agent"] / 2**20 for row in society], **BOUND)
    # The line ends in the upper right corner, so that there is room below it.
    text = f"Society's population alone:\n{society[-1]['bytes_per_agent']:,.0f} bytes an agent"
    memory.text(0.98, 0.04, text, ha="right", transform=memory.transAxes, **style)
