"""The page on FrozenBatchNorm: plots with two sentences under each, and three questions answered by their figures.

Every sentence is made from the figures at hand: with other figures it says something else, or the opposite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from detection.coco_eval import share
from detection.config import Norm
from experiments.compared import listed
from experiments.lab.claims import spread
from experiments.lab.norms import LOOKS, NETWORKS, NORMS, VARIANTS, Network, Variant
from experiments.lab.rows import NORM_NAMES
from experiments.pieces import Found
from experiments.report_chart import BLUE, GREEN, GREY, ORANGE, PURPLE, chart
from experiments.report_page import Plot, Section, page
from experiments.report_text import count, esc, number

All = Mapping[str, Found]
"""Figures [seeds] by name, of every variant and network."""

COLOURS: Mapping[Norm, str] = {"frozen_bn": ORANGE, "bn": BLUE, "gn": GREEN}
BATCHES = {2: PURPLE, 4: BLUE, 16: GREEN}

ALIKE = 0.1
"""Share of the larger AP by which two may differ that are told to be alike."""

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
        footer=f"Drawn shapes of 128 pixels; {count(seeds, 'seed')}. The same seeds give the same figures.",
    )


# ---- the answers


def answers(found: All) -> dict[str, list[str]]:
    """Plain sentences for each question, with the figures that they rest on and where these are shown."""
    return dict(zip(QUESTIONS, (_what_it_does(found), _when_it_hurts(found), _what_to_use(found)), strict=True))


def _what_it_does(found: All) -> list[str]:
    gap, other = (_gap(found, Variant(norm=norm)) for norm in ("frozen_bn", "bn"))
    last = {norm: _curve(found, Network(backbone="resnet50", norm=norm), "scale")[-1] for norm in NORMS}
    pretrained = next(one for one in NETWORKS if one.pretrained)
    return [
        "It is a fixed affine map of each channel, so that what the network says of an image does not depend on which "
        f"others are beside it: its loss in use differs from that in training by {_signed(gap)}, that of BN at batch "
        f"4 by {_signed(other)} (figure 7).",
        "Pretrained, it carries ImageNet's statistics, and the features of all blocks are within a factor of "
        f"{number(_range(found, pretrained, 'scale'), 1)} of each other (figure 3).",
        "From scratch it is the identity: in a ResNet-50 the features keep the scale of the pixels, "
        f"{_short(last['frozen_bn'])} after the last block, where BN gives {_short(last['bn'])} and GN "
        f"{_short(last['gn'])} (figure 1).",
    ]


def _when_it_hurts(found: All) -> list[str]:
    said = []
    for pretrained in (True, False):
        frozen = Variant(norm="frozen_bn", pretrained=pretrained, frozen_stem=True)
        others = [dataclasses.replace(frozen, norm=norm) for norm in ("bn", "gn")]
        begin = "With a pretrained backbone" if pretrained else "From scratch, with the stem frozen as in the lab,"
        verdict = listed([_beside(found, frozen, other) for other in others if other.name in found])
        said.append(f"{begin} it {verdict} (figure 9).")
    told = listed([f"{_stem_gain(found, norm)} with {NORM_NAMES[norm]}" for norm in NORMS])
    said.append(
        f"To let the stem and the first stage learn, which are random from scratch, changes AP by {told} (figure 8)."
    )
    return said


def _what_to_use(found: All) -> list[str]:
    order = [one for one in _best_first(found) if one.batch == 4 and not one.pretrained]
    best, next_best = order[0], order[1]
    lead = _ap_of(found, best) - _ap_of(found, next_best)
    lab = Variant(norm="frozen_bn", frozen_stem=True)
    noise = [number(np.exp(_last(found, Variant(norm="bn", batch=batch), "noise variance"))) for batch in BATCHES]
    reached = [_told(found, Variant(norm="bn", batch=batch)) for batch in BATCHES]
    return [
        f"Of what was tried, {best.title}: AP {_told(found, best)}, where the lab's own row ({lab.title}) has "
        f"{_told(found, lab)} (figure 9).",
        f"Next is {next_best.title} with {_told(found, next_best)}; the first is ahead with {int((lead > 0).sum())} "
        f"of {count(len(lead), 'seed')} (figure 9).",
        f"BN at batch 2, 4 and 16 reaches {listed(reached)} with as many images (figure 9); the variances that a "
        f"single batch sees are off by a factor of {listed(noise)} (figure 5).",
    ]


def _beside(found: All, frozen: Variant, other: Variant) -> str:
    """What FrozenBN does beside another: hurts, is better, or neither."""
    lost = _ap_of(found, other) - _ap_of(found, frozen)
    mean = float(lost.mean())
    larger = np.maximum(_ap_of(found, other), _ap_of(found, frozen))
    if abs(mean) <= ALIKE * float(larger.mean()):
        verb, agree = f"is within {ALIKE:.0%} of", int((np.abs(lost) <= ALIKE * larger).sum())
    else:
        verb, agree = "hurts beside" if mean > 0 else "is better than", int((np.sign(lost) == np.sign(mean)).sum())
    seeds = f"so with {agree} of {count(len(lost), 'seed')}"
    return f"{verb} {NORM_NAMES[other.norm]} ({_told(found, frozen)} and {_told(found, other)}, {seeds})"


# ---- the plots


def depth_section(found: All) -> Section:
    """Figures 1 to 4: signal and gradient through depth."""
    lab = [one for one in NETWORKS if one.backbone == "resnet50"]
    small = [one for one in NETWORKS if one.backbone == "efficientnet-lite0"]
    first = _curve(found, lab[0], "scale")[0]
    last = {one.norm: _short(_curve(found, one, "scale")[-1]) for one in lab}
    uneven = {one.norm: _range(found, one, "gradient") for one in lab}
    pretrained = next(one for one in small if one.pretrained)
    scales = {one.title: number(_range(found, one, "scale"), 1) for one in small}
    speeds = {one.title: _short(_range(found, one, "gradient")) for one in small}
    scratch = [one.title for one in small if not one.pretrained]
    return Section(
        id="depth",
        short="Through depth",
        heading="Signal and gradient through depth",
        text="Networks at their beginning, on one batch of 8 images, every stage learning; means over the seeds.",
        parts=[
            Plot(
                name="scale-resnet",
                heading="1. Scale of the features, ResNet-50 from scratch",
                note=f"FrozenBN is the identity here: the features keep the scale of the pixels, {_short(first)} "
                f"after the stem and {last['frozen_bn']} after the last block. BN gives {last['bn']} and GN "
                f"{last['gn']} there, whatever they are given.",
                figure=depth_figure(found, lab, "scale", y="root mean square"),
            ),
            Plot(
                name="gradient-resnet",
                heading="2. Gradient of the weights, ResNet-50 from scratch",
                note="Its norm over that of the weights, by block: from the slowest to the fastest it differs by a "
                f"factor of {_short(uneven['frozen_bn'])} with FrozenBN, {_short(uneven['bn'])} with BN and "
                f"{_short(uneven['gn'])} with GN. One learning rate has to do for all blocks, and "
                f"{NORM_NAMES[max(uneven, key=uneven.__getitem__)]} asks the most of it.",
                figure=depth_figure(found, lab, "gradient", y="gradient / weights"),
            ),
            Plot(
                name="scale-efficientnet",
                heading="3. Scale of the features, EfficientNet-Lite0, pretrained and from scratch",
                note="Pretrained with FrozenBN, the features of all blocks are within a factor of "
                f"{scales[pretrained.title]} of each other. Otherwise within "
                f"{listed([f'{scales[title]} ({esc(title)})' for title in scratch])}.",
                figure=depth_figure(found, small, "scale", y="root mean square"),
            ),
            Plot(
                name="gradient-efficientnet",
                heading="4. Gradient of the weights, EfficientNet-Lite0, pretrained and from scratch",
                note=f"From the slowest to the fastest block it differs by a factor of {speeds[pretrained.title]} "
                "pretrained with FrozenBN. Otherwise by "
                f"{listed([f'{speeds[title]} ({esc(title)})' for title in scratch])}.",
                figure=depth_figure(found, small, "gradient", y="gradient / weights"),
            ),
        ],
    )


def statistics_section(found: All) -> Section:
    """Figures 5 to 7: what batches do to statistics, and to the loss."""
    bn = {batch: Variant(norm="bn", batch=batch) for batch in BATCHES}

    def at_the_end(what: str) -> str:
        told = [f"{number(_last(found, one, what))} at batch {batch}" for batch, one in bn.items()]
        return listed(told)

    gaps = listed([f"{_signed(_gap(found, one))} at batch {batch}" for batch, one in bn.items()])
    return Section(
        id="statistics",
        short="Statistics of batches",
        heading="What small batches do to batch normalisation",
        text="BN from scratch, every stage learning, with batches of 2, 4 and 16 images and as many images in all. "
        "What is taken for true are the statistics of one large batch.",
        parts=[
            (
                Plot(
                    name="noise",
                    heading="5. How far a batch's statistics are from the true ones",
                    note=f"At the end the logarithms of the variances differ by {at_the_end('noise variance')}, the "
                    f"means, in deviations, by {at_the_end('noise mean')}. This noise is in every update of BN; "
                    "FrozenBN and GN have none.",
                    figure=over_training(found, bn, "noise variance", y="|log variance|"),
                ),
                Plot(
                    name="drift",
                    heading="6. How far the kept statistics are from the true ones",
                    note=f"At the end the logarithms of the variances differ by {at_the_end('drift variance')}, the "
                    f"means, in deviations, by {at_the_end('drift mean')}. These are what a detector is used with.",
                    figure=over_training(found, bn, "drift variance", y="|log variance|"),
                ),
            ),
            Plot(
                name="gap",
                heading="7. Loss in use less loss in training, on the same images",
                note=f"At the end {gaps} with BN. With FrozenBN it is "
                f"{_signed(_gap(found, Variant(norm='frozen_bn')))} and with GN "
                f"{_signed(_gap(found, Variant(norm='gn')))}, for neither looks at other images.",
                figure=gap_figure(found),
            ),
        ],
    )


def ap_section(found: All) -> Section:
    """Figures 8 and 9: what it all comes to."""
    order = _best_first(found)
    gains = listed([f"{_stem_gain(found, norm)} with {NORM_NAMES[norm]}" for norm in NORMS])
    return Section(
        id="ap",
        short="AP",
        heading="What it comes to",
        text="Trainings that differ in this alone: as many images, the same learning rate for an image, the same "
        "seeds.",
        parts=[
            Plot(
                name="stem",
                heading="8. A frozen random stem, from scratch at batch 4",
                note=f"To let the stem and the first stage learn changes AP by {gains}. The lab's configuration "
                "freezes them, which is meant for pretrained weights.",
                figure=stem_figure(found),
            ),
            Plot(
                name="ap",
                heading="9. AP of all trainings",
                note=f"The first is {order[0].title} with {_told(found, order[0])}. The last is {order[-1].title} "
                f"with {_told(found, order[-1])}.",
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
    names = [NORM_NAMES[norm] for norm in NORMS]
    for frozen, colour, label in ((True, GREY, "stem frozen"), (False, BLUE, "stem learns")):
        values = [found[Variant(norm=norm, frozen_stem=frozen).name]["AP"] for norm in NORMS]
        _points(drawn, names, values, colour=colour, label=label)
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    drawn.update_xaxes(showgrid=True, rangemode="tozero")
    return drawn


def ap_figure(found: All) -> go.Figure:
    """AP of every variant, the best on top."""
    order = _best_first(found)
    names = [esc(one.title) for one in order]
    drawn = chart(x="AP", height=90 + 32 * len(order), legend=False)
    for one, name in zip(order, names, strict=True):
        _points(drawn, [name], [found[one.name]["AP"]], colour=COLOURS[one.norm], label=one.title)
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    drawn.update_xaxes(showgrid=True, rangemode="tozero")
    return drawn


def table(found: All) -> str:
    """AP of every variant, for the terminal."""
    order = _best_first(found)
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
    means = [float(some.mean()) for some in values]
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


def _ap_of(found: All, variant: Variant) -> NDArray[np.float64]:
    """AP by seed; 0 where the training diverged."""
    return found[variant.name]["AP"]


def _best_first(found: All) -> list[Variant]:
    return sorted(VARIANTS, key=lambda one: -float(_ap_of(found, one).mean()))


def _told(found: All, variant: Variant) -> str:
    values = _ap_of(found, variant)
    diverged = int(np.isfinite(found[variant.name]["diverged"]).sum())
    return spread(values) + (f" ({diverged} of {len(values)} diverged)" if diverged else "")


def _curve(found: All, network: Network, what: str) -> NDArray[np.float64]:
    """A figure of every unit, mean over the seeds: [units]."""
    figures = found[network.name]
    names = sorted(name for name in figures if name.startswith(f"{what}/"))
    return np.array([float(np.mean(figures[name])) for name in names])


def _range(found: All, network: Network, what: str) -> float:
    """The largest figure of a block over the smallest, without the stem."""
    values = _curve(found, network, what)[1:]
    return float(values.max() / values.min())


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


def _stem_gain(found: All, norm: Norm) -> str:
    """What it does to AP to let the stem and the first stage learn, and with how many seeds it goes that way."""
    gains = _ap_of(found, Variant(norm=norm)) - _ap_of(found, Variant(norm=norm, frozen_stem=True))
    agree = int((np.sign(gains) == np.sign(gains.mean())).sum())
    return f"{_signed(float(gains.mean()))} ({agree} of {count(len(gains), 'seed')})"


def _signed(value: float) -> str:
    if not np.isfinite(value):
        return "an unknown amount"
    shown = share(abs(value)) if abs(value) < 1 else f"{abs(value):.2f}"
    return "0" if abs(value) < 5e-4 else f"{'+' if value > 0 else '-'}{shown}"


def _short(value: float) -> str:
    return f"{value:.3g}"
