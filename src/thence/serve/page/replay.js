/** The replay of a training from its snapshots: one slider controls all views. */

import { get, newest, post } from "./api.js";
import { debounced, el, errorLine, freshId } from "./dom.js";
import { fixed, grouped } from "./format.js";
import { GlidingMap, ReadText, SampleList, UnitMatrix } from "./replay-views.js";
import { keep, value } from "./state.js";
import { fromNats, unitName } from "./units.js";

/** Milliseconds per snapshot while a replay plays. */
const PACE = 450;
const COUNT = 8;

/** A panel with the replay of one of the chosen runs; it is hidden while none has snapshots. */
export class Replay {
  /** @param {(run: string|null, step: number) => void} onStep Called when another snapshot is shown. */
  constructor(onStep) {
    this.onStep = onStep;
    this.run = null;
    this.found = null;
    this.reading = null;
    this.timer = 0;
    this.seed = 1;
    this.error = errorLine();
    this.makeControls();
    this.samples = new SampleList();
    this.text = new ReadText();
    this.map = new GlidingMap();
    this.matrix = new UnitMatrix();
    const boxes = [
      ["Samples of one seed", [el("button", { type: "button", class: "quiet", on: { click: () => { this.seed += 1; this.load(); } } }, "Another seed")], this.samples.element],
      ["A text by surprisal", [], el("div", { class: "stack tight" }, el("div", { class: "field" }, el("label", { for: this.field.id }, "Text to read"), this.field), this.text.element)],
      ["Embeddings", [], this.map.element],
      ["Units", [this.view], this.matrix.element],
    ].map(([title, tools, content]) => el("section", { class: "replay-box", "aria-label": title }, el("header", { class: "panel-head" }, el("h3", {}, title), ...tools), content));
    [, , this.mapBox, this.unitsBox] = boxes;
    this.element = el("article", { class: "panel replay", hidden: true },
      el("header", { class: "panel-head" }, el("h2", {}, "Replay"), this.picker), this.error.element,
      el("div", { class: "replay-bar" }, this.play, this.slider, this.where), el("div", { class: "replay-boxes" }, boxes));
    this.ask = newest((signal, run, seed) => get("/playground/replay", { run, seed, count: COUNT }, signal), (found, run) => this.take(found, run), (problem) => this.fail(problem));
    this.read = newest((signal, run, text, view, matrix) => post("/playground/replay", { run, text, view, matrix }, signal), (found) => { this.reading = found; this.error.show(null); this.listMatrices(); this.draw(); }, (problem) => this.fail(problem));
  }

  makeControls() {
    this.play = el("button", { type: "button", class: "primary play", on: { click: () => this.toggle() } }, "▶ Play");
    this.slider = el("input", { type: "range", id: freshId("step"), min: 0, max: 0, step: 1, value: 0, "aria-label": "Snapshot" });
    this.slider.addEventListener("input", () => { this.stop(); this.draw(); });
    this.slider.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      this.toggle();
    });
    this.where = el("output", { for: this.slider.id, class: "where" });
    this.picker = el("select", { "aria-label": "Run that is replayed" });
    this.picker.addEventListener("change", () => { keep("replay", this.picker.value); this.choose(this.picker.value); });
    this.field = el("input", { type: "text", id: freshId("text"), dir: "auto", maxlength: 400, value: value("text") });
    const later = debounced(250, () => { keep("text", this.field.value); this.readText(); });
    this.field.addEventListener("input", later);
    this.view = el("select", { "aria-label": "Units shown" });
    this.view.addEventListener("change", () => { keep("units", this.view.value); this.wanted = this.view.value; this.readText(); });
  }

  /**
   * Offer the runs that have snapshots.
   * @param {Object[]} runs Of /playground/runs.
   * @param {(run: string) => Object} curves Of a run by its name.
   */
  offer(runs, curves) {
    this.curves = curves;
    const having = runs.filter((run) => run.snapshots > 0 && run.kind === "language model");
    this.element.hidden = having.length === 0;
    if (having.length === 0) { this.stop(); this.run = null; this.onStep(null, 0); return; }
    const names = having.map((run) => run.name);
    if (JSON.stringify(names) !== JSON.stringify([...this.picker.options].map((one) => one.value))) {
      this.picker.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    }
    const wanted = names.includes(value("replay")) ? value("replay") : names[0];
    this.picker.value = wanted;
    const run = having.find((one) => one.name === wanted);
    const signature = `${run.name} ${run.made} ${run.snapshots}`;
    if (signature !== this.signature) {
      this.signature = signature;
      this.choose(wanted);
    }
  }

  choose(name) {
    const other = name !== this.run;
    this.run = name;
    if (other) { this.stop(); this.reading = null; this.found = null; }
    this.load();
  }

  load() {
    this.ask(this.run, this.seed);
  }

  take(found, run) {
    if (run !== this.run) return;
    const atEnd = this.found === null || Number(this.slider.value) === this.found.steps.length - 1;
    const sameSteps = JSON.stringify(this.found?.steps) === JSON.stringify(found.steps);
    this.found = found;
    this.error.show(null);
    this.slider.max = found.steps.length - 1;
    if (atEnd) this.slider.value = found.steps.length - 1;
    this.mapBox.hidden = found.embeddings === null;
    if (found.embeddings !== null) this.map.set(found.embeddings);
    this.unitsBox.hidden = found.views.length === 0;
    if (!sameSteps || this.reading === null) {
      this.reading = null;
      if (this.field.value === "") this.field.value = (found.samples.at(-1).find((text) => text.length > 2) ?? "").split("\n")[0].slice(0, 60);
      this.wanted = value("units", "activations");
      this.readText();
    }
    this.draw();
  }

  readText() {
    if (this.run === null || this.found === null) return;
    const view = this.found.views.find((one) => this.wanted.startsWith(one)) ?? this.found.views[0] ?? null;
    this.asked = view;
    this.read(this.run, this.field.value, view, this.wanted.slice((view ?? "").length + 1) || null);
  }

  /** List what can be shown of the units: the matrices of the view that was read, and the other views. */
  listMatrices() {
    if (this.asked === null) return;
    const names = this.reading.names.map((name) => [`${this.asked} ${name}`, name]);
    const others = this.found.views.filter((view) => view !== this.asked).map((view) => [view, `${view} …`]);
    this.view.replaceChildren(...[...names, ...others].map(([id, name]) => el("option", { value: id }, name)));
    this.view.value = `${this.asked} ${this.reading.matrix}`;
  }

  fail(problem) {
    this.stop();
    this.error.show(problem.message);
  }

  toggle() {
    if (this.timer) { this.stop(); return; }
    if (Number(this.slider.value) >= Number(this.slider.max)) this.slider.value = 0;
    this.play.textContent = "❚❚ Pause";
    this.draw();
    this.timer = setInterval(() => {
      if (Number(this.slider.value) >= Number(this.slider.max)) { this.stop(); return; }
      this.slider.value = Number(this.slider.value) + 1;
      this.draw();
    }, PACE);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "▶ Play";
  }

  /** Show the snapshot at the slider. */
  draw() {
    if (this.found === null) return;
    const place = Number(this.slider.value);
    const step = this.found.steps[place];
    const look = nearestLook(this.curves(this.run), step);
    const said = `step ${grouped(step)} of ${grouped(this.found.steps.at(-1))}${look === null ? "" : `, train ${fixed(fromNats(look.train), 2)} ${unitName()}`}`;
    this.where.textContent = said;
    this.slider.setAttribute("aria-valuetext", said);
    this.samples.show(this.found.samples[place]);
    this.map.show(place);
    if (this.reading !== null && place < this.reading.bits.length) {
      this.text.show(this.reading, place);
      if (this.reading.matrix !== null) this.matrix.show(this.reading.tokens, this.reading.values[place], this.reading.matrix);
    }
    this.onStep(this.run, step);
  }
}

/** Return the point of a training nearest to a step, with a train loss; null if there is none. */
export function nearestLook(curve, step) {
  const known = (curve?.looks ?? []).filter((look) => look.train !== null);
  if (known.length === 0) return null;
  return known.reduce((best, look) => (Math.abs(look.step - step) < Math.abs(best.step - step) ? look : best));
}
