/** A line chart in SVG: baselines, zoom by dragging, and the values at a place by pointer or keys. */

import { axes, linearTicks, logTicks, scale } from "./axes.js";
import { el, freshId, svg } from "./dom.js";

const MARGIN = { left: 62, right: 16, top: 12, bottom: 40 };
/** Pixels that a pointer moves before it selects a window instead of pointing at a place. */
const DRAG = 6;
/** How near a line's point must be to a place to be read there, in pixels. */
const NEAR = 14;
/** A baseline this much of the height beyond the lines is still worth the room. */
const ROOM = 0.6;
/** Height of a baseline's name, in pixels; baselines that are nearer share a line. */
const TEXT = 13;

/** A chart that redraws itself when its lines or its width change. */
export class Chart {
  /**
   * @param {string} label What the chart shows.
   * @param {{height?: number, onMark?: (x: number|null) => void, onZoom?: (window: number[]|null) => void}} settings
   *   A fixed height makes it a strip beneath another chart.
   */
  constructor(label, settings = {}) {
    this.settings = settings;
    this.svg = svg("svg", { class: "chart", tabindex: 0, role: "img", "aria-label": label });
    this.readout = el("p", { class: "readout", role: "status", "aria-live": "polite" });
    this.element = el("div", { class: "chart-box" }, this.svg, this.readout);
    this.clip = freshId("clip");
    this.data = null;
    this.at = null;
    this.window = null;
    this.marker = null;
    new ResizeObserver(() => this.redraw()).observe(this.element);
    this.listen();
  }

  listen() {
    const on = (type, action) => this.svg.addEventListener(type, action);
    let from = null;
    on("pointerdown", (event) => { from = event.pointerType === "touch" ? null : this.place(event); this.point(event); });
    on("pointermove", (event) => { if (from === null) this.point(event); else this.brush(from, this.place(event)); });
    on("pointerup", (event) => {
      const to = this.place(event);
      this.band?.replaceChildren();
      if (from !== null && Math.abs(to - from) > DRAG) this.zoom([from, to].sort((a, b) => a - b).map((at) => this.x.value(at)));
      from = null;
    });
    on("pointerleave", () => { from = null; this.band?.replaceChildren(); this.mark(null); });
    on("dblclick", () => this.zoom(null));
    on("blur", () => this.mark(null));
    on("keydown", (event) => this.key(event));
  }

  /**
   * Show lines.
   * @param {{lines: {name: string, className: string, points: {x: number, y: number}[]}[],
   *   baselines?: {name: string, y: number}[], xLabel: string, yLabel: string, logX: boolean, logY: boolean,
   *   sayX: (x: number) => string, sayY: (y: number) => string}} data
   */
  show(data) {
    const fits = (point) => point.y !== null && point.y !== undefined && point.x !== null && (!data.logX || point.x > 0) && (!data.logY || point.y > 0);
    const lines = data.lines.map((line) => ({ ...line, points: line.points.filter(fits) })).filter((line) => line.points.length > 0);
    this.data = { baselines: [], ...data, lines };
    this.places = [...new Set(lines.filter((line) => !line.silent).flatMap((line) => line.points.map((point) => point.x)))].sort((a, b) => a - b);
    if (this.at !== null && !this.places.includes(this.at)) this.at = null;
    this.redraw();
  }

  /** Show a part of the horizontal axis; null: all. */
  zoom(window) {
    this.window = window;
    this.settings.onZoom?.(window);
    this.redraw();
  }

  /** Mark a place of its own, such as that of a replay; null: none. */
  setMarker(x) {
    this.marker = x;
    this.drawMarker();
  }

  redraw() {
    if (this.data === null) return;
    const width = Math.max(this.element.clientWidth, 240);
    const height = this.settings.height ?? Math.round(Math.min(Math.max(width * 0.5, 230), 400));
    const { lines, logX, logY, xLabel, yLabel } = this.data;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    if (this.places.length === 0) {
      this.svg.replaceChildren(svg("text", { x: width / 2, y: height / 2, class: "nothing" }, "Nothing to draw yet"));
      this.readout.textContent = "";
      this.marks = null;
      return;
    }
    this.frame = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
    const { left, right, top, bottom } = this.frame;
    const xs = this.window ?? [logX ? this.places[0] : Math.min(0, this.places[0]), this.places.at(-1)];
    if (xs[0] === xs[1]) xs[1] = logX ? xs[0] * 10 : xs[0] + 1;
    const [low, high] = this.heights(xs);
    this.x = scale(xs, [left, right], logX);
    this.y = scale([low, high], [bottom, top], logY);
    const xTicks = (logX ? logTicks : linearTicks)(xs[0], xs[1], Math.max(3, width / 90));
    const yTicks = (logY ? logTicks : linearTicks)(low, high, Math.max(3, height / 55));
    [this.marks, this.band, this.cursor] = ["marks", "band", "cursor"].map((name) => svg("g", { class: name }));
    this.svg.replaceChildren(
      svg("defs", {}, svg("clipPath", { id: this.clip }, svg("rect", { x: left, y: top - 3, width: right - left, height: bottom - top + 6 }))),
      ...axes(this.frame, this.x, this.y, xTicks, yTicks, undefined, this.data.tickY),
      svg("text", { x: (left + right) / 2, y: height - 5, class: "axis middle" }, xLabel),
      svg("text", { transform: `translate(13 ${(top + bottom) / 2}) rotate(-90)`, class: "axis middle" }, yLabel),
      svg("g", { "clip-path": `url(#${this.clip})` }, ...this.baselines(low, high), ...lines.map((line) => this.line(line))),
      this.band, this.cursor, this.marks);
    this.drawMarker();
    this.mark(this.at);
  }

  /** Return the lowest and highest value to draw: of the lines in the window, and of baselines near them. */
  heights(xs) {
    const { lines, baselines, logY } = this.data;
    const inside = lines.flatMap((line) => line.points.filter((point) => point.x >= xs[0] && point.x <= xs[1]).map((point) => point.y));
    const ys = inside.length > 0 ? inside : lines.flatMap((line) => line.points.map((point) => point.y));
    let [low, high] = [Math.min(...ys), Math.max(...ys)];
    const room = (high - low) * ROOM;
    for (const { y } of baselines) {
      if (y > low - room && y < high + room) [low, high] = [Math.min(low, y), Math.max(high, y)];
    }
    if (logY) return [low / 1.05, high * 1.05];
    const air = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [low >= 0 ? Math.max(0, low - air) : low - air, high + air];
  }

  baselines(low, high) {
    const { right, left } = this.frame;
    const drawn = [];
    for (const { name, y } of this.data.baselines.filter((one) => one.y >= low && one.y <= high)) {
      const same = drawn.find((one) => Math.abs(one.at - this.y(y)) < TEXT);
      if (same) same.name += `, ${name}`;
      else drawn.push({ name, at: this.y(y) });
    }
    return drawn.map(({ name, at }) => svg("g", { class: "baseline", "data-name": name },
      svg("line", { x1: left, x2: right, y1: at, y2: at }),
      svg("text", { x: right - 4, y: at < this.frame.top + TEXT ? at + TEXT : at - 4, class: "end" }, name)));
  }

  line(line) {
    const places = line.points.map((point) => `${this.x(point.x).toFixed(1)},${this.y(point.y).toFixed(1)}`);
    const dots = line.dots || line.points.length === 1
      ? line.points.map((point) => svg("circle", { cx: this.x(point.x), cy: this.y(point.y), r: line.points.length === 1 ? 5 : 2.6 })) : [];
    return svg("g", { class: `series ${line.className}`, "data-name": line.name, "data-points": line.points.length },
      svg("polyline", { points: places.join(" ") }), dots);
  }

  drawMarker() {
    if (!this.cursor) return;
    const inside = this.marker !== null && (!this.data.logX || this.marker > 0);
    const at = inside ? this.x(this.marker) : null;
    this.cursor.replaceChildren(...(inside && at >= this.frame.left - 1 && at <= this.frame.right + 1
      ? [svg("line", { x1: at, x2: at, y1: this.frame.top, y2: this.frame.bottom })] : []));
  }

  place(event) {
    const at = event.clientX - this.svg.getBoundingClientRect().left;
    return this.frame ? Math.min(Math.max(at, this.frame.left), this.frame.right) : at;
  }

  brush(from, to) {
    this.band?.replaceChildren(svg("rect", { x: Math.min(from, to), width: Math.abs(to - from), y: this.frame.top, height: this.frame.bottom - this.frame.top }));
  }

  visiblePlaces() {
    return this.window === null ? this.places : this.places.filter((x) => x >= this.window[0] && x <= this.window[1]);
  }

  point(event) {
    const places = this.places ? this.visiblePlaces() : [];
    if (places.length === 0 || !this.x) return;
    const at = this.place(event);
    const distance = (x) => Math.abs(this.x(x) - at);
    this.mark(places.reduce((best, x) => (distance(x) < distance(best) ? x : best)));
  }

  key(event) {
    const places = this.places ? this.visiblePlaces() : [];
    if (places.length === 0) return;
    if (event.key === "0" || event.key === "Escape") { this.zoom(null); return; }
    if (event.key === "+" || event.key === "-") { this.zoomAround(this.at ?? places.at(-1), event.key === "+" ? 0.5 : 2); return; }
    const last = places.length - 1;
    const now = this.at === null ? -1 : places.indexOf(this.at);
    const moves = { ArrowRight: now + 1, ArrowLeft: now < 0 ? last : now - 1, Home: 0, End: last };
    if (!(event.key in moves)) return;
    event.preventDefault();
    this.mark(places[Math.min(Math.max(moves[event.key], 0), last)]);
  }

  /** Show half as much, or twice as much, around a place. */
  zoomAround(x, factor) {
    const { left, right } = this.frame;
    const half = ((right - left) / 2) * factor;
    const all = [this.data.logX ? this.places[0] : Math.min(0, this.places[0]), this.places.at(-1)];
    const window = [this.x.value(this.x(x) - half), this.x.value(this.x(x) + half)];
    const cut = [Math.max(window[0], all[0]), Math.min(window[1], all[1])];
    this.zoom(cut[0] <= all[0] && cut[1] >= all[1] ? null : cut);
  }

  /** Show the values at a place: of each line those at its nearest point. */
  mark(at, quietly = false) {
    this.at = at;
    if (!quietly) this.settings.onMark?.(at);
    if (!this.marks) return;
    this.marks.replaceChildren();
    const { lines, sayX, sayY } = this.data;
    if (at === null) {
      this.readout.textContent = this.settings.height ? "" : "Point at the chart, or focus it and press ← →; drag, or press + and −, to zoom.";
      return;
    }
    const nearest = (line) => line.points.reduce((best, point) =>
      (Math.abs(this.x(point.x) - this.x(at)) < Math.abs(this.x(best.x) - this.x(at)) ? point : best));
    const shown = lines.filter((line) => !line.silent).map((line) => ({ line, point: nearest(line) }))
      .filter(({ point }) => Math.abs(this.x(point.x) - this.x(at)) < NEAR);
    this.marks.append(svg("line", { x1: this.x(at), x2: this.x(at), y1: this.frame.top, y2: this.frame.bottom }),
      ...shown.map(({ line, point }) => svg("circle", { class: line.className, cx: this.x(point.x), cy: this.y(point.y), r: 4.5 })));
    this.readout.replaceChildren(el("strong", {}, sayX(at)), ...shown.map(({ line, point }) =>
      el("span", {}, el("span", { class: `key ${line.className}`, "aria-hidden": "true" }), `${line.name} `, el("strong", {}, sayY(point.y)))));
  }
}
