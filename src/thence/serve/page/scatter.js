/** A scatter plot of runs: score against cost, with the Pareto front. */

import { axes, linearTicks, logTicks, scale } from "./axes.js";
import { el, svg } from "./dom.js";

const MARGIN = { left: 66, right: 24, top: 22, bottom: 42 };
const HEIGHT = 320;
const NAME = 15;

/**
 * Return the Pareto front: points that no other beats in score and cost, ordered by cost.
 * @param {{x: number, y: number}[]} points
 * @param {boolean} upwards Whether a higher y is better.
 */
function pareto(points, upwards) {
  const sign = upwards ? -1 : 1;
  let best = Infinity;
  return [...points].sort((a, b) => a.x - b.x || sign * (a.y - b.y)).filter((point) => {
    if (sign * point.y >= best) return false;
    best = sign * point.y;
    return true;
  });
}

/** A plot that redraws itself when its width changes. */
export class Scatter {
  constructor(label) {
    this.svg = svg("svg", { class: "chart scatter", role: "img", "aria-label": label });
    this.element = el("div", { class: "chart-box" }, this.svg);
    this.data = null;
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  /** @param {{points: {name: string, className: string, x: number, y: number}[], xLabel: string, yLabel: string, sayX: Function, sayY: Function, upwards: boolean}} data */
  show(data) {
    this.data = data;
    this.redraw();
  }

  redraw() {
    if (this.data === null) return;
    const { points, xLabel, yLabel, sayX, sayY, upwards } = this.data;
    const width = Math.max(this.element.clientWidth, 260);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("height", HEIGHT);
    if (points.length === 0) {
      this.svg.replaceChildren(svg("text", { x: width / 2, y: HEIGHT / 2, class: "nothing" }, "Nothing is known of this"));
      return;
    }
    const frame = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: HEIGHT - MARGIN.bottom };
    const ends = (values, factor) => [Math.min(...values) / factor, Math.max(...values) * factor];
    const xs = ends(points.map((point) => point.x), 1.6);
    const ys = points.map((point) => point.y);
    const air = (Math.max(...ys) - Math.min(...ys)) * 0.15 || Math.abs(ys[0]) * 0.1 || 1;
    const x = scale(xs, [frame.left, frame.right], true);
    const y = scale([Math.min(...ys) - air, Math.max(...ys) + air], [frame.bottom, frame.top], false);
    const front = pareto(points, upwards);
    this.svg.replaceChildren(
      ...axes(frame, x, y, logTicks(xs[0], xs[1], Math.max(3, width / 110)), linearTicks(Math.min(...ys) - air, Math.max(...ys) + air, 5), sayX, sayY),
      svg("text", { x: (frame.left + frame.right) / 2, y: HEIGHT - 5, class: "axis middle" }, xLabel),
      svg("text", { transform: `translate(13 ${(frame.top + frame.bottom) / 2}) rotate(-90)`, class: "axis middle" }, yLabel),
      svg("polyline", { class: "pareto", points: front.map((point) => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`).join(" ") }),
      ...named(points.map((point) => ({ ...point, cx: x(point.x), cy: y(point.y) })), frame));
  }
}

/** Draw points with their names, moved apart where they would overprint. */
function named(points, frame) {
  const taken = points.map((point) => ({ at: point.cy + 4, from: point.cx - 8, to: point.cx + 8 }));
  return [...points].sort((a, b) => a.cy - b.cy).map((point) => {
    const width = point.name.length * 7;
    const left = point.cx + 10 + width > frame.right;
    const from = left ? point.cx - 10 - width : point.cx + 10;
    let at = point.cy + 4;
    while (taken.some((box) => Math.abs(box.at - at) < NAME && from < box.to && from + width > box.from)) at += NAME;
    taken.push({ at, from, to: from + width });
    return svg("g", { class: `dot ${point.className}`, "data-name": point.name },
      svg("circle", { cx: point.cx, cy: point.cy, r: 6 }, svg("title", {}, point.name)),
      svg("text", { x: left ? point.cx - 10 : point.cx + 10, y: at, class: left ? "end" : "" }, point.name));
  });
}
