"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = new Map(data.concepts.map((concept) => [concept.id, concept]));
  const [find, slider, least, count, plot, side] = ["find", "support", "least", "count", "plot", "side"].map((id) =>
    document.getElementById(id));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const fixed = (value) => value.toFixed(2).replace("-", "\u2212");
  const counted = (n, one) => `${n.toLocaleString("en")} ${n === 1 ? one : `${one}s`}`;

  const highest = Math.max(0, ...data.concepts.map((concept) => concept.support));
  /** Steps of the slider in a unit of support. */
  const unit = highest < 0.25 ? 1000 : 100;
  const roundedDown = (support) => Math.floor(unit * support) / unit;

  // What the reader has asked for; all that is seen follows from it.
  const asked = { least: 0, words: "", open: null, hint: null };
  const supported = (concept) => concept.support >= asked.least;

  /** How well a concept fits what is looked for: 0 not at all, 2 its very name or id. */
  function fit(concept) {
    const known = [concept.id, concept.name, ...concept.words.top.map(([word]) => word)].map((s) => s.toLowerCase());
    if (known[0] === asked.words || known[1] === asked.words) return 2;
    return known[0].startsWith(asked.words) || known.slice(1).some((word) => word.includes(asked.words)) ? 1 : 0;
  }
  const found = () => data.concepts.filter(fit).sort((a, b) => fit(b) - fit(a));

  // --- The map -------------------------------------------------------------------------------------------------

  const { data: traces, layout } = data.figure;
  const drawn = traces.flatMap((trace, index) => (trace.customdata ? [index] : []));
  const discs = new Map();
  for (const trace of traces) {
    trace.customdata?.forEach((ends, i) => {
      if (ends.length === 1) discs.set(ends[0], { x: trace.x[i], y: trace.y[i], size: trace.marker.size[i] });
    });
  }
  // Plotly writes into what it is given: this is how it was.
  const whole = structuredClone({ xaxis: layout.xaxis.range, yaxis: layout.yaxis.range });
  const xOfAll = drawn.map((index) => traces[index].x);

  /** Points that belong to a concept with too little support have no place. */
  function hideUnsupported() {
    const hidden = new Set(data.concepts.filter((c) => !supported(c)).map((c) => c.id));
    const x = drawn.map((index, i) =>
      xOfAll[i].map((at, point) => (traces[index].customdata[point].some((id) => hidden.has(id)) ? null : at)));
    if (drawn.length) Plotly.restyle(plot, { x }, drawn);
  }

  /** Rings around what is open, found, or pointed at in the list. */
  function mark() {
    const rings = new Map();
    if (asked.words) found().filter(supported).forEach((c) => rings.set(c.id, colour("less")));
    if (asked.hint) rings.set(asked.hint, colour("more"));
    if (asked.open) rings.set(asked.open, colour("ink"));
    const shown = [...rings.keys()].filter((id) => supported(byId.get(id)));
    const disc = shown.map((id) => discs.get(id));
    return Plotly.restyle(plot, {
      x: [disc.map((d) => d.x)],
      y: [disc.map((d) => d.y)],
      text: [shown.map((id) => (data.crowded ? byId.get(id).label : ""))],
      "marker.size": [disc.map((d) => d.size + 9)],
      "marker.color": [shown.map((id) => rings.get(id))],
    }, [traces.length - 1]);
  }

  async function draw() {
    traces.push({
      type: "scatter", mode: "markers+text", name: "marks", x: [], y: [], text: [], textposition: "top center",
      marker: { symbol: "circle-open", size: [], color: [], opacity: 1, line: { width: 3 } },
      hoverinfo: "skip", cliponaxis: false, showlegend: false,
    });
    const config = { scrollZoom: true, doubleClick: "reset", displayModeBar: false, responsive: true };
    await Plotly.newPlot(plot, traces, layout, config);
    plot.on("plotly_hover", ({ points }) => plot.classList.toggle("pointing", points[0].customdata?.length === 1));
    plot.on("plotly_unhover", () => plot.classList.remove("pointing"));
    // Of a press on nothing Plotly does not tell, only of one on a disc or a line, and before the click comes through.
    let press = { x: 0, y: 0, onNothing: false };
    plot.addEventListener("pointerdown", ({ clientX, clientY }) => {
      press = { x: clientX, y: clientY, onNothing: true };
    }, true);
    plot.on("plotly_click", ({ points }) => {
      press.onNothing = false;
      if (points[0].customdata?.length !== 1) return;
      // What the label of a disc says is at the side now, and there it would cover the neighbours.
      choose(points[0].customdata[0]).then(() => Plotly.Fx.unhover(plot));
    });
    plot.addEventListener("click", ({ clientX, clientY }) => {
      if (press.onNothing && Math.hypot(clientX - press.x, clientY - press.y) < 4) leave();
    });
    document.querySelectorAll("#zoom button").forEach((button) =>
      button.addEventListener("click", () => zoom(Number(button.dataset.zoom))));
  }

  /** Show this much of what is seen now, around its middle; 0 shows all again. */
  function zoom(share) {
    const ranges = ["xaxis", "yaxis"].map((axis) => {
      if (!share) return [axis, [...whole[axis]]];
      const [low, high] = plot.layout[axis].range;
      return [axis, [-1, 1].map((side) => (low + high + side * share * (high - low)) / 2)];
    });
    Plotly.relayout(plot, Object.fromEntries(ranges.map(([axis, range]) => [`${axis}.range`, range])));
  }

  // --- The side: a list of concepts, or one of them open ---------------------------------------------------------

  /** An element; whatever comes from data becomes text, never markup. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // Made once, so that it stays as open as the reader left it.
  const legend = make("details", {}, make("summary", {}, "What the map shows"), make("p", {}, data.caption));
  const part = (heading, ...children) => make("section", {}, make("h3", {}, heading), ...children);

  /** A concept that can be followed, or just its id where it is not on the map any more. */
  function link(id, ...children) {
    if (!byId.has(id)) return make("span", {}, id);
    const hint = (value) => () => {
      asked.hint = value;
      mark();
    };
    return make("button", {
      type: "button", class: "link", "data-concept": id, onclick: () => choose(id),
      onmouseenter: hint(id), onmouseleave: hint(null), onfocus: hint(id), onblur: hint(null),
    }, ...(children.length ? children : [`${byId.get(id).name} `, make("small", {}, id)]));
  }

  function list() {
    const all = found();
    const shown = all.filter(supported);
    if (!data.concepts.length) return [make("p", { class: "note" }, data.caption)];
    const parts = [
      make("p", { class: "note" },
        "Click a disc or a name to open it. Scroll to zoom, drag to move, double click to see all."),
      legend,
    ];
    if (shown.length) {
      const rows = shown.map((c) => make("li", {}, link(c.id,
        make("b", {}, c.name), make("small", {}, c.id),
        make("span", { class: "meter" }, make("i", { style: `width:${(100 * c.support) / highest}%` })),
        make("span", { class: "value" }, fixed(c.support)))));
      parts.push(part("Concepts, by support", make("ol", { id: "list" }, ...rows)));
    }
    const hidden = all.length - shown.length;
    if (asked.words && hidden) {
      const more = shown.length ? "more " : "";
      parts.push(make("p", { class: "note after" }, `${hidden.toLocaleString("en")} ${more}with less support.`));
    }
    if (!all.length) parts.push(make("p", { class: "after" }, "No concept is like that."));
    return parts;
  }

  function objects(heading, numbers) {
    const figures = numbers.map((number) => {
      const picture = data.pictures[number];
      return picture
        ? make("figure", {}, make("img", { src: picture, alt: `object ${number}` }), make("figcaption", {}, number))
        : make("figure", { class: "plain" }, String(number));
    });
    return part(heading, make("div", { class: "objects" }, ...figures));
  }

  function bars(features) {
    const reach = Math.max(...features.map(([, value]) => Math.abs(value))) || 1;
    const rows = features.flatMap(([name, value]) => {
      const size = `${(50 * Math.abs(value)) / reach}%`;
      const style = value < 0 ? `right:50%;width:${size}` : `left:50%;width:${size}`;
      return [
        make("dt", { title: name }, name),
        make("dd", { class: "bar" }, make("i", { class: value < 0 ? "less" : "more", style })),
        make("dd", {}, `${value < 0 ? "" : "+"}${fixed(value)}`),
      ];
    });
    return make("dl", { class: "bars" }, ...rows);
  }

  function event(happened) {
    const others = happened.others.flatMap((id, i) => [i ? ", " : " ", link(id)]);
    return make("li", {}, `step ${happened.step.toLocaleString("en")}: ${happened.says}`, ...others);
  }

  function details(concept) {
    const { words, near } = concept;
    const close = concept.close === null ? "" : `, mean |r| ${fixed(concept.close)}`;
    const others = words.top.map(([word, n]) => make("li", {}, word, make("small", {}, n.toLocaleString("en"))));
    if (words.more) others.push(make("li", { class: "rest" }, `and ${words.more.toLocaleString("en")} more`));
    const parts = [
      make("button", { type: "button", id: "close", "aria-label": "Close", title: "Close (Esc)", onclick: leave },
        "\u00d7"),
      make("h2", { tabindex: "-1" }, concept.name, make("small", {}, concept.id)),
      make("p", {}, `support ${fixed(concept.support)}, ${counted(concept.members, "member")}${close}, ` +
        `since step ${concept.since.toLocaleString("en")}`),
    ];
    if (concept.strongest.length) {
      parts.push(objects("Strongest objects", concept.strongest), objects("Weakest objects", concept.weakest));
    }
    if (concept.features.length) parts.push(part("Features", bars(concept.features)));
    if (others.length) parts.push(part("Also called", make("ul", { class: "words" }, ...others)));
    if (near.length) {
      const rows = near.map(({ id, kind, says }) =>
        make("li", { class: kind }, link(id), make("span", { class: "value" }, says)));
      parts.push(part("Related", make("ul", { class: "near" }, ...rows)));
    }
    if (concept.events.length) parts.push(part("Events", make("ul", { class: "events" }, ...concept.events.map(event))));
    return make("article", {}, ...parts);
  }

  // --- What the reader does ----------------------------------------------------------------------------------------

  function tell() {
    const shown = data.concepts.filter(supported).length;
    least.textContent = asked.least.toFixed(Math.log10(unit));
    count.textContent = !data.concepts.length ? "" : `${shown} of ${counted(data.concepts.length, "concept")}` +
      (asked.words ? `, ${found().filter(supported).length} found` : "");
  }

  function refresh() {
    asked.hint = null;
    side.replaceChildren(...(asked.open ? [details(byId.get(asked.open))] : list()));
    tell();
    return mark();
  }

  function choose(id) {
    const { support } = byId.get(id);
    if (support < asked.least) ask(roundedDown(support));
    asked.open = id;
    const marked = refresh();
    side.scrollTop = 0;
    const heading = side.querySelector("h2");
    heading.focus({ preventScroll: true });
    heading.scrollIntoView({ block: "nearest" });
    return marked;
  }

  function leave() {
    const before = asked.open;
    if (!before) return;
    asked.open = null;
    refresh();
    side.querySelector(`#list [data-concept="${before}"]`)?.focus({ preventScroll: true });
  }

  function ask(support) {
    asked.least = support;
    slider.value = support;
    if (asked.open && !supported(byId.get(asked.open))) asked.open = null;
    hideUnsupported();
  }

  function listen() {
    slider.max = roundedDown(highest);
    slider.step = 1 / unit;
    slider.disabled = find.disabled = !data.concepts.length;
    slider.addEventListener("input", () => {
      ask(Number(slider.value));
      refresh();
    });
    find.addEventListener("input", () => {
      asked.words = find.value.trim().toLowerCase();
      asked.open = null;
      refresh();
    });
    document.getElementById("tools").addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      const [first] = asked.words ? found() : [];
      if (first) choose(first.id);
    });
    document.addEventListener("keydown", (key) => {
      if (key.key === "Escape") leave();
    });
  }

  draw().then(() => {
    listen();
    refresh();
  });
})();
