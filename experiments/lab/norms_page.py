"""The page on FrozenBatchNorm: plots with two sentences under each, below the answers that they give.

Every sentence is made from the figures at hand: with other figures it says something else, or the opposite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from detection.config import Norm
from experiments.compared import listed
from experiments.lab import norms_text as text
from experiments.lab.norms import NETWORKS, NORMS, VARIANTS, Network, Variant
from experiments.lab.rows import NORM_NAMES
from experiments.report_chart import BLUE, GREEN, GREY, ORANGE, PURPLE, chart
from experiments.report_page import Plot, Section, page
from experiments.report_text import count, esc, number

COLOURS: Mapping[Norm, str] = {"frozen_bn": ORANGE, "bn": BLUE, "gn": GREEN}
BATCH_COLOURS = dict(zip(text.BATCHES, (PURPLE, BLUE, GREEN), strict=True))


def render(found: text.All, *, seeds: int) -> str:
    """The page as HTML."""
    said = "".join(
        f"<li><strong>{esc(question)}</strong> {esc(' '.join(sentences))}</li>"
        for question, sentences in text.answers(found).items()
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


def depth_section(found: text.All) -> Section:
    """Figures 1 to 4: signal and gradient through depth."""
    lab = [one for one in NETWORKS if one.backbone == "resnet50"]
    small = [one for one in NETWORKS if one.backbone == "efficientnet-lite0"]
    first = text.curve(found, lab[0], "scale")[0]
    last = {one.norm: text.short(text.curve(found, one, "scale")[-1]) for one in lab}
    uneven = {one.norm: text.unevenness(found, one, "gradient") for one in lab}
    pretrained = next(one for one in small if one.pretrained)
    scales = {one.title: number(text.unevenness(found, one, "scale"), 1) for one in small}
    speeds = {one.title: text.short(text.unevenness(found, one, "gradient")) for one in small}
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
                note=f"FrozenBN is the identity here: the features keep the scale of the pixels, {text.short(first)} "
                f"after the stem and {last['frozen_bn']} after the last block. BN gives {last['bn']} and GN "
                f"{last['gn']} there, whatever they are given.",
                figure=depth_figure(found, lab, "scale", y="root mean square"),
            ),
            Plot(
                name="gradient-resnet",
                heading="2. Gradient of the weights, ResNet-50 from scratch",
                note="Its norm over that of the weights, by block: from the slowest to the fastest it differs by a "
                f"factor of {text.short(uneven['frozen_bn'])} with FrozenBN, {text.short(uneven['bn'])} with BN and "
                f"{text.short(uneven['gn'])} with GN. One learning rate has to do for all blocks, and "
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


def statistics_section(found: text.All) -> Section:
    """Figures 5 to 7: what batches do to statistics, and to the loss."""
    bn = {batch: Variant(norm="bn", batch=batch) for batch in text.BATCHES}

    def at_the_end(what: str) -> str:
        told = [f"{number(text.at_the_end(found, one, what))} at batch {batch}" for batch, one in bn.items()]
        return listed(told)

    gaps = listed([f"{text.signed(text.loss_gap(found, one))} at batch {batch}" for batch, one in bn.items()])
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
                f"{text.signed(text.loss_gap(found, Variant(norm='frozen_bn')))} and with GN "
                f"{text.signed(text.loss_gap(found, Variant(norm='gn')))}, for neither looks at other images.",
                figure=gap_figure(found),
            ),
        ],
    )


def ap_section(found: text.All) -> Section:
    """Figures 8 and 9: what it all comes to."""
    order = text.best_first(found)
    gains = listed([f"{text.stem_gain(found, norm)} with {NORM_NAMES[norm]}" for norm in NORMS])
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
                note=f"The first is {order[0].title} with {text.told(found, order[0])}. The last is {order[-1].title} "
                f"with {text.told(found, order[-1])}.",
                figure=ap_figure(found),
            ),
        ],
    )


def depth_figure(found: text.All, networks: Sequence[Network], what: str, *, y: str) -> go.Figure:
    """One figure of every unit, a line for each network."""
    drawn = chart(x="unit of the backbone, from the image on", y=y)
    for network in networks:
        values = text.curve(found, network, what)
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


def over_training(found: text.All, variants: Mapping[int, Variant], what: str, *, y: str) -> go.Figure:
    """A figure at every look at a training, a line for each size of batch."""
    drawn = chart(x="images learned from, share of all", y=y)
    for batch, variant in variants.items():
        values = text.over_looks(found, variant, what)
        drawn.add_scatter(
            x=[(at + 1) / len(values) for at in range(len(values))],
            y=[float(value) for value in values],
            mode="lines+markers",
            name=f"batch {batch}",
            line={"color": BATCH_COLOURS[batch], "width": 2.4},
            hovertemplate="%{y:.3f}",
        )
    drawn.update_yaxes(rangemode="tozero")
    return drawn


def gap_figure(found: text.All) -> go.Figure:
    """The gap of the losses at the end, a bar for each variant whose stem learns."""
    shown = [one for one in VARIANTS if not one.frozen_stem]
    return _bars(
        [one.title for one in shown], [text.loss_gap(found, one) for one in shown], [COLOURS[one.norm] for one in shown]
    )


def stem_figure(found: text.All) -> go.Figure:
    """AP with a frozen and with a learning stem, a pair of points for each normalisation."""
    drawn = chart(x="AP", height=230)
    names = [NORM_NAMES[norm] for norm in NORMS]
    for frozen, colour, label in ((True, GREY, "stem frozen"), (False, BLUE, "stem learns")):
        values = [found[Variant(norm=norm, frozen_stem=frozen).name]["AP"] for norm in NORMS]
        _points(drawn, names, values, colour=colour, label=label)
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    drawn.update_xaxes(showgrid=True, rangemode="tozero")
    return drawn


def ap_figure(found: text.All) -> go.Figure:
    """AP of every variant, the best on top."""
    order = text.best_first(found)
    names = [esc(one.title) for one in order]
    drawn = chart(x="AP", height=90 + 32 * len(order), legend=False)
    for one, name in zip(order, names, strict=True):
        _points(drawn, [name], [found[one.name]["AP"]], colour=COLOURS[one.norm], label=one.title)
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    drawn.update_xaxes(showgrid=True, rangemode="tozero")
    return drawn


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
