"""The page on FrozenBatchNorm: plots with two sentences under each, and three questions answered by their figures.

Every sentence is made from the figures at hand: with other figures it says something else, or the opposite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from detection.coco_eval import share
from detection.config import Norm
from experiments.compared import listed
from experiments.lab.claims import SAME, spread
from experiments.lab.norms import LOOKS, NETWORKS, VARIANTS, Network, Variant
from experiments.lab.rows import NORM_NAMES
from experiments.pieces import Found
from experiments.report_chart import BLUE, GREEN, GREY, ORANGE, PURPLE, chart
from experiments.report_page import Plot, Section, page
from experiments.report_text import esc, number

All = Mapping[str, Found]
"""Figures [seeds] by name, of every variant and network."""

COLOURS: Mapping[Norm, str] = {"frozen_bn": ORANGE, "bn": BLUE, "gn": GREEN}
BATCHES = {2: PURPLE, 4: BLUE, 16: GREEN}

LAB_NORMS: tuple[Norm, ...] = ("frozen_bn", "bn", "gn")

QUESTIONS = (
    "What does FrozenBatchNorm do?",
    "When does it hurt?",
    "What should the lab use at batch 4 from scratch?",
)


def render(found: All, *, seeds: int) -> str:
    """The page as HTML."""
    said = "".join(
        f"<li><strong>{esc(question)}</strong> {esc(' '.join(sentences))}</li>"
        for question, sentences in answers(found).items()
    )
    return page(
        title="What FrozenBatchNorm does",
        eyebrow="Detection bench &middot; normalisation",
        heading="What does FrozenBatchNorm do, and when does it hurt?",
        lede="Batch normalisation that never changes: a fixed affine map of every channel.",
        sections=[depth_section(found), statistics_section(found), ap_section(found)],
        header=f'<ul class="said">{said}</ul>\n',
        footer=f"Drawn shapes of 128 pixels; {seeds} seeds. The same seeds give the same figures.",
    )


# ---- the answers


def answers(found: All) -> dict[str, list[str]]:
    """Plain sentences for each question, with the figures that they rest on and where these are shown."""
    return dict(zip(QUESTIONS, (_what_it_does(found), _when_it_hurts(found), _what_to_use(found)), strict=True))


def _what_it_does(found: All) -> list[str]:
    frozen, bn = Variant(norm="frozen_bn"), Variant(norm="bn")
    gap, other = (_gap(found, one) for one in (frozen, bn))
    pretrained = Network(backbone="efficientnet-lite0", norm="frozen_bn", pretrained=True)
    last = {norm: _curve(found, Network(backbone="resnet50", norm=norm), "scale")[-1] for norm in LAB_NORMS}
    return [
        "It is a fixed affine map of each channel, so that what the network says of an image does not depend on which "
        f"others are beside it: its loss in use differs from that in training by {_signed(gap)}, that of BN at batch 4 "
        f"by {_signed(other)} (figure 6).",
        f"Pretrained, it carries ImageNet's statistics, and features change by a factor of "
        f"{number(_change(found, pretrained), 1)} from the first block to the last (figure 3).",
        "From scratch it is the identity: in a ResNet-50 the features keep the scale of the pixels, "
        f"{_short(last['frozen_bn'])} after the last block, where BN gives {_short(last['bn'])} and GN "
        f"{_short(last['gn'])} (figure 1).",
    ]


def _when_it_hurts(found: All) -> list[str]:
    said = []
    for pretrained in (True, False):
        frozen = Variant(norm="frozen_bn", pretrained=pretrained, frozen_stem=True)
        others = [Variant(norm=norm, pretrained=pretrained, frozen_stem=True) for norm in ("bn", "gn")]
        others = [one for one in others if one.name in found]
        begin = "With a pretrained backbone" if pretrained else "From scratch, with the stem frozen as in the lab,"
        verdict = _beside(found, frozen, others)
        said.append(f"{begin} it {verdict} (figure 8).")
    costs = {norm: _stem_costs(found, norm) for norm in LAB_NORMS}
    told = listed([f"{_signed(cost)} AP with {NORM_NAMES[norm]}" for norm, cost in costs.items()])
    said.append(f"To let the stem and the first stage learn, which are random from scratch, brings {told} (figure 7).")
    return said


def _what_to_use(found: All) -> list[str]:
    tried = [one for one in VARIANTS if one.batch == 4 and not one.pretrained]
    order = sorted(tried, key=lambda one: -_ap(found, one))
    best, next_best = order[0], order[1]
    lead = found[best.name]["AP"] - found[next_best.name]["AP"]
    ahead = int((np.nan_to_num(lead, nan=1.0) > 0).sum())
    lab = Variant(norm="frozen_bn", frozen_stem=True)
    said = [
        f"Of what was tried, {best.title}: AP {_told(found, best)}, beside {_told(found, lab)} of the lab's own row "
        f"({lab.title}) (figure 8).",
        f"Next is {next_best.title} with {_told(found, next_best)}: the first is ahead with {ahead} of {len(lead)} "
        f"seeds "
        "(figure 8).",
    ]
    noise = {batch: _last(found, Variant(norm="bn", batch=batch), "noise variance") for batch in BATCHES}
    said.append(
        "If it is to be BN, a larger batch: the variances that single batches see are off by a factor of "
        f"{number(np.exp(noise[2]), 2)} at batch 2, {number(np.exp(noise[4]), 2)} at 4 and "
        f"{number(np.exp(noise[16]), 2)} "
        "at 16 on average (figure 4)."
    )
    return said


def _beside(found: All, frozen: Variant, others: Sequence[Variant]) -> str:
    """What FrozenBN does beside others: costs, brings, or neither."""
    parts = []
    for other in others:
        lost = found[other.name]["AP"] - found[frozen.name]["AP"]
        mean = float(np.nanmean(lost)) if np.isfinite(lost).any() else float("nan")
        agree = int((np.sign(lost) == np.sign(mean)).sum())
        if not np.isfinite(mean):
            verb = "cannot be compared with"
        elif abs(mean) <= SAME:
            verb = "is as good as"
        else:
            verb = "hurts beside" if mean > 0 else "is better than"
        parts.append(
            f"{verb} {NORM_NAMES[other.norm]} ({_told(found, frozen)} and {_told(found, other)}; {agree} of "
            f"{len(lost)} "
            "seeds agree)"
        )
    return listed(parts)


# ---- the plots


def depth_section(found: All) -> Section:
    """Figures 1 to 3: signal and gradient through depth."""
    lab = [Network(backbone="resnet50", norm=norm) for norm in LAB_NORMS]
    small = [one for one in NETWORKS if one.backbone == "efficientnet-lite0"]
    first = _curve(found, lab[0], "scale")[0]
    last = {one.norm: _curve(found, one, "scale")[-1] for one in lab}
    speeds = {one.norm: _curve(found, one, "learning") for one in lab}
    uneven = {norm: float(values.max() / values.min()) for norm, values in speeds.items()}
    pretrained = next(one for one in small if one.pretrained)
    return Section(
        id="depth",
        short="Through depth",
        heading="Signal and gradient through depth",
        text="Networks at their beginning, on one batch of 8 images, every stage learning; means over the seeds.",
        parts=[
            Plot(
                name="scale-resnet",
                heading="1. Scale of the features, ResNet-50 from scratch",
                note=f"FrozenBN is the identity here: the features keep the scale of the pixels, {_short(first)} after "
                f"the stem and {_short(last['frozen_bn'])} after the last block. BN gives {_short(last['bn'])} and GN "
                f"{_short(last['gn'])} there, whatever they are given.",
                figure=depth_figure(found, lab, "scale", y="root mean square"),
            ),
            Plot(
                name="learning-resnet",
                heading="2. How fast the weights would change, ResNet-50 from scratch",
                note="The norm of the gradient over that of the weights, by block: from the slowest to the fastest it "
                f"differs by a factor of {_short(uneven['frozen_bn'])} with FrozenBN, {_short(uneven['bn'])} with BN "
                f"and "
                f"{_short(uneven['gn'])} with GN. One learning rate has to do for all blocks, and "
                f"{NORM_NAMES[max(uneven, key=uneven.__getitem__)]} asks the most of it.",
                figure=depth_figure(found, lab, "learning", y="gradient / weights"),
            ),
            Plot(
                name="scale-efficientnet",
                heading="3. Scale of the features, EfficientNet-Lite0",
                note=f"Pretrained, the fixed map fits the weights: features change by a factor of "
                f"{number(_change(found, pretrained), 1)} from the first block to the last. From scratch with "
                f"FrozenBN it is "
                f"{number(_change(found, small[0]), 1)}, with BN {number(_change(found, small[1]), 1)}.",
                figure=depth_figure(found, small, "scale", y="root mean square"),
            ),
        ],
    )


def statistics_section(found: All) -> Section:
    """Figures 4 to 6: what batches do to statistics, and to the loss."""
    bn = {batch: Variant(norm="bn", batch=batch) for batch in BATCHES}
    noise = {batch: _last(found, one, "noise variance") for batch, one in bn.items()}
    drift = {batch: _last(found, one, "drift variance") for batch, one in bn.items()}
    gaps = {batch: _gap(found, one) for batch, one in bn.items()}
    return Section(
        id="statistics",
        short="Statistics of batches",
        heading="What small batches do to batch normalisation",
        text="BN from scratch, every stage learning, with batches of 2, 4 and 16 images and as many images in all.",
        parts=[
            (
                Plot(
                    name="noise",
                    heading="4. How far a batch's variances are from the true ones",
                    note=f"At the end the logarithms differ by {number(noise[2])} at batch 2, {number(noise[4])} at 4 "
                    f"and "
                    f"{number(noise[16])} at 16. This noise is in every update of BN; FrozenBN and GN have none.",
                    figure=over_training(found, bn, "noise variance", y="|log variance|"),
                ),
                Plot(
                    name="drift",
                    heading="5. How far the kept variances are from the true ones",
                    note=f"At the end by {number(drift[2])} at batch 2, {number(drift[4])} at 4 and "
                    f"{number(drift[16])} at "
                    "16. These are what a detector is used with, and what FrozenBN takes from ImageNet.",
                    figure=over_training(found, bn, "drift variance", y="|log variance|"),
                ),
            ),
            Plot(
                name="gap",
                heading="6. Loss in use less loss in training, on the same images",
                note=f"At the end {_signed(gaps[2])} at batch 2, {_signed(gaps[4])} at 4 and {_signed(gaps[16])} at "
                f"16. With "
                f"FrozenBN it is {_signed(_gap(found, Variant(norm='frozen_bn')))} and with GN "
                f"{_signed(_gap(found, Variant(norm='gn')))}, for neither looks at other images.",
                figure=gap_figure(found),
            ),
        ],
    )


def ap_section(found: All) -> Section:
    """Figures 7 and 8: what it all comes to."""
    costs = {norm: _stem_costs(found, norm) for norm in LAB_NORMS}
    order = sorted(VARIANTS, key=lambda one: -_ap(found, one))
    worst = order[-1]
    return Section(
        id="ap",
        short="AP",
        heading="What it comes to",
        text="Trainings that differ in this alone: as many images, the same learning rate for an image, the same "
        "seeds.",
        parts=[
            Plot(
                name="stem",
                heading="7. A frozen random stem, from scratch at batch 4",
                note=f"To let the stem and the first stage learn brings {_signed(costs['frozen_bn'])} AP with "
                f"FrozenBN, "
                f"{_signed(costs['bn'])} with BN and {_signed(costs['gn'])} with GN. The lab's configuration freezes "
                f"them, "
                "which is meant for pretrained weights.",
                figure=stem_figure(found),
            ),
            Plot(
                name="ap",
                heading="8. AP of all trainings",
                note=f"Best is {order[0].title} with {_told(found, order[0])}. Last is {worst.title} with "
                f"{_told(found, worst)}.",
                figure=ap_figure(found),
            ),
        ],
    )


def depth_figure(found: All, networks: Sequence[Network], what: str, *, y: str) -> go.Figure:
    """One figure of every unit, a line for each network."""
    drawn = chart(x="unit of the backbone, from the image on", y=y)
    for network in networks:
        values = _curve(found, network, what)
        drawn.add_scatter(
            x=list(range(len(values))),
            y=[float(value) for value in values],
            mode="lines+markers",
            name=esc(network.title),
            line={"color": COLOURS[network.norm], "width": 2.4, "dash": "dot" if network.pretrained else "solid"},
            hovertemplate="%{y:.3g}",
        )
    drawn.update_yaxes(type="log", dtick=1)
    return drawn


def over_training(found: All, variants: Mapping[int, Variant], what: str, *, y: str) -> go.Figure:
    """A figure at every look at a training, a line for each size of batch."""
    drawn = chart(x="images learned from, share of all", y=y)
    for batch, variant in variants.items():
        values = _looks(found, variant, what)
        drawn.add_scatter(
            x=[(at + 1) / len(values) for at in range(len(values))],
            y=[float(value) for value in values],
            mode="lines+markers",
            name=f"batch {batch}",
            line={"color": BATCHES[batch], "width": 2.4},
            hovertemplate="%{y:.3f}",
        )
    drawn.update_yaxes(rangemode="tozero")
    return drawn


def gap_figure(found: All) -> go.Figure:
    """The gap of the losses at the end, a bar for each variant whose stem learns."""
    shown = [one for one in VARIANTS if not one.frozen_stem]
    return _bars(
        [one.title for one in shown], [_gap(found, one) for one in shown], [COLOURS[one.norm] for one in shown]
    )


def stem_figure(found: All) -> go.Figure:
    """AP with a frozen and with a learning stem, a pair of points for each normalisation."""
    drawn = chart(x="AP", height=230)
    names = [NORM_NAMES[norm] for norm in LAB_NORMS]
    for frozen, colour, label in ((True, GREY, "stem frozen"), (False, BLUE, "stem learns")):
        values = [found[Variant(norm=norm, frozen_stem=frozen).name]["AP"] for norm in LAB_NORMS]
        _points(drawn, names, values, colour=colour, label=label)
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    drawn.update_xaxes(showgrid=True, rangemode="tozero")
    return drawn


def ap_figure(found: All) -> go.Figure:
    """AP of every variant, the best on top."""
    order = sorted(VARIANTS, key=lambda one: -_ap(found, one))
    names = [esc(one.title) for one in order]
    drawn = chart(x="AP", height=90 + 32 * len(order), legend=False)
    for one, name in zip(order, names, strict=True):
        _points(drawn, [name], [found[one.name]["AP"]], colour=COLOURS[one.norm], label=one.title)
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    drawn.update_xaxes(showgrid=True, rangemode="tozero")
    return drawn


def table(found: All) -> str:
    """AP of every variant, for the terminal."""
    order = sorted(VARIANTS, key=lambda one: -_ap(found, one))
    width = max(len(one.title) for one in order)
    return "\n".join(["AP", *(f"  {one.title:<{width}}  {_told(found, one)}" for one in order)])


def _bars(names: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> go.Figure:
    shown = [esc(name) for name in names]
    drawn = chart(x="loss in use less loss in training", height=90 + 34 * len(names), legend=False)
    drawn.add_bar(
        x=list(values),
        y=shown,
        orientation="h",
        marker={"color": list(colours)},
        hovertemplate="%{x:.3f}<extra></extra>",
    )
    drawn.update_yaxes(categoryorder="array", categoryarray=shown[::-1])
    drawn.update_xaxes(showgrid=True, zeroline=True, zerolinecolor=GREY)
    return drawn


def _points(
    drawn: go.Figure, names: Sequence[str], values: Sequence[NDArray[np.float64]], *, colour: str, label: str
) -> None:
    """Every seed as a small point, the mean as a large one."""
    pairs = [(float(value), name) for name, some in zip(names, values, strict=True) for value in some]
    means = [(float(np.nanmean(some)) if np.isfinite(some).any() else float("nan")) for some in values]
    drawn.add_scatter(
        x=[value for value, _ in pairs],
        y=[name for _, name in pairs],
        mode="markers",
        showlegend=False,
        marker={"size": 6, "color": colour, "opacity": 0.45},
        hovertemplate="%{x:.3f}<extra></extra>",
    )
    drawn.add_scatter(
        x=means,
        y=list(names),
        mode="markers",
        name=esc(label),
        marker={"size": 12, "color": colour},
        hovertemplate="%{x:.3f}<extra></extra>",
    )


# ---- figures out of what was found


def _ap(found: All, variant: Variant) -> float:
    """Mean AP; 0 for what never reached an end."""
    values = found[variant.name]["AP"]
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _told(found: All, variant: Variant) -> str:
    values = found[variant.name]["AP"]
    diverged = int(np.isfinite(found[variant.name]["diverged"]).sum())
    return spread(values) + (f" ({diverged} of {len(values)} diverged)" if diverged else "")


def _curve(found: All, network: Network, what: str) -> NDArray[np.float64]:
    """A figure of every unit, mean over the seeds: [units]."""
    figures = found[network.name]
    names = sorted(name for name in figures if name.startswith(f"{what}/"))
    return np.array([float(np.mean(figures[name])) for name in names])


def _change(found: All, network: Network) -> float:
    """The largest scale of the features of a block over the smallest, without the stem."""
    scale = _curve(found, network, "scale")[1:]
    return float(scale.max() / scale.min())


def _looks(found: All, variant: Variant, what: str) -> NDArray[np.float64]:
    """A figure at every look, mean over the seeds: [looks]."""
    figures = found[variant.name]
    looks = range(1, LOOKS + 1)
    values = [figures[f"{what}@{look}"] for look in looks if f"{what}@{look}" in figures]
    return np.array([float(np.nanmean(some)) if np.isfinite(some).any() else float("nan") for some in values])


def _last(found: All, variant: Variant, what: str) -> float:
    return float(_looks(found, variant, what)[-1])


def _gap(found: All, variant: Variant) -> float:
    return _last(found, variant, "loss in use") - _last(found, variant, "loss in training")


def _stem_costs(found: All, norm: Norm) -> float:
    """AP that it brings to let the stem and the first stage learn."""
    return _ap(found, Variant(norm=norm)) - _ap(found, Variant(norm=norm, frozen_stem=True))


def _signed(value: float) -> str:
    shown = share(abs(value)) if abs(value) < 1 else f"{abs(value):.2f}"
    if not np.isfinite(value):
        return "an unknown amount"
    return "0" if abs(value) < 5e-4 else f"{'+' if value > 0 else '-'}{shown}"


def _short(value: float) -> str:
    return f"{value:.3g}"
