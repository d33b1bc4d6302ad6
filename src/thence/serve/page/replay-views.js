/** The views of a replay: samples, a coloured text, embeddings, and activations of units. */

import { el, svg } from "./dom.js";
import { END, fixed, percent, readable, visible } from "./format.js";
import { sampleText } from "./samples.js";
import { shade } from "./shades.js";
import { fromBits, unitName } from "./units.js";

/** Samples of one seed at a snapshot. */
export class SampleList {
  constructor() {
    this.element = el("ul", { class: "replay-samples" });
  }

  show(texts) {
    this.element.replaceChildren(...texts.map((text) => el("li", { dir: "auto" }, sampleText(text))));
  }
}

/** A text coloured by a snapshot, its loss, and the next token. */
export class ReadText {
  constructor() {
    this.tokens = el("p", { class: "replay-tokens", dir: "auto", role: "img" });
    this.words = el("p", { class: "hint" });
    this.element = el("div", {}, this.tokens, this.words);
  }

  /** @param {Object} reading Of /playground/replay. @param {number} place Of the snapshot. */
  show(reading, place) {
    const bits = reading.bits[place];
    const end = reading.end[place];
    const spans = reading.tokens.flatMap((token, at) => [token.before, el("span", { class: `token ${shade(bits[at])}`, title: cost(bits[at]) }, token.is_boundary ? `${END}\n` : token.text === " " ? "␣" : token.text)]);
    const whole = [...bits, end].reduce((sum, one) => (sum === null || one === null ? null : sum + one), 0);
    this.tokens.replaceChildren(...spans, el("span", { class: `token special ${shade(end)}`, title: cost(end) }, END));
    this.tokens.setAttribute("aria-label", `The text by surprisal: ${reading.tokens.map((token, at) => `${visible(token.text)} ${cost(bits[at], 1)}`).join(", ")}, end ${cost(end, 1)}`);
    const next = reading.next[place];
    this.words.textContent = `${cost(whole, 1)} with the end.${next ? ` Likeliest next: ${next.text === "<boundary>" ? "the end" : `“${readable(next.text)}”`}, ${percent(next.probability)}.` : ""}`;
  }
}

/** Return a surprisal with its unit. */
function cost(bits, digits = 2) {
  return `${fixed(fromBits(bits), digits)} ${unitName()}`;
}

const MAP = { width: 420, height: 300, pad: 22, letter: 4, most: 90 };

/** Embeddings that glide along fixed axes. */
export class GlidingMap {
  constructor() {
    this.svg = svg("svg", { class: "map gliding", viewBox: `0 0 ${MAP.width} ${MAP.height}`, role: "img" });
    this.note = el("p", { class: "hint" });
    this.element = el("div", {}, this.svg, this.note);
    this.found = null;
  }

  /** Set the embeddings of all snapshots. */
  set(found) {
    this.found = found;
    const all = found.points.flat();
    const ends = [0, 1].map((axis) => [Math.min(...all.map((point) => point[axis])), Math.max(...all.map((point) => point[axis]))]);
    const size = [MAP.width, MAP.height];
    const longest = Math.max(...found.tokens.map((text) => text.length));
    const pads = [Math.min(MAP.pad + MAP.letter * (longest - 1), MAP.most), MAP.pad];
    this.place = (point) => point.map((value, axis) => {
      const [low, high] = ends[axis];
      return pads[axis] + ((value - low) / (high - low || 1)) * (size[axis] - 2 * pads[axis]);
    });
    this.points = found.tokens.map((text) => svg("text", { class: "glider", "data-token": text }, text === "<boundary>" ? END : readable(text)));
    this.svg.replaceChildren(...this.points);
    this.svg.setAttribute("aria-label", `Embeddings of ${found.tokens.length} tokens in two dimensions`);
    const [first, second] = found.shares.map((share) => percent(share));
    this.note.textContent = `The ${found.tokens.length} most frequent tokens, along the two axes on which the last snapshot varies most (${first} and ${second ?? "0 %"} of it).`;
  }

  show(place) {
    if (this.found === null) return;
    this.found.points[place].forEach((point, token) => {
      const [x, y] = this.place(point);
      this.points[token].style.setProperty("--x", `${x.toFixed(1)}px`);
      this.points[token].style.setProperty("--y", `${y.toFixed(1)}px`);
    });
  }
}

const ROW = 5;
const LABELS = 20;
/** Pixels of a letter above the columns. */
const LETTER = 8;

/** A matrix of units and tokens: blue below zero, orange above. */
export class UnitMatrix {
  constructor() {
    this.canvas = el("canvas", { class: "units", role: "img", tabindex: 0 });
    this.readout = el("p", { class: "hint", role: "status" });
    this.element = el("div", {}, this.canvas, this.readout);
    this.data = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.say(null));
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  /** @param {{text: string, is_boundary: boolean}[]} tokens @param {number[][]} values Of each token, each unit. */
  show(tokens, values, name) {
    this.data = { tokens, values };
    this.canvas.setAttribute("aria-label", `${name}: ${values[0]?.length ?? 0} units over ${values.length} tokens`);
    this.redraw();
    this.say(this.at ?? null);
  }

  redraw() {
    if (this.data === null) return;
    const { tokens, values } = this.data;
    const units = values[0]?.length ?? 0;
    const width = this.element.clientWidth || 300;
    const height = Math.max(units * ROW, 40) + LABELS;
    const density = window.devicePixelRatio || 1;
    this.canvas.width = width * density;
    this.canvas.height = height * density;
    this.canvas.style.setProperty("--height", `${height}px`);
    const style = getComputedStyle(this.canvas);
    const [below, above, ink] = ["--for", "--against", "--ink"].map((name) => style.getPropertyValue(name));
    const pen = this.canvas.getContext("2d");
    pen.scale(density, density);
    const longest = Math.max(0, ...tokens.map((token) => token.text.length));
    this.cell = Math.min(width / Math.max(values.length, 1), Math.max(34, longest * LETTER + 6));
    pen.font = `13px ${style.getPropertyValue("--mono")}`;
    pen.textAlign = "center";
    values.forEach((column, token) => {
      column.forEach((value, unit) => {
        pen.globalAlpha = Math.min(Math.abs(value), 1);
        pen.fillStyle = value < 0 ? below : above;
        pen.fillRect(token * this.cell, LABELS + unit * ROW, this.cell - 1, ROW - 1);
      });
      pen.globalAlpha = 1;
      pen.fillStyle = ink;
      if (this.cell >= 9) pen.fillText(tokens[token].is_boundary ? END : visible(tokens[token].text).slice(0, Math.max(1, Math.floor(this.cell / LETTER))), (token + 0.5) * this.cell, 14);
    });
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    this.say([Math.floor((event.clientX - box.left) / this.cell), Math.floor((event.clientY - box.top - LABELS) / ROW)]);
  }

  say(at) {
    this.at = at;
    const value = at === null ? undefined : this.data.values[at[0]]?.[at[1]];
    this.readout.textContent = value === undefined ? "A row for each unit, a column for each token." : `Unit ${at[1] + 1} after “${visible(this.data.tokens[at[0]].text)}”: ${value.toFixed(2)}`;
  }
}
