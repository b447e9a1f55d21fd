// Draws the panels of the page from the numbers in it, when they come into view, and lets tables be sorted and
// filtered. Words from runs are only ever set as text. Without this script all tables are there.
"use strict";
(() => {
  const parts = JSON.parse(document.getElementById("numbers").textContent);
  const COLOURS = 12;
  const MOST_ROWS = 30; // methods drawn at once; the filter brings others
  const MOST_LINES = 8; // methods drawn as lines at once, the best ones and the baseline
  const MOST_DECISIONS = 12; // rows of the table beside thresholds
  const MOST_CLASSES = 24;
  const PAPER = 640; // pixels of a drawing on paper, so that its letters are not made small
  const root = document.documentElement;
  const tip = document.getElementById("tip");
  root.classList.add("js");

  // ---- Elements -----------------------------------------------------------------------------------------------------

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const html = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
  const svg = (name, attributes, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  const text = (x, y, words, attributes) => svg("text", { x: x.toFixed(1), y: y.toFixed(1), ...attributes }, words);
  const line = (x1, y1, x2, y2, kind) =>
    svg("line", { x1: x1.toFixed(1), y1: y1.toFixed(1), x2: x2.toFixed(1), y2: y2.toFixed(1), class: kind });

  /** Cut words to a width in pixels, at about 6.7 a letter. */
  function cut(words, width) {
    const letters = Math.max(3, Math.floor(width / 6.7));
    return words.length > letters ? `${words.slice(0, letters - 1)}…` : words;
  }

  /** A mark whose shape tells methods apart where colours do not. */
  function symbol(kind, x, y, r, attributes) {
    const shapes = [
      `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
      `M${-0.88 * r},${-0.88 * r}h${1.76 * r}v${1.76 * r}h${-1.76 * r}z`,
      `M0,${-1.25 * r}L${1.15 * r},${0.85 * r}H${-1.15 * r}z`,
      `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0z`,
      `M0,${1.25 * r}L${1.15 * r},${-0.85 * r}H${-1.15 * r}z`,
      `M${-1.25 * r},0L${0.85 * r},${-1.15 * r}V${1.15 * r}z`,
    ];
    const path = { d: shapes[kind % shapes.length], transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` };
    return svg("path", { class: "mark", ...path, ...attributes });
  }

  // ---- Numbers ------------------------------------------------------------------------------------------------------

  const known = (values) => values.filter((value) => value !== null && value !== undefined);
  const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);
  const meanOf = (values) => mean(known(values || []));

  function spread(values) {
    if (values.length < 2) return null;
    const middle = mean(values);
    return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
  }

  /** A number for people, with about so many significant digits. */
  function say(value, digits = 3) {
    if (value === null || value === undefined || Number.isNaN(value)) return "n/a";
    const size = Math.abs(value);
    if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toPrecision(digits).replace("e+", "e");
    if (size >= 1000) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(digits)));
  }

  /** Round values from low to high, about so many. */
  function ticks(low, high, n = 4) {
    const room = high - low || 1;
    const step = 10 ** Math.floor(Math.log10(room / n));
    const width = [1, 2, 2.5, 5, 10].map((factor) => factor * step).find((size) => room / size <= n + 0.5);
    const found = [];
    for (let value = Math.ceil(low / width) * width; value <= high + width * 1e-6; value += width) found.push(value);
    return found.map((value) => Number(value.toPrecision(10)));
  }

  function logTicks(low, high) {
    const found = [];
    const factors = high - low > 2 ? [1] : high - low > 0.9 ? [1, 3] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
    for (let power = Math.floor(low); power <= high; power += Math.max(1, Math.ceil((high - low) / 4))) {
      found.push(...factors.map((factor) => power + Math.log10(factor)));
    }
    return found.filter((value) => value >= low - 1e-9 && value <= high + 1e-9);
  }

  /** The lowest and highest of the values, with room at both ends: an axis that shows differences. */
  function range(values, room = 0.06) {
    if (!values.length) return [0, 1];
    const low = Math.min(...values);
    const high = Math.max(...values);
    const extra = (high - low) * room || Math.abs(high) * 0.05 || 1;
    return [low - extra, high + extra];
  }

  const onto = ([low, high], [from, to]) => (value) => from + ((to - from) * (value - low)) / (high - low || 1);

  // ---- State of each part -------------------------------------------------------------------------------------------

  const states = parts.map((part, at) => ({
    part,
    box: document.querySelector(`[data-part="${at}"]`),
    split: 0,
    metric: "acsa",
    filter: [],
    focus: new Set(), // methods that are pointed out
    className: null,
    decide: "cost",
    level: 33,
  }));

  const splitOf = (state) => state.part.splits[state.split];

  function metricOf(state) {
    const metrics = splitOf(state).metrics;
    return metrics.find((metric) => metric.id === state.metric) || metrics[0];
  }

  const isShown = (state, method) => {
    const title = state.part.methods[method].title.toLowerCase();
    return !state.filter.length || state.filter.some((words) => title.includes(words));
  };

  const methodsOf = (state) => state.part.methods.map((_, method) => method).filter((m) => isShown(state, m));
  const titleOf = (state, method) => state.part.methods[method].title;
  const colour = (method) => `c${method % COLOURS}`;

  /** Methods by the mean of the chosen metric, the best first; those without it are left out. */
  function ranked(state) {
    const metric = metricOf(state);
    if (!metric) return [];
    const sign = metric.lower ? 1 : -1;
    return methodsOf(state)
      .map((method) => ({ method, values: known(metric.values[method]) }))
      .filter(({ values }) => values.length)
      .map((row) => ({ ...row, mean: mean(row.values) }))
      .sort((a, b) => sign * (a.mean - b.mean));
  }

  /** As many as fit, the baseline always among them. */
  function some(state, rows, most) {
    const chosen = rows.slice(0, most);
    const baseline = rows.find(({ method }) => method === state.part.baseline);
    if (baseline && !chosen.includes(baseline)) chosen[chosen.length - 1] = baseline;
    return chosen;
  }

  const missing = (rows, all) =>
    all.length > rows.length
      ? html("p", { class: "note below" }, `${rows.length} of ${all.length} methods; filter by name to see others.`)
      : null;

  // ---- Charts -------------------------------------------------------------------------------------------------------

  /** A drawing of a size, and what can be pointed at in it. */
  class Chart {
    constructor(width, height) {
      this.width = width;
      this.height = height;
      this.marks = [];
      const viewBox = `0 0 ${width} ${height}`;
      this.svg = svg("svg", { class: "chart", viewBox, width, height, "aria-hidden": "true" });
      this.svg.chart = this;
    }

    add(...elements) {
      this.svg.append(...elements.filter(Boolean));
      return this;
    }

    point(x, y, words, act) {
      this.marks.push({ x, y, words, act, chart: this });
    }

    /** Horizontal axis at the bottom of a box, with its lines through it. */
    xAxis(x, values, top, bottom, words, format = say) {
      let right = -Infinity;
      for (const value of values) {
        this.add(line(x(value), top, x(value), bottom, "rule"));
        const label = format(value);
        const half = label.length * 3.4;
        if (x(value) - half < right + 4) continue;
        right = x(value) + half;
        this.add(text(x(value), bottom + 16, label, { class: "faint", "text-anchor": "middle" }));
      }
      if (words) this.add(text((x.from + x.to) / 2, bottom + 34, words, { class: "faint", "text-anchor": "middle" }));
    }

    yAxis(y, values, left, right, format = say) {
      for (const value of values) {
        this.add(line(left, y(value), right, y(value), "rule"));
        this.add(text(left - 7, y(value) + 4, format(value), { class: "faint", "text-anchor": "end" }));
      }
    }
  }

  function axis(domain, from, to) {
    const place = onto(domain, [from, to]);
    place.from = from;
    place.to = to;
    return place;
  }

  /** Names of rows at the left; pointing at one says it in full. */
  function rowNames(chart, state, rows, left, y) {
    rows.forEach(({ method }, i) => {
      const mark = symbol(0, 7, y(i), 4, { class: `mark ${colour(method)}` });
      const name = text(18, y(i) + 4, cut(titleOf(state, method), left - 26), {});
      if (method === state.part.baseline) name.setAttribute("class", "base");
      chart.add(mark, name);
    });
  }

  const leftOf = (rows, state, width) =>
    Math.min(width * 0.4, 34 + 6.9 * Math.max(...rows.map(({ method }) => titleOf(state, method).length)));

  function drawScores(state, box, width) {
    const metric = metricOf(state);
    const all = ranked(state);
    const rows = some(state, all, MOST_ROWS);
    if (!rows.length) return nothing(box);
    const height = rows.length * 27 + 54;
    const chart = new Chart(width, height);
    const left = leftOf(rows, state, width);
    const domain = range(rows.flatMap(({ values }) => values));
    const x = axis(domain, left, width - 52);
    const y = (i) => 16 + 27 * i;
    const title = `${metric.title}${metric.unit && `, ${metric.unit}`}${metric.lower ? " (lower is better)" : ""}`;
    chart.xAxis(x, ticks(...domain), 2, height - 48, title);
    rowNames(chart, state, rows, left, y);
    rows.forEach(({ method, values, mean: middle }, i) => {
      const seeds = state.part.methods[method].seeds;
      chart.add(line(x(Math.min(...values)), y(i), x(Math.max(...values)), y(i), `thread ${colour(method)}`));
      metric.values[method].forEach((value, seed) => {
        if (value === null) return;
        chart.add(symbol(0, x(value), y(i), 4, { class: `mark seed ${colour(method)}` }));
        chart.point(x(value), y(i), `${titleOf(state, method)}, seed ${seeds[seed]}: ${say(value, 4)}${metric.unit}`);
      });
      chart.add(line(x(middle), y(i) - 9, x(middle), y(i) + 9, `mean ${colour(method)}`));
      const sd = spread(values);
      const about = sd === null ? "" : ` ± ${say(sd, 2)}`;
      chart.point(x(middle), y(i) - 4, `${titleOf(state, method)}: mean ${say(middle, 4)}${about}${metric.unit}`);
      chart.add(text(width - 2, y(i) + 4, middle.toFixed(middle < 10 ? 3 : 2), { "text-anchor": "end" }));
    });
    box.append(chart.svg, ...known([missing(rows, all)]));
  }

  function drawDifferences(state, box, width) {
    const metric = metricOf(state);
    const all = ranked(state).filter(({ method }) => metric.differences[method]);
    const rows = all.slice(0, MOST_ROWS);
    const base = state.part.baseline;
    if (!rows.length) {
      return nothing(box, "Differences need training without resampling, and two seeds that it shares with a method.");
    }
    const height = rows.length * 27 + 54;
    const chart = new Chart(width, height);
    const left = leftOf(rows, state, width);
    const ends = rows.flatMap(({ method }) => metric.differences[method].slice(0, 3));
    const domain = range([0, ...ends]);
    const x = axis(domain, left, width - 52);
    const y = (i) => 16 + 27 * i;
    const unit = metric.unit ? "points of " : "";
    const what = cut(`${unit}${metric.title} more than ${titleOf(state, base)}`, width - left + 60);
    chart.xAxis(x, ticks(...domain), 2, height - 48, what, signed);
    chart.add(line(x(0), 2, x(0), height - 48, "zero"));
    rowNames(chart, state, rows, left, y);
    rows.forEach(({ method }, i) => {
      const [middle, low, high, p] = metric.differences[method];
      const better = metric.lower ? high < 0 : low > 0;
      const worse = metric.lower ? low > 0 : high < 0;
      const kind = better ? "up" : worse ? "down" : "even";
      chart.add(line(x(low), y(i), x(high), y(i), `whisker ${kind}`));
      chart.add(symbol(better ? 2 : worse ? 4 : 0, x(middle), y(i), 5, { class: `mark ${kind}` }));
      chart.add(text(width - 2, y(i) + 4, points(middle), { "text-anchor": "end" }));
      const chance = p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
      const words = `${points(middle)}, 95 % interval ${points(low)} to ${points(high)}, ${chance}`;
      chart.point(x(middle), y(i), `${titleOf(state, method)}: ${words}`);
    });
    const key = html("p", { class: "note below" }, "▲ better and ▼ worse than chance at 95 %; ● may be chance.");
    box.append(chart.svg, key, ...known([missing(rows, all)]));
  }

  const signed = (value) => (value > 0 ? `+${say(value)}` : say(value).replace("-", "−"));
  const points = (value) => `${value > 0 ? "+" : ""}${value.toFixed(Math.abs(value) < 0.1 ? 3 : 2)}`.replace("-", "−");

  function drawTime(state, box, width) {
    const metric = metricOf(state);
    const all = ranked(state).filter(({ method }) => state.part.methods[method].fit > 0);
    if (!all.length) return nothing(box);
    const height = Math.min(380, Math.max(260, width * 0.42));
    const chart = new Chart(width, height);
    const seconds = ({ method }) => Math.log10(state.part.methods[method].fit);
    const across = range(all.map(seconds), 0.08);
    const up = range(all.map((row) => row.mean), 0.1);
    const x = axis(across, 52, width - 16);
    const y = axis(up, height - 48, 8);
    chart.yAxis(y, ticks(...up), 52, width - 16);
    chart.xAxis(x, logTicks(...across), 8, height - 48, "Seconds to fit", (value) => say(10 ** value, 2));
    const taken = [];
    for (const row of all) {
      const [px, py, title] = [x(seconds(row)), y(row.mean), titleOf(state, row.method)];
      chart.add(symbol(row.method, px, py, 6, { class: `mark ${colour(row.method)}` }));
      const time = `${say(state.part.methods[row.method].fit)} s`;
      chart.point(px, py, `${title}: ${say(row.mean, 4)}${metric.unit} in ${time}`);
      taken.push([px - 7, py - 7, px + 7, py + 7]);
    }
    for (const row of all.slice(0, 24)) label(chart, taken, x(seconds(row)), y(row.mean), titleOf(state, row.method));
    const note = `${metric.title}, mean over seeds; further left is faster.`;
    box.append(chart.svg, html("p", { class: "note below" }, note));
  }

  /** Write a name beside a point where nothing else stands, or nowhere: pointing at it says it too. */
  function label(chart, taken, x, y, words) {
    const short = cut(words, 190);
    const wide = short.length * 6.7;
    const places = [[11, 4], [-11 - wide, 4], [-wide / 2, -11], [-wide / 2, 20]];
    for (const [dx, dy] of places) {
      const box = [x + dx, y + dy - 11, x + dx + wide, y + dy + 4];
      const inside = box[0] > 50 && box[2] < chart.width && box[1] > 0 && box[3] < chart.height - 46;
      const free = taken.every((o) => box[0] > o[2] || box[2] < o[0] || box[1] > o[3] || box[3] < o[1]);
      if (!inside || !free) continue;
      taken.push(box);
      chart.add(text(x + dx, y + dy, short, {}));
      return;
    }
  }

  /** Methods as buttons that point one out among the others. */
  function legend(state, methods, kind = 0) {
    const items = methods.map((method) => {
      const pressed = state.focus.has(method);
      const mark = svg("svg", { viewBox: "-8 -8 16 16", width: 15, height: 15, "aria-hidden": "true" });
      mark.append(symbol(kind === null ? 0 : method, 0, 0, 5, { class: `mark ${colour(method)}` }));
      const button = html("button", { type: "button", "aria-pressed": pressed }, mark, titleOf(state, method));
      button.addEventListener("click", () => {
        if (!state.focus.delete(method)) state.focus.add(method);
        const place = button.closest(".plot");
        redraw(state);
        const again = [...place.querySelectorAll(".legend button")];
        const same = again.find((one) => one.textContent === button.textContent);
        if (same) same.focus();
      });
      return button;
    });
    return html("div", { class: "legend", role: "group", "aria-label": "Point methods out" }, ...items);
  }

  const dim = (state, method) => (state.focus.size && !state.focus.has(method) ? " dim" : "");

  function drawRecall(state, box, width) {
    const split = splitOf(state);
    const rows = some(state, ranked(state).filter(({ method }) => split.recall[method]), MOST_LINES);
    const focused = ranked(state).filter(({ method }) => state.focus.has(method) && split.recall[method]);
    for (const row of focused) if (!rows.some(({ method }) => method === row.method)) rows.push(row);
    if (!rows.length || !split.classes.length) return nothing(box);
    const first = Math.max(0, split.classes.length - MOST_CLASSES);
    const classes = split.classes.map((_, c) => c).slice(first);
    const value = (method, c) => meanOf(split.recall[method][c]);
    const values = known(classes.flatMap((c) => rows.map(({ method }) => value(method, c))));
    const height = classes.length * 26 + 52;
    const chart = new Chart(width, height);
    const longest = Math.max(...classes.map((c) => split.classes[c].length + String(split.counts[c]).length + 2));
    const left = Math.min(width * 0.36, 20 + 6.9 * longest);
    const [low, high] = range(values, 0.05);
    const domain = [Math.max(-1, low), Math.min(101, high)];
    const x = axis(domain, left, width - 12);
    const y = (i) => 15 + 26 * i;
    chart.xAxis(x, ticks(...domain, 5), 2, height - 46, "Recall, %");
    classes.forEach((c, i) => {
      const own = known(rows.map(({ method }) => value(method, c)));
      if (own.length) chart.add(line(x(Math.min(...own)), y(i), x(Math.max(...own)), y(i), "span"));
      const name = text(0, y(i) + 4, cut(split.classes[c], left - 20 - 7 * String(split.counts[c]).length), {});
      name.append(svg("tspan", { class: "faint", dx: 6 }, Number(split.counts[c]).toLocaleString("en")));
      chart.add(name);
    });
    const order = [...rows].reverse(); // the best on top
    for (const { method } of order) {
      classes.forEach((c, i) => {
        const middle = value(method, c);
        if (middle === null) return;
        const kind = `${colour(method)}${method === state.part.baseline ? " hollow" : ""}${dim(state, method)}`;
        chart.add(symbol(method, x(middle), y(i), 5.5, { class: `mark ${kind}` }));
        const words = `${titleOf(state, method)}, class ${split.classes[c]}: ${say(middle)} % found`;
        chart.point(x(middle), y(i), words, () => zoom(state, c));
      });
    }
    const note = first ? `The ${classes.length} rarest of ${split.classes.length} classes. ` : "";
    const more = `${note}Classes with their training samples. Choose a mark to see its class closely.`;
    box.append(chart.svg, legend(state, rows.map(({ method }) => method)), html("p", { class: "note below" }, more));
  }

  /** A choice of class, the rarest first. */
  function classChoice(state, classes) {
    const split = splitOf(state);
    const choice = html("select", {});
    for (const c of [...classes].reverse()) {
      const words = `${split.classes[c]} (${Number(split.counts[c]).toLocaleString("en")} training samples)`;
      choice.append(html("option", { value: c, selected: c === chosenClass(state, classes) ? "" : null }, words));
    }
    choice.addEventListener("change", () => zoom(state, Number(choice.value), choice.closest(".plot")));
    return html("label", {}, "Class ", choice);
  }

  function chosenClass(state, classes) {
    const split = splitOf(state);
    const place = split.classes.indexOf(state.className);
    return classes.includes(place) ? place : classes[classes.length - 1];
  }

  function zoom(state, c, from) {
    state.className = splitOf(state).classes[c];
    redraw(state);
    const choice = from && from.querySelector("select");
    if (choice) choice.focus();
  }

  function drawClass(state, box, width) {
    const split = splitOf(state);
    const classes = split.classes.map((_, c) => c);
    const all = methodsOf(state).filter((method) => split.recall[method]);
    if (!all.length || !classes.length) return nothing(box);
    const c = chosenClass(state, classes);
    const rows = all
      .map((method) => ({
        method,
        recall: meanOf(split.recall[method][c]),
        precision: split.precision[method] ? meanOf(split.precision[method][c]) : null,
      }))
      .filter((row) => row.recall !== null)
      .sort((a, b) => b.recall - a.recall);
    const shown = some(state, rows, MOST_ROWS);
    box.append(html("div", { class: "settings" }, classChoice(state, classes)));
    if (!shown.length) return nothing(box);
    const height = shown.length * 27 + 54;
    const chart = new Chart(width, height);
    const left = leftOf(shown, state, width);
    const ends = known(shown.flatMap(({ recall, precision }) => [recall, precision]));
    const seeds = shown.flatMap(({ method }) => known(split.recall[method][c]));
    const domain = range([...ends, ...seeds]);
    const x = axis(domain, left, width - 14);
    const y = (i) => 16 + 27 * i;
    chart.xAxis(x, ticks(...domain, 5).filter((v) => v >= 0 && v <= 100), 2, height - 48, "Of this class, %");
    rowNames(chart, state, shown, left, y);
    shown.forEach(({ method, recall, precision }, i) => {
      const title = titleOf(state, method);
      if (precision !== null) {
        chart.add(line(x(recall), y(i), x(precision), y(i), "span"));
        chart.add(symbol(3, x(precision), y(i), 5, { class: `mark hollow ${colour(method)}` }));
        chart.point(x(precision), y(i), `${title}: precision ${say(precision)} %`);
      }
      split.recall[method][c].forEach((value, at) => {
        if (value === null) return;
        chart.add(symbol(0, x(value), y(i), 3, { class: `mark seed ${colour(method)}` }));
        const seed = state.part.methods[method].seeds[at];
        chart.point(x(value), y(i) + 2, `${title}, seed ${seed}: recall ${say(value)} %`);
      });
      chart.add(symbol(0, x(recall), y(i), 5.5, { class: `mark ${colour(method)}` }));
      chart.point(x(recall), y(i), `${title}: recall ${say(recall)} %`);
    });
    const key = "● recall, how much of the class is found, with small marks for seeds. ◇ precision, how much of that is right.";
    box.append(chart.svg, html("p", { class: "note below" }, key), ...known([missing(shown, rows)]));
  }

  // ---- Thresholds ---------------------------------------------------------------------------------------------------

  /** Where on a curve a method decides: at the least cost, or at a threshold. */
  function decision(state, curve) {
    const ratio = 10 ** ((3 * state.level) / 100);
    const threshold = state.level / 100;
    let best = { t: 1, found: 0, false: 0 };
    for (let i = curve.t.length - 1; i >= 0; i -= 1) {
      const here = { t: curve.t[i], found: curve.found[i], false: curve.false[i] };
      const cost = (point) => ratio * (curve.n - point.found) + point.false;
      if (state.decide === "cost" ? cost(here) < cost(best) : here.t >= threshold - 1e-9) best = here;
    }
    const missed = curve.n - best.found;
    return {
      ...best,
      recall: (100 * best.found) / curve.n,
      precision: best.found + best.false ? (100 * best.found) / (best.found + best.false) : null,
      alarms: (1000 * best.false) / Math.max(1, curve.others),
      cost: (1000 * (ratio * missed + best.false)) / (curve.n + curve.others),
    };
  }

  /** Recall and precision at each threshold that finds something. */
  function rates(curve) {
    return curve.t
      .map((t, i) => ({ t, found: curve.found[i], false: curve.false[i] }))
      .filter(({ found }) => found)
      .map((step) => ({
        t: step.t,
        recall: (100 * step.found) / curve.n,
        precision: (100 * step.found) / (step.found + step.false),
      }));
  }

  /** The part of both axes where curves differ: not what all find without a false alarm. */
  function ratesRange(steps) {
    const apart = steps.filter(({ precision }) => precision < 99.5);
    const tens = (values, room) => Math.max(0, Math.floor((Math.min(...values, 90) - room) / 10) * 10);
    return [
      [tens(apart.map(({ recall }) => recall), 5), 100],
      [tens(steps.map(({ precision }) => precision), 0), 100],
    ];
  }

  function drawThresholds(state, box, width) {
    const points = splitOf(state).points;
    if (!points) return nothing(box, "The runs hold no probabilities of this split at other thresholds.");
    const c = chosenClass(state, points.classes);
    const at = points.classes.indexOf(c);
    const curveOf = (method) => points.curves[method][at];
    const all = ranked(state).filter(({ method }) => points.curves[method] && curveOf(method));
    if (!all.length) return nothing(box);
    const rows = some(state, all, MOST_LINES);
    box.append(thresholdSettings(state, points));
    const wide = width > 760;
    const size = wide ? Math.min(470, width * 0.5) : width;
    const chart = new Chart(size, Math.min(400, size * 0.9));
    const [bottom, right] = [chart.height - 46, size - 10];
    const curves = rows.map(({ method }) => ({ method, steps: rates(curveOf(method)) }));
    const decided = all.map(({ method }) => ({ method, ...decision(state, curveOf(method)), of: curveOf(method).n }));
    const chosen = decided.filter(({ method, found }) => found && rows.some((row) => row.method === method));
    const [across, up] = ratesRange([...curves.flatMap(({ steps }) => steps), ...chosen]);
    const x = axis(across, 42, right);
    const y = axis(up, bottom, 8);
    chart.yAxis(y, ticks(...up), 42, right);
    chart.xAxis(x, ticks(...across, 5), 8, bottom, "Recall, %");
    chart.add(text(48, bottom - 8, "Precision, %", { class: "faint" }));
    for (const { method, steps } of curves) {
      for (const { t, recall, precision } of steps) {
        const words = `recall ${say(recall)} %, precision ${say(precision)} % from a probability of ${say(t)} on`;
        if (recall >= across[0]) chart.point(x(recall), y(precision), `${titleOf(state, method)}: ${words}`);
      }
      const seen = steps.filter(({ recall }) => recall >= across[0]);
      const path = seen.map(({ recall, precision }) => `${x(recall).toFixed(1)},${y(precision).toFixed(1)}`).join(" ");
      chart.add(svg("polyline", { points: path, class: `curve ${colour(method)}${dim(state, method)}` }));
    }
    for (const one of chosen) {
      const kind = `mark ringed ${colour(one.method)}${dim(state, one.method)}`;
      chart.add(symbol(one.method, x(one.recall), y(one.precision), 7, { class: kind }));
    }
    const side = html("div", { class: "across" }, chart.svg, decisionTable(state, decided));
    box.append(side, legend(state, rows.map(({ method }) => method)), ...known([missing(rows, all)]));
  }

  function thresholdSettings(state, points) {
    const spoken = html("output", { "aria-live": "polite" }, levelWords(state));
    const ends = { type: "range", min: 0, max: 100, value: state.level };
    const slider = html("input", { ...ends, "aria-label": "Cost or threshold" });
    slider.setAttribute("aria-valuetext", levelWords(state));
    slider.addEventListener("input", () => {
      state.level = Number(slider.value);
      const place = slider.closest(".plot");
      redraw(state, place);
      place.querySelector("input[type=range]").focus();
    });
    const choice = html("select", {});
    for (const [value, words] of [["cost", "the cost of a miss"], ["threshold", "one threshold"]]) {
      choice.append(html("option", { value, selected: state.decide === value ? "" : null }, words));
    }
    choice.addEventListener("change", () => {
      state.decide = choice.value;
      const place = choice.closest(".plot");
      redraw(state, place);
      place.querySelectorAll("select")[1].focus();
    });
    const by = html("label", {}, "Decide by ", choice);
    const level = html("label", { class: "grow slider" }, slider, spoken);
    return html("div", { class: "settings" }, classChoice(state, points.classes), by, level);
  }

  function levelWords(state) {
    const ratio = 10 ** ((3 * state.level) / 100);
    const alarms = `false ${ratio === 1 ? "alarm" : "alarms"}`;
    if (state.decide === "cost") return `A miss costs as much as ${say(ratio, 2)} ${alarms}`;
    return `From a probability of ${(state.level / 100).toFixed(2)} on`;
  }

  function decisionTable(state, decided) {
    const costly = state.decide === "cost";
    const order = [...decided].sort((a, b) => (costly ? a.cost - b.cost : b.recall - a.recall));
    const heads = ["Method", "From", "Found", "False alarms per 1,000", "Precision, %"];
    if (costly) heads.push("Cost per 1,000");
    const seeds = Math.max(...state.part.methods.map((method) => method.seeds.length));
    const body = order.slice(0, MOST_DECISIONS).map((row) => {
      const name = html("span", { class: `name ${colour(row.method)}` });
      name.append(html("span", { class: "chip", "aria-hidden": "true" }), html("span", {}, titleOf(state, row.method)));
      const cells = [say(row.t), `${row.found} of ${row.of}`, say(row.alarms), say(row.precision)];
      if (costly) cells.push(say(row.cost));
      const labelled = cells.map((words, i) => html("td", { "data-label": heads[i + 1] }, words));
      return html("tr", {}, html("th", { scope: "row" }, name), ...labelled);
    });
    const head = html("thead", {}, html("tr", {}, ...heads.map((words) => html("th", { scope: "col" }, words))));
    const caption = html("caption", { class: "hidden" }, "What each method finds where it decides");
    const table = html("table", { class: "cards" }, caption, head, html("tbody", {}, ...body));
    const rest = order.length > MOST_DECISIONS ? ` The first ${MOST_DECISIONS} of ${order.length} methods.` : "";
    const note = html("p", { class: "note below" }, `${seeds > 1 ? "Counts of all seeds together." : ""}${rest}`);
    const scroll = html("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Decisions" }, table);
    return html("div", { class: "decisions" }, scroll, note);
  }

  function drawReliability(state, box, width) {
    const points = splitOf(state).points;
    const all = ranked(state).filter(({ method }) => points && points.reliability[method].length);
    if (!all.length) return nothing(box, "The runs hold no probabilities of this split.");
    const rows = some(state, all, MOST_LINES);
    const size = Math.min(560, width);
    const chart = new Chart(size, Math.min(430, size * 0.85));
    const bottom = chart.height - 46;
    const lowest = Math.min(...rows.flatMap(({ method }) => points.reliability[method].map((bin) => bin[1])));
    const domain = [Math.max(0, Math.floor(lowest / 10) * 10), 100];
    const x = axis(domain, 42, size - 10);
    const y = axis([0, 100], bottom, 8);
    chart.yAxis(y, [0, 25, 50, 75, 100], 42, size - 10);
    chart.xAxis(x, ticks(...domain, 5), 8, bottom, "Stated confidence, %");
    chart.add(text(48, 20, "Right, %", { class: "faint" }));
    chart.add(line(x(domain[0]), y(domain[0]), x(100), y(100), "zero"));
    for (const { method } of rows) {
      const bins = points.reliability[method];
      const most = Math.max(...bins.map((bin) => bin[0]));
      const kind = `${colour(method)}${dim(state, method)}`;
      const many = bins.filter(([n]) => n >= 10); // a share of fewer says little
      const path = many.map(([, sure, right]) => `${x(sure).toFixed(1)},${y(right).toFixed(1)}`).join(" ");
      chart.add(svg("polyline", { points: path, class: `curve thin ${kind}` }));
      for (const [n, sure, right] of bins) {
        const few = n < 10 ? " seed" : "";
        chart.add(symbol(method, x(sure), y(right), 3 + 4 * Math.sqrt(n / most), { class: `mark ${kind}${few}` }));
        const words = `${n.toLocaleString("en")} samples, ${say(sure)} % sure, ${say(right)} % right`;
        chart.point(x(sure), y(right), `${titleOf(state, method)}: ${words}`);
      }
    }
    const key = "Below the dashed line a method is too sure. Larger marks stand for more samples; lines leave out fewer than 10.";
    box.append(chart.svg, legend(state, rows.map(({ method }) => method)), html("p", { class: "note below" }, key));
  }

  // ---- Curves and maps ----------------------------------------------------------------------------------------------

  /** A small panel with lines that are whole numbers between its lowest and highest value. */
  function smallPanel(panel, width, kindOf, sayLine) {
    const chart = new Chart(width, 150);
    const [left, right, top, bottom] = [46, width - 8, 24, 126];
    const x = axis(panel.x, left, right);
    const y = axis(panel.y, bottom, top);
    const back = (value) => (panel.log ? 10 ** value : value);
    chart.add(text(0, 12, cut(panel.title, width), { class: "title" }));
    const rows = panel.log ? logTicks(...panel.y) : ticks(...panel.y, 3);
    chart.yAxis(y, rows.length ? rows.slice(0, 5) : [panel.y[0]], left, right, (value) => say(back(value), 2));
    for (const value of panel.x[0] === panel.x[1] ? [panel.x[0]] : panel.x) {
      const anchor = value === panel.x[1] ? "end" : "start";
      chart.add(text(x(value), bottom + 16, say(value), { class: "faint", "text-anchor": anchor }));
    }
    const level = (ends, place) => ends[0] + ((ends[1] - ends[0]) * place) / 999;
    for (const [name, xs, ys] of panel.lines) {
      const places = xs.map((value, i) => [x(level(panel.x, value)), y(level(panel.y, ys[i]))]);
      const points = places.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ");
      if (places.length > 1) chart.add(svg("polyline", { points, class: `curve thin ${kindOf(name)}` }));
      else chart.add(symbol(0, ...places[0], 3, { class: `mark ${kindOf(name)}` }));
      places.forEach(([px, py], i) => {
        const value = say(back(level(panel.y, ys[i])));
        chart.point(px, py, `${sayLine(name)}, step ${say(level(panel.x, xs[i]))}: ${panel.title} ${value}`);
      });
    }
    return chart.svg;
  }

  function panelGrid(box, width, panels, draw) {
    const columns = Math.max(1, Math.floor((width + 22) / 250));
    const each = Math.min(420, Math.floor((width - 22 * (columns - 1)) / columns));
    box.append(html("div", { class: "panels" }, ...panels.map((panel) => draw(panel, each))));
  }

  function drawCurves(state, box, width) {
    const { method, panels } = state.part.curves[Number(box.dataset.at)];
    const sayLine = (seed) => `Seed ${seed}`;
    panelGrid(box, width, panels, (panel, each) => smallPanel(panel, each, () => `${colour(method)} seed`, sayLine));
  }

  function drawTracked(state, box, width) {
    const all = state.part.tracked.panels;
    const methods = methodsOf(state);
    const kind = (method) => `${colour(method)}${dim(state, method)}`;
    const sayLine = (method) => titleOf(state, method);
    const panels = all.map((panel) => ({ ...panel, lines: panel.lines.filter(([m]) => methods.includes(m)) }));
    panelGrid(box, width, panels, (panel, each) => smallPanel(panel, each, kind, sayLine));
    const drawn = methods.filter((method) => all.some((panel) => panel.lines.some(([m]) => m === method)));
    box.append(legend(state, drawn.slice(0, MOST_ROWS), null));
  }

  function drawGap(state, box, width) {
    const points = state.part.tracked.gap.filter(([method]) => isShown(state, method));
    if (points.length < 2) return nothing(box);
    const chart = new Chart(width, 300);
    const across = range([0, ...points.map(([, gap]) => gap)], 0.08);
    const up = range(points.map(([, , acsa]) => acsa), 0.1);
    const x = axis(across, 48, width - 12);
    const y = axis(up, 252, 8);
    chart.yAxis(y, ticks(...up), 48, width - 12);
    chart.xAxis(x, ticks(...across), 8, 252, "Margin gap, majority less minority");
    chart.add(line(x(0), 8, x(0), 252, "zero"), text(54, 20, "ACSA, %", { class: "faint" }));
    for (const [method, gap, acsa] of points) {
      chart.add(symbol(method, x(gap), y(acsa), 5.5, { class: `mark ${colour(method)}${dim(state, method)}` }));
      chart.point(x(gap), y(acsa), `${titleOf(state, method)}: gap ${say(gap)}, ACSA ${say(acsa, 4)} %`);
    }
    box.append(chart.svg, legend(state, [...new Set(points.map(([method]) => method))].slice(0, MOST_ROWS)));
  }

  function drawLearned(state, box, width) {
    const { method, steps, rows } = state.part.tracked.classes[Number(box.dataset.at)];
    const longest = Math.max(...rows.map(([name, n]) => name.length + n.length + 2));
    const left = Math.min(width * 0.42, 6.9 * longest + 12);
    const chart = new Chart(width, rows.length * 18 + 40);
    const each = (width - left) / steps.length;
    rows.forEach(([name, n, values], i) => {
      chart.add(text(0, 18 * i + 13, cut(`${name}, ${n}`, left - 8), {}));
      values.forEach((value, at) => {
        if (value === null) return;
        const place = { x: left + at * each, y: 18 * i + 1, width: Math.max(1, each - 0.5), height: 16 };
        chart.add(svg("rect", { ...place, class: `cell ${colour(method)}`, style: `--s:${value}` }));
        const words = `${name} at step ${say(steps[at])}: ${say(value)} %`;
        chart.point(left + (at + 0.5) * each, 18 * i + 9, words);
      });
    });
    const base = rows.length * 18 + 16;
    chart.add(text(left, base, say(steps[0]), { class: "faint" }));
    chart.add(text(width, base, `Step ${say(steps[steps.length - 1])}`, { class: "faint", "text-anchor": "end" }));
    box.append(chart.svg);
  }

  /** All points at the left, and beside them the rarest classes by themselves, closer. */
  function drawMap(state, box, width) {
    const map = state.part.maps[Number(box.dataset.at)];
    const every = map.class.map((_, i) => i);
    const wide = width > 760;
    const size = wide ? Math.floor(width * 0.48) : Math.min(width, 520);
    const large = mapChart(map, every, size);
    if (map.classes.length <= 40) classNames(large, map);
    const own = map.classes.map((name, c) => ({ name, points: every.filter((i) => Math.abs(map.class[i]) === c + 1) }));
    const real = ({ points }) => points.filter((i) => map.class[i] > 0).length;
    const rarest = [...own].sort((a, b) => real(a) - real(b)).slice(0, 9);
    const columns = wide ? 3 : Math.max(2, Math.floor((width + 12) / 170));
    const each = Math.floor(((wide ? width - size - 28 : width) - 12 * (columns - 1)) / columns);
    const close = rarest.map(({ name, points }) => {
      const chart = mapChart(map, points, each);
      const made = points.filter((i) => map.class[i] < 0).length;
      const counts = `${points.length - made} real, ${made} synthetic`;
      return html("div", {}, html("strong", {}, cut(name, each)), counts, chart.svg);
    });
    const kinds = html("span", { class: "key" }, mapKey("real"), "real ", mapKey("made"), "synthetic");
    const closer = html("div", { class: "closer", style: `--columns:${columns}` }, ...close);
    box.append(html("div", { class: "settings" }, kinds), html("div", { class: "across" }, large.svg, closer));
  }

  const POINT = {
    real: (x, y, r) => `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
    made: (x, y, r) => `M${x - r},${y - r}l${2 * r},${2 * r}m0,${-2 * r}l${-2 * r},${2 * r}`,
  };

  function mapKey(kind) {
    const icon = svg("svg", { viewBox: "-8 -8 16 16", width: 15, height: 15, "aria-hidden": "true" });
    icon.append(svg("path", { d: POINT[kind](0, 0, 4.5), class: `points ${kind}` }));
    return icon;
  }

  /** Some points of a map as large as they fit into a square; two paths, for there may be thousands. */
  function mapChart(map, points, size) {
    const chart = new Chart(size, size);
    const r = Math.min(4.5, Math.max(2, 75 / Math.sqrt(points.length)));
    const [xs, ys] = [points.map((i) => map.x[i]), points.map((i) => 999 - map.y[i])];
    const ends = [xs, ys].map((values) => [Math.min(...values), Math.max(...values)]);
    const side = Math.max(...ends.map(([low, high]) => high - low), 1);
    const inner = size - 4 * r - 8;
    const [left, top] = ends.map(([low, high]) => (low + high - side) / 2);
    const paths = { real: [], made: [] };
    points.forEach((i, at) => {
      const x = 2 * r + 4 + (inner * (xs[at] - left)) / side;
      const y = 2 * r + 4 + (inner * (ys[at] - top)) / side;
      const kind = map.class[i] < 0 ? "made" : "real";
      paths[kind].push(POINT[kind](Math.round(x * 10) / 10, Math.round(y * 10) / 10, Math.round(r * 10) / 10));
      const words = `Class ${map.classes[Math.abs(map.class[i]) - 1]}, ${kind === "made" ? "synthetic" : "real"}`;
      chart.point(x, y, words);
      chart.marks[chart.marks.length - 1].code = map.class[i];
    });
    for (const [kind, d] of Object.entries(paths)) {
      if (d.length) chart.add(svg("path", { d: d.join(""), class: `points ${kind}` }));
    }
    return chart;
  }

  /** The name of each class above its real points. */
  function classNames(chart, map) {
    const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
    map.classes.forEach((name, c) => {
      const real = chart.marks.filter(({ code }) => code === c + 1);
      const own = real.length ? real : chart.marks.filter(({ code }) => code === -c - 1);
      if (!own.length) return;
      const spot = { x: middle(own.map(({ x }) => x)), y: Math.min(...own.map(({ y }) => y)) };
      chart.add(text(spot.x, Math.max(14, spot.y - 9), cut(name, 90), { class: "over", "text-anchor": "middle" }));
    });
  }

  function nothing(box, words = "No method that is shown has these numbers.") {
    box.append(html("p", { class: "note below" }, words));
  }

  // ---- Drawing when seen --------------------------------------------------------------------------------------------

  const drawers = {
    scores: drawScores,
    differences: drawDifferences,
    time: drawTime,
    recall: drawRecall,
    class: drawClass,
    thresholds: drawThresholds,
    reliability: drawReliability,
    curves: drawCurves,
    tracked: drawTracked,
    gap: drawGap,
    learned: drawLearned,
    map: drawMap,
  };
  const plots = [...document.querySelectorAll(".plot")];
  const stateOf = new Map(plots.map((box) => [box, states[Number(box.closest("[data-part]").dataset.part)]]));
  const stale = new Set(plots);
  const visible = new Set();

  function draw(box, most = Infinity) {
    const width = Math.min(Math.floor(box.clientWidth) || PAPER, most); // it may be folded away until now
    box.style.minHeight = `${box.offsetHeight}px`; // the page does not jump
    box.replaceChildren();
    drawers[box.dataset.plot](stateOf.get(box), box, width);
    box.style.minHeight = "";
    box.drawnAt = width;
    box.at = -1;
    stale.delete(box);
  }

  /** Draw the panels of a part anew: at once where they are seen, else when they are. */
  function redraw(state, only) {
    hideTip();
    for (const box of plots) {
      if (stateOf.get(box) !== state || (only && box !== only)) continue;
      if (visible.has(box)) draw(box);
      else stale.add(box);
    }
  }

  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) visible.add(target);
        else visible.delete(target);
        if (isIntersecting && (stale.has(target) || target.clientWidth !== target.drawnAt)) draw(target);
      }
    },
    { rootMargin: "400px" },
  );
  for (const box of plots) {
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    seen.observe(box);
  }
  let resized = 0;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => {
      for (const box of plots) {
        if (box.clientWidth === box.drawnAt) continue;
        if (visible.has(box)) draw(box);
        else stale.add(box);
      }
    }, 120);
  });

  // ---- Pointing -----------------------------------------------------------------------------------------------------

  function showTip(words, x, y) {
    tip.replaceChildren(...[].concat(words).map((one) => (typeof one === "string" ? html("div", {}, one) : one)));
    tip.hidden = false;
    const { offsetWidth: w, offsetHeight: h } = tip;
    const left = Math.max(8, Math.min(x + 14, root.clientWidth - w - 8));
    const top = y - h - 12 < 8 ? y + 18 : y - h - 12;
    tip.style.left = `${left}px`;
    tip.style.top = `${top}px`;
  }

  let sayAgain = null; // what the keyboard has reached stays said while the page scrolls to it

  function hideTip() {
    tip.hidden = true;
    sayAgain = null;
    document.querySelectorAll(".ring").forEach((ring) => ring.remove());
  }

  function pointOut(mark) {
    const { chart, x, y, words } = mark;
    document.querySelectorAll(".ring").forEach((ring) => ring.remove());
    chart.add(svg("circle", { class: "ring", cx: x, cy: y, r: 9 }));
    const box = chart.svg.getBoundingClientRect();
    const scale = box.width / chart.width;
    showTip(words, box.left + x * scale, box.top + y * scale);
  }

  function nearest(chart, event) {
    const box = chart.svg.getBoundingClientRect();
    const scale = chart.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = null;
    let least = 26 ** 2;
    for (const mark of chart.marks) {
      const distance = (mark.x - x) ** 2 + (mark.y - y) ** 2;
      if (distance < least) [best, least] = [mark, distance];
    }
    return best;
  }

  const chartOf = (event) => {
    const drawing = event.target.closest && event.target.closest("svg.chart");
    return drawing ? drawing.chart : null;
  };

  document.addEventListener("pointermove", (event) => {
    sayAgain = null;
    const chart = chartOf(event);
    const mark = chart && nearest(chart, event);
    if (mark) return pointOut(mark);
    const told = "[data-n], .matrix td, [data-scores] th[scope=row]";
    const cell = event.target.closest && event.target.closest(told);
    const words = cell && about(cell);
    if (words) showTip(words, event.clientX, event.clientY);
    else if (!document.activeElement || !document.activeElement.matches(".plot")) hideTip();
    return undefined;
  });
  document.addEventListener("pointerdown", (event) => {
    const chart = chartOf(event);
    const mark = chart && nearest(chart, event);
    if (mark && mark.act) mark.act();
  });
  document.addEventListener("focusin", (event) => {
    const row = event.target.matches("[data-scores] a") && event.target.closest("tr");
    const words = row && about(row.querySelector("th"));
    if (!words) return hideTip();
    sayAgain = () => {
      const box = event.target.getBoundingClientRect();
      showTip(words, box.left, box.top);
    };
    return sayAgain();
  });
  document.addEventListener("scroll", () => (sayAgain ? sayAgain() : hideTip()), { passive: true });

  /** What there is to say of a cell of a table. */
  function about(cell) {
    const table = cell.closest("table");
    if (table.matches(".matrix")) return confusionWords(cell, table);
    const row = cell.closest("tr");
    return row.dataset.method === undefined ? null : certificateWords(row);
  }

  function confusionWords(cell, table) {
    const row = cell.closest("tr").querySelector("th");
    if (cell === row) return `${row.textContent}: ${row.dataset.n} samples`;
    if (!cell.matches("td")) return null;
    const head = table.tHead.rows[0].cells[cell.cellIndex].textContent;
    const n = cell.dataset.n || "0";
    const same = cell.cellIndex === cell.parentElement.sectionRowIndex + 1;
    const of = `${n} of ${row.dataset.n} samples of class ${row.textContent}`;
    return same ? `${of} are found` : `${of} are taken for ${head}`;
  }

  /** The first lines of a method's birth certificates. */
  function certificateWords(row) {
    const prefix = row.closest("[data-part]").dataset.prefix;
    const found = document.getElementById(`${prefix}certificate-${row.dataset.method}`);
    if (!found) return null;
    const title = html("strong", {}, row.querySelector("th").textContent.trim());
    const wanted = ["Data", "Data hash", "Training samples", "Weights", "Fit time", "Device", "Commit", "Date"];
    const lines = [...found.querySelectorAll("tbody tr")].filter((line) => wanted.includes(line.cells[0].textContent));
    return [title, ...lines.map((line) => {
      const values = [...line.cells].slice(1).map((cell) => cell.textContent.trim());
      const rest = values.length > 3 ? ` and ${values.length - 3} more` : "";
      return `${line.cells[0].textContent}: ${values.slice(0, 3).join(", ")}${rest}`;
    })];
  }

  // ---- Keyboard -----------------------------------------------------------------------------------------------------

  /** Arrows go through the marks of a drawing, and Enter does what a click does. */
  function onKey(event) {
    const box = event.target;
    if (!box.matches || !box.matches(".plot")) return;
    const marks = [...box.querySelectorAll("svg.chart")].flatMap((drawing) => drawing.chart.marks);
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key === "Escape") return hideTip();
    if (event.key === "Enter" && marks[box.at] && marks[box.at].act) return marks[box.at].act();
    if (!(event.key in steps) || !marks.length) return undefined;
    event.preventDefault();
    const at = box.at === undefined || box.at < 0 ? (steps[event.key] > 0 ? -1 : 0) : box.at;
    box.at = (at + steps[event.key] + marks.length) % marks.length;
    sayAgain = () => pointOut(marks[box.at]);
    return sayAgain();
  }
  document.addEventListener("keydown", onKey);

  // ---- Tables -------------------------------------------------------------------------------------------------------

  /** The number that a cell starts with, or null. */
  function numberOf(cell) {
    const found = cell && cell.textContent.replace("−", "-").match(/^\s*[-+]?[\d,]*\.?\d+(e[-+]?\d+)?/i);
    return found ? Number(found[0].replace(/,/g, "")) : null;
  }

  function sortBy(table, column, descending) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const last = (row) => (row.dataset.last === undefined ? 0 : 1);
    const cells = new Map(rows.map((row) => [row, row.cells[column]]));
    const words = (row) => (cells.get(row) ? cells.get(row).textContent.trim() : "");
    const numbers = new Map(rows.map((row) => [row, numberOf(cells.get(row))]));
    const numeric = column > 0 && rows.some((row) => numbers.get(row) !== null);
    const sign = descending ? -1 : 1;
    rows.sort((a, b) => {
      if (last(a) !== last(b)) return last(a) - last(b);
      if (!numeric) return sign * words(a).localeCompare(words(b), undefined, { numeric: true });
      const [x, y] = [numbers.get(a), numbers.get(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (x - y);
    });
    body.append(...rows);
    [...table.tHead.rows[0].cells].forEach((head, i) => {
      if (i === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = html("button", { type: "button", class: "sort", title: "Sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sortBy(table, column, now ? now === "ascending" : column > 0);
      });
    });
  }

  function sortByMetric(state) {
    const metric = metricOf(state);
    for (const table of state.box.querySelectorAll("table[data-scores]")) {
      const column = [...table.tHead.rows[0].cells].findIndex((head) => head.dataset.metric === metric.id);
      if (column > 0) sortBy(table, column, !metric.lower);
    }
  }

  // ---- Controls -----------------------------------------------------------------------------------------------------

  function showSplit(state) {
    const { id } = splitOf(state);
    for (const element of state.box.querySelectorAll("[data-split]")) {
      element.classList.toggle("off", element.dataset.split !== id);
    }
  }

  function showMetrics(state, choice) {
    const metric = metricOf(state);
    choice.replaceChildren(
      ...splitOf(state).metrics.map(({ id, title }) =>
        html("option", { value: id, selected: metric && id === metric.id ? "" : null }, title),
      ),
    );
  }

  function showMethods(state, output) {
    for (const element of state.box.querySelectorAll("[data-method]")) {
      element.classList.toggle("filtered", !isShown(state, Number(element.dataset.method)));
    }
    output.textContent = `${methodsOf(state).length} of ${state.part.methods.length} methods`;
  }

  for (const state of states) {
    const form = state.box.querySelector(".controls");
    const { split, metric, filter, shown } = form.elements;
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    if (state.part.splits.length < 2) split.closest("label").hidden = true;
    if (state.part.methods.length < 2) filter.closest("label").hidden = true;
    showSplit(state);
    showMetrics(state, metric);
    showMethods(state, shown);
    split.addEventListener("change", () => {
      state.split = split.selectedIndex;
      showSplit(state);
      showMetrics(state, metric);
      redraw(state);
    });
    metric.addEventListener("change", () => {
      state.metric = metric.value;
      sortByMetric(state);
      redraw(state);
    });
    filter.addEventListener("input", () => {
      state.filter = filter.value.toLowerCase().split(",").map((words) => words.trim()).filter(Boolean);
      showMethods(state, shown);
      redraw(state);
    });
  }

  // ---- Theme, links, paper ------------------------------------------------------------------------------------------

  const button = document.getElementById("theme");
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : preferred.matches);

  function nameTheme() {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Show the page ${isDark() ? "light" : "dark"}`);
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  preferred.addEventListener("change", nameTheme);
  nameTheme();

  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let box = target; box; box = box.parentElement) if (box.matches("details")) box.open = true;
    if (target && target.closest("details")) target.scrollIntoView();
  }
  addEventListener("hashchange", openTarget);
  if (location.hash) openTarget();

  const anchors = [...document.querySelectorAll(".links a")];
  const links = new Map(anchors.map((link) => [link.getAttribute("href").slice(1), link]));
  const reading = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        const link = links.get(target.id);
        link.setAttribute("aria-current", "true");
        const bar = link.parentElement;
        bar.scrollTo({ left: link.offsetLeft - bar.clientWidth / 3 });
      }
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  for (const id of links.keys()) reading.observe(document.getElementById(id));

  let folded = [];
  addEventListener("beforeprint", () => {
    hideTip();
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const one of folded) one.open = true;
    for (const box of plots) draw(box, PAPER);
  });
  addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
    for (const box of plots) {
      if (visible.has(box)) draw(box);
      else stale.add(box);
    }
  });
})();
