/** The embeddings tab: the embeddings of tokens in two dimensions. */

import { newest, get } from "./api.js";
import { debounced, el, errorLine, freshId, labelled, svg } from "./dom.js";
import { keep, select, value } from "./state.js";
import { grouped, tokenText } from "./format.js";

const AIR = 40;
const SIZE = 13;
const COUNTS = [100, 200, 400, 1000, 2000];
const CLOSEST = 60;

/** Fill the tab. */
export function embeddingsTab(panel, app) {
  const first = app.models.find((one) => one.family !== "ngram" && one.family !== "mixture") ?? app.models[0];
  const model = select("embedding", app.models.map((one) => one.id), first.id, () => load());
  const count = select("points", Object.fromEntries(COUNTS.map((one) => [one, grouped(one)])), "200", () => load());
  const search = el("input", { type: "search", id: freshId("search"), placeholder: "A token, or part of one", autocomplete: "off", spellcheck: "false" });
  search.value = value("find", "");
  const error = errorLine();
  const note = el("p", { class: "hint", role: "status", "aria-live": "polite" });
  const about = el("p", { class: "hint" });
  const map = new PointMap();
  const button = (label, name, action) => el("button", { type: "button", "aria-label": name, title: name, on: { click: action } }, label);
  const zoom = el("div", { class: "buttons zoom" }, button("+", "Zoom in", () => map.zoom(1.4)),
    button("−", "Zoom out", () => map.zoom(1 / 1.4)), button("Reset", "Show everything", () => map.reset()));

  panel.append(el("div", { class: "row" }, labelled("Model", model), labelled("Tokens", count),
    el("div", { class: "field wide" }, el("label", { for: search.id }, "Find"), search), zoom),
  error.element, el("div", { class: "panel" }, map.element, note, about));

  const load = newest(
    (signal) => {
      note.textContent = "Loading the map …";
      return get("/playground/embedding", { model: model.value, limit: count.value }, signal);
    },
    (found) => {
      error.show(null);
      map.show(found.points);
      about.textContent = `${grouped(found.points.length)} of ${grouped(found.vocabulary)} tokens; embeddings of `
        + `${found.dimensions} numbers${found.shares === null ? "" : `, on their first two principal components (${
          found.shares.slice(0, 2).map((share) => `${Math.round(share * 100)} %`).join(" and ")} of the variance)`}. `
        + "Drag to move, wheel or + and − to zoom, arrow keys too.";
      find();
    },
    (failed) => {
      error.show(failed.message);
      map.show([]);
      note.textContent = about.textContent = "";
    },
  );
  function find() {
    const wanted = search.value.trim();
    const hits = map.highlight(wanted);
    note.textContent = wanted === "" ? "" : hits === 0 ? `No token here contains “${wanted}”.` : `${hits} found.`;
  }
  const soon = debounced(120, find);
  search.addEventListener("input", () => {
    keep("find", search.value);
    soon();
  });
  return { show: () => map.points.length === 0 && load() };
}

/** A scatter plot of labelled points; labels are drawn where they do not overlap. */
class PointMap {
  constructor() {
    this.svg = svg("svg", { class: "map", tabindex: 0, role: "application",
      "aria-label": "Map of the embeddings: arrow keys move, plus and minus zoom, 0 shows everything" });
    this.readout = el("p", { class: "readout" });
    this.element = el("div", {}, this.svg, this.readout);
    this.points = [];
    this.found = new Set();
    this.under = null;
    this.width = this.height = 0;
    this.reset();
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, this.place(event));
    }, { passive: false });
    this.svg.addEventListener("pointerdown", (event) => {
      this.drag = this.place(event);
      this.svg.setPointerCapture(event.pointerId);
    });
    for (const end of ["pointerup", "pointercancel"]) this.svg.addEventListener(end, () => { this.drag = null; });
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(this.element);
  }

  show(points) {
    this.points = points;
    this.found = new Set();
    this.fit();
    this.reset();
  }

  /** Take the width that there is. */
  resize() {
    const width = this.element.clientWidth;
    if (width === 0 || width === this.width) return;
    this.width = width;
    this.height = Math.round(Math.min(Math.max(width * 0.6, 380), 640));
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("height", this.height);
    this.fit();
    this.reset();
  }

  /** Scale the points to the plot; each axis has its own scale. */
  fit() {
    const place = (axis, from, to) => {
      const values = this.points.map((point) => point[axis]);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return values.map((value) => (high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from)));
    };
    const lefts = place("x", AIR, this.width - 2 * AIR); // On the right there is a name.
    const tops = place("y", this.height - AIR, AIR);
    this.base = lefts.map((left, index) => [left, tops[index]]);
  }

  /** Mark the tokens that contain something, and show where they are; return how many there are. */
  highlight(wanted) {
    const lower = wanted.toLowerCase();
    const hits = this.points.map((point, place) => [tokenText(point).toLowerCase(), place]).filter(([text]) => lower !== "" && text.includes(lower));
    const exact = hits.filter(([text]) => text.replace("␣", "") === lower);
    this.found = new Set([...exact, ...hits].slice(0, CLOSEST).map(([, place]) => place));
    this.later();
    return hits.length;
  }

  reset() {
    this.view = { scale: 1, x: 0, y: 0 };
    this.later();
  }

  zoom(factor, at = [this.width / 2, this.height / 2]) {
    const scale = Math.min(Math.max(this.view.scale * factor, 0.5), 60);
    const ratio = scale / this.view.scale;
    this.view = { scale, x: at[0] - (at[0] - this.view.x) * ratio, y: at[1] - (at[1] - this.view.y) * ratio };
    this.later();
  }

  pan(x, y) {
    this.view = { ...this.view, x: this.view.x + x, y: this.view.y + y };
    this.later();
  }

  place(event) {
    const box = this.svg.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  move(event) {
    const at = this.place(event);
    if (this.drag) {
      this.pan(at[0] - this.drag[0], at[1] - this.drag[1]);
      this.drag = at;
      return;
    }
    let best = null;
    let nearest = 20;
    this.screen().forEach(([x, y], place) => {
      const distance = Math.hypot(x - at[0], y - at[1]);
      if (distance < nearest) [best, nearest] = [place, distance];
    });
    this.point(best);
  }

  key(event) {
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.key in moves) this.pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.4);
    else if (event.key === "-") this.zoom(1 / 1.4);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }

  point(place) {
    if (place === this.under) return;
    this.under = place;
    const point = this.points[place];
    this.readout.textContent = point ? `${tokenText(point)}   (${point.x.toFixed(3)}, ${point.y.toFixed(3)})` : "";
    this.later();
  }

  screen() {
    const { scale, x, y } = this.view;
    return (this.base ?? []).map(([left, top]) => [left * scale + x, top * scale + y]);
  }

  /** Draw before the next frame, once. */
  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    if (this.width === 0) return;
    const inside = ([x, y]) => x > -5 && x < this.width + 5 && y > -5 && y < this.height + 5;
    const screen = this.screen();
    const visible = screen.map((_, place) => place).filter((place) => inside(screen[place]));
    const first = (place) => (place === this.under ? 0 : this.found.has(place) ? 1 : 2);
    const order = [...visible].sort((a, b) => first(a) - first(b) || a - b);
    const taken = [];
    const labels = [];
    for (const place of order) {
      const [x, y] = screen[place];
      const text = tokenText(this.points[place]);
      const left = x + (first(place) < 2 ? 9 : 6);
      const box = [left, y - SIZE * 0.6, left + text.length * SIZE * 0.62 + 4, y + SIZE * 0.6];
      if (first(place) > 0 && taken.some((one) => box[0] < one[2] && box[2] > one[0] && box[1] < one[3] && box[3] > one[1])) continue;
      taken.push(box);
      labels.push(svg("text", { x: left, y: y + SIZE * 0.35, class: ["under", "found", null][first(place)] }, text));
    }
    this.svg.replaceChildren(
      ...visible.map((place) => svg("circle", { cx: screen[place][0], cy: screen[place][1], r: first(place) < 2 ? 5.5 : 3,
        class: ["under", "found", null][first(place)], "data-token": this.points[place].text })),
      ...labels.reverse());
    this.svg.classList.toggle("searching", this.found.size > 0);
  }
}
