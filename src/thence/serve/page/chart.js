/** A line chart in SVG: axes, lines, and the values at a place, by mouse or arrow keys. */

import { el, svg } from "./dom.js";

const MARGIN = { left: 58, right: 16, top: 14, bottom: 44 };

/** Return round numbers from one to another, about so many. */
export function linearTicks(low, high, about) {
  const rough = (high - low) / Math.max(about, 1) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const ticks = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) {
    ticks.push(Number((place * step).toPrecision(12)));
  }
  return ticks;
}

/** Return powers of ten, with 2 and 5 between them where there is room. */
export function logTicks(low, high, about) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const factors = last - first <= about / 3 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = first; power <= last; power += 1) {
    for (const factor of factors) ticks.push(factor * 10 ** power);
  }
  return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
}

/** Return a function from values to places. */
function scale(domain, range, logarithmic) {
  const turn = logarithmic ? Math.log10 : (number) => number;
  const [low, high] = domain.map(turn);
  const width = high - low || 1;
  return (number) => range[0] + ((turn(number) - low) / width) * (range[1] - range[0]);
}

function short(number) {
  if (number !== 0 && Math.abs(number) < 0.001) return number.toExponential(0);
  if (Math.abs(number) >= 1e6) return `${Number((number / 1e6).toPrecision(4))} M`;
  if (Math.abs(number) >= 1e4) return `${Number((number / 1e3).toPrecision(4))} k`;
  return String(Number(number.toPrecision(6)));
}

/** A chart that draws itself anew when it is given other lines or another width. */
export class Chart {
  /** @param {string} label What the chart shows. */
  constructor(label) {
    this.svg = svg("svg", { class: "chart", tabindex: 0, role: "img", "aria-label": label });
    this.readout = el("p", { class: "readout", role: "status", "aria-live": "polite" });
    this.hint = "Point at the chart, or focus it and press ← and →, to read values.";
    this.element = el("div", { class: "chart-box" }, this.svg, this.readout);
    this.label = label;
    this.data = null;
    this.at = null;
    new ResizeObserver(() => this.redraw()).observe(this.element);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.mark(null));
    this.svg.addEventListener("blur", () => this.mark(null));
    this.svg.addEventListener("keydown", (event) => this.step(event));
  }

  /**
   * Show lines.
   * @param {{lines: {name: string, className: string, points: {x: number, y: number}[]}[], xLabel: string,
   *   yLabel: string, logX: boolean, sayX: (x: number) => string, sayY: (y: number) => string}} data
   */
  show(data) {
    const lines = data.lines.map((line) => ({
      ...line, points: line.points.filter((point) => point.y !== null && point.x !== null && (!data.logX || point.x > 0)),
    })).filter((line) => line.points.length > 0);
    this.data = { ...data, lines };
    this.places = [...new Set(lines.flatMap((line) => line.points.map((point) => point.x)))].sort((a, b) => a - b);
    if (this.at !== null && !this.places.includes(this.at)) this.at = null;
    this.redraw();
  }

  redraw() {
    if (this.data === null) return;
    const width = Math.max(this.element.clientWidth, 240);
    const height = Math.round(Math.min(Math.max(width * 0.5, 240), 430));
    const { lines, logX, xLabel, yLabel } = this.data;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    const ys = lines.flatMap((line) => line.points.map((point) => point.y));
    if (ys.length === 0) {
      this.svg.replaceChildren(svg("text", { x: width / 2, y: height / 2, class: "nothing" }, "Nothing to draw yet"));
      this.readout.textContent = "";
      return;
    }
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    this.bottom = bottom;
    const xs = [logX ? this.places[0] : Math.min(0, this.places[0]), this.places.at(-1)];
    if (xs[0] === xs[1]) xs[1] = logX ? xs[0] * 10 : xs[0] + 1;
    let [low, high] = [Math.min(...ys), Math.max(...ys)];
    const air = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    [low, high] = [low - air, high + air];
    this.x = scale(xs, [MARGIN.left, right], logX);
    this.y = scale([low, high], [bottom, MARGIN.top], false);
    const xTicks = (logX ? logTicks : linearTicks)(xs[0], xs[1], Math.max(3, width / 90));
    const yTicks = linearTicks(low, high, height / 50);
    this.marks = svg("g", { class: "marks" });
    this.svg.replaceChildren(
      svg("g", { class: "grid" },
        yTicks.map((tick) => svg("line", { x1: MARGIN.left, x2: right, y1: this.y(tick), y2: this.y(tick) })),
        xTicks.map((tick) => svg("line", { x1: this.x(tick), x2: this.x(tick), y1: MARGIN.top, y2: bottom }))),
      svg("g", { class: "ticks" },
        yTicks.map((tick) => svg("text", { x: MARGIN.left - 8, y: this.y(tick) + 4, class: "end" }, this.data.tickY?.(tick) ?? short(tick))),
        xTicks.map((tick) => svg("text", { x: this.x(tick), y: bottom + 18, class: "middle" }, short(tick)))),
      svg("text", { x: (MARGIN.left + right) / 2, y: height - 6, class: "axis middle" }, xLabel),
      svg("text", { transform: `translate(14 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, class: "axis middle" }, yLabel),
      ...lines.map((line) => this.line(line)), this.marks);
    this.mark(this.at);
  }

  line(line) {
    const places = line.points.map((point) => `${this.x(point.x).toFixed(1)},${this.y(point.y).toFixed(1)}`);
    const dots = line.points.length <= 40
      ? line.points.map((point) => svg("circle", { cx: this.x(point.x), cy: this.y(point.y), r: line.points.length === 1 ? 5 : 2.6 })) : [];
    return svg("g", { class: `series ${line.className}`, "data-name": line.name, "data-points": line.points.length },
      svg("polyline", { points: places.join(" ") }), dots);
  }

  point(event) {
    if (!this.places?.length) return;
    const box = this.svg.getBoundingClientRect();
    const place = event.clientX - box.left;
    const distance = (x) => Math.abs(this.x(x) - place);
    this.mark(this.places.reduce((best, x) => (distance(x) < distance(best) ? x : best)));
  }

  step(event) {
    if (!this.places?.length) return;
    const last = this.places.length - 1;
    const now = this.at === null ? -1 : this.places.indexOf(this.at);
    const moves = { ArrowRight: now + 1, ArrowLeft: now < 0 ? last : now - 1, Home: 0, End: last };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.mark(this.places[Math.min(Math.max(moves[event.key], 0), last)]);
  }

  /** Show the values at a place: of each line those at its nearest point. */
  mark(at) {
    this.at = at;
    if (!this.marks) return;
    this.marks.replaceChildren();
    if (at === null || !this.data.lines.length) {
      this.readout.textContent = this.data.lines.length ? this.hint : "";
      return;
    }
    const { lines, sayX, sayY } = this.data;
    const nearest = (line) => line.points.reduce((best, point) =>
      (Math.abs(this.x(point.x) - this.x(at)) < Math.abs(this.x(best.x) - this.x(at)) ? point : best));
    const shown = lines.map((line) => ({ line, point: nearest(line) }))
      .filter(({ point }) => Math.abs(this.x(point.x) - this.x(at)) < 14);
    this.marks.append(svg("line", { x1: this.x(at), x2: this.x(at), y1: MARGIN.top, y2: this.bottom }),
      ...shown.map(({ line, point }) => svg("circle", { class: line.className, cx: this.x(point.x), cy: this.y(point.y), r: 5 })));
    this.readout.replaceChildren(el("strong", {}, sayX(at)), ...shown.map(({ line, point }) =>
      el("span", {}, el("span", { class: `key ${line.className}`, "aria-hidden": "true" }), `${line.name} `, el("strong", {}, sayY(point.y)))));
  }
}
