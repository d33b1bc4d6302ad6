/** A comparison of runs: paired differences, score against cost, samples, and disagreements. */

import { get, newest, post } from "./api.js";
import { el, errorLine, freshId } from "./dom.js";
import { brief, duration, fixed, grouped, minus, percent, visible } from "./format.js";
import { differing, saySetting, size, stateTags } from "./runs-grid.js";
import { sampleText } from "./samples.js";
import { Scatter } from "./scatter.js";
import { keep, select } from "./state.js";
import { fromBits, fromNats, unitName, unitPer } from "./units.js";
import { whisker, whiskerScale } from "./whisker.js";

const COSTS = { bytes: "Bytes of the model", parameters: "Parameters", seconds: "Seconds of training" };
const SAYING = { bytes: size, parameters: brief, seconds: duration };
const SAMPLES = 8;
/** Pixels of the drawn differences. */
const WIDE = 260;

/** The comparison of the chosen runs. */
export class ComparisonView {
  /** @param {Object} app @param {() => void} onBack */
  constructor(app, onBack) {
    this.app = app;
    this.error = errorLine();
    this.title = el("h2", { tabindex: -1 });
    this.waiting = el("p", { class: "hint", role: "status" });
    this.about = el("div", { class: "differences" });
    this.remark = el("p", { class: "hint" });
    this.pairs = el("details", { class: "pairs" });
    this.scatter = new Scatter("Score of each run against what it costs");
    this.cost = select("cost", COSTS, "bytes", () => this.drawScatter());
    this.cost.id = freshId("cost");
    this.settings = el("article", { class: "panel settings-apart" });
    this.samples = el("div", { class: "samples" });
    this.seed = 1;
    this.again = el("button", { type: "button", on: { click: () => { this.seed += 1; this.drawSamples(); } } }, "Draw others");
    this.samplesPanel = el("article", { class: "panel" }, el("header", { class: "panel-head" }, el("h2", {}, "Samples of the same seed"), this.again), this.samples);
    this.apart = el("ol", { class: "apart" });
    this.results = el("div", { class: "stack" },
      el("article", { class: "panel" }, this.about, this.remark, this.pairs),
      el("article", { class: "panel" }, el("header", { class: "panel-head" }, el("h2", {}, "Score and cost"),
        el("div", { class: "inline-field" }, el("label", { for: this.cost.id }, "Horizontal axis"), this.cost)), this.scatter.element,
      el("p", { class: "hint" }, "The line joins the runs that no other beats at a lower cost.")),
      this.settings, this.samplesPanel,
      el("article", { class: "panel" }, el("h2", {}, "Where they disagree most"), el("p", { class: "hint" }, "Documents of dev, of each run some that it is best at. The numbers are what a document costs a run: less is better."), this.apart));
    this.element = el("div", { class: "stack", hidden: true },
      el("div", { class: "panel-head" }, this.title, el("button", { type: "button", on: { click: onBack } }, "All runs")), this.error.element, this.waiting, this.results);
    this.ask = newest((signal, names) => Promise.all([post("/playground/compare", { runs: names }, signal), get("/playground/runs", {}, signal)]),
      ([found, table]) => this.draw(found, table.runs), (problem) => this.fail(problem));
  }

  /** Compare runs by their names; null: show nothing. */
  show(names) {
    this.element.hidden = names === null;
    if (names === null) return;
    this.names = names;
    this.title.textContent = `${names.length} runs compared`;
    this.waiting.textContent = "Scoring dev with each of them …";
    this.results.hidden = true;
    this.error.show(null);
    this.title.focus();
    this.ask(names);
  }

  fail(problem) {
    this.waiting.textContent = "";
    this.error.show(problem.message);
  }

  draw(found, runs) {
    this.waiting.textContent = "";
    this.results.hidden = false;
    this.found = found;
    this.entries = this.names.map((name) => runs.find((run) => run.name === name) ?? { name });
    this.drawDifferences();
    this.drawScatter();
    this.drawSettings();
    const isLabels = found.unit === "accuracy";
    this.samplesPanel.hidden = isLabels;
    if (!isLabels) this.drawSamples();
    this.apart.replaceChildren(...found.disagreements.map((document) => this.document(document)));
    if (found.disagreements.length === 0) this.apart.replaceChildren(el("li", {}, "On no document: they say the same."));
  }

  colour(place) {
    return place < 6 ? `line-${place + 1}` : "line-other";
  }

  key(place) {
    return el("span", { class: `key ${this.colour(place)}`, "aria-hidden": "true" });
  }

  /** A score as it is shown. */
  score(number) {
    if (this.found.unit === "accuracy") return percent(number);
    return fixed(this.inUnit(number), 3);
  }

  inUnit(number) {
    return this.found.unit === "nats per token" ? fromNats(number) : fromBits(number);
  }

  drawDifferences() {
    const { runs, unit, text, documents, remark } = this.found;
    const isLabels = unit === "accuracy";
    const title = isLabels ? "Accuracy" : unitPer(unit === "nats per token" ? "token" : "byte");
    const per = (number) => (number === null ? null : isLabels ? 100 * number : this.inUnit(number));
    const differences = runs.map((run) => run.difference?.map(per) ?? [0, null, null]);
    const x = whiskerScale([0, ...differences.flat()], WIDE);
    const say = (number) => (isLabels ? `${minus(number.toFixed(2))} points` : `${number > 0 ? "+" : ""}${minus(fixed(number, 4))}`);
    const row = (run, place) => {
      const [middle, low, high] = differences[place];
      const said = run.difference === null ? "the best" : low === null ? say(middle) : `${say(middle)} (${say(low)} to ${say(high)})`;
      const luck = run.difference === null ? "" : low === null ? "no interval" : low <= 0 && high >= 0 ? "may be luck" : "worse";
      return el("tr", { "data-run": this.names[run.place] }, el("th", { scope: "row" }, this.key(run.place), this.names[run.place], ...stateTags(this.entries[run.place])),
        el("td", { class: "number" }, run.score === null ? "∞" : this.score(run.score)),
        el("td", {}, whisker(x, { value: middle, low, high }, { label: said, zero: true, className: this.colour(run.place), width: WIDE })),
        el("td", { class: "number" }, said), el("td", {}, luck));
    };
    this.about.replaceChildren(el("h2", {}, `On the ${text}, ${grouped(documents)} documents`), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Differences" }, el("table", { class: "table" },
      el("thead", {}, el("tr", {}, ["Run", title, "From the best, 95 % simultaneous", "", ""].map((name, at) => el(name ? "th" : "td", { scope: name ? "col" : null, class: at === 1 ? "number" : null }, name)))),
      el("tbody", {}, runs.map(row)))));
    this.remark.textContent = remark;
    this.drawPairs();
  }

  /** All pairs of three runs or more: the row less the column. */
  drawPairs() {
    const { pairs, runs } = this.found;
    this.pairs.hidden = pairs === null || runs.length < 3;
    if (this.pairs.hidden) return;
    const order = runs.map((run) => run.place);
    const cell = (row, column) => {
      const found = pairs[column][row];
      if (found === null) return el("td", {}, "");
      const [middle, low, high] = found.map((one) => this.inUnit(one));
      const sure = low !== null && (low > 0 || high < 0);
      const margin = low === null ? "" : ` ± ${fixed((high - low) / 2, 3)}`;
      return el("td", { class: `number${sure ? (middle < 0 ? " better" : " worse") : ""}` }, `${middle > 0 ? "+" : ""}${minus(fixed(middle, 3))}${margin}`);
    };
    this.pairs.replaceChildren(el("summary", {}, "Each pair"),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Each pair" }, el("table", { class: "table" },
        el("thead", {}, el("tr", {}, el("td", {}), ...order.map((place) => el("th", { scope: "col", class: "number" }, this.names[place])))),
        el("tbody", {}, order.map((row) => el("tr", {}, el("th", { scope: "row" }, this.key(row), this.names[row]), ...order.map((column) => cell(row, column))))))),
      el("p", { class: "hint" }, "How much more the run of the row needs than that of the column. Green: surely less; red: surely more; the intervals hold for all pairs at once."));
  }

  drawScatter() {
    if (!this.found) return;
    const cost = this.cost.value;
    const isLabels = this.found.unit === "accuracy";
    const points = this.found.runs.map((run) => {
      const entry = this.entries[run.place];
      return { name: entry.name, className: this.colour(run.place), x: entry[cost] ?? null, y: isLabels ? run.score : this.inUnit(run.score) };
    }).filter((point) => point.x > 0 && point.y !== null);
    this.scatter.show({ points, xLabel: COSTS[cost], sayX: SAYING[cost], upwards: isLabels,
      yLabel: isLabels ? "Accuracy on dev" : `${unitPer(this.found.unit === "nats per token" ? "token" : "byte")} on dev`,
      sayY: isLabels ? (y) => `${Number((100 * y).toPrecision(4))} %` : undefined });
  }

  /** The settings in which the runs differ, a row for each. */
  drawSettings() {
    const names = ["model", ...differing(this.entries)];
    const order = this.found.runs.map((run) => run.place);
    this.settings.replaceChildren(el("h2", {}, "Settings that differ"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Settings that differ" }, el("table", { class: "table" },
      el("thead", {}, el("tr", {}, el("td", {}), ...order.map((place) => el("th", { scope: "col" }, this.names[place])))),
      el("tbody", {}, names.map((name) => el("tr", {}, el("th", { scope: "row" }, name), ...order.map((place) => el("td", {}, saySetting(this.entries[place], name)))))))));
  }

  async drawSamples() {
    const { names, seed } = this;
    const found = await Promise.all(names.map(async (name, place) => {
      let content;
      try {
        const { texts, copies } = await get("/playground/samples", { run: name, seed, count: SAMPLES });
        content = el("div", {}, el("ul", {}, texts.map((text) => el("li", { dir: "auto" }, sampleText(text)))),
          copies ? el("p", { class: "hint" }, `${copies} of these ${texts.length} ${copies === 1 ? "is a copy" : "are copies"} of train.`) : null);
      } catch (error) {
        content = el("p", { class: "hint" }, error.message);
      }
      return el("section", { "aria-label": `Samples of ${name}` }, el("h3", {}, this.key(place), name), content);
    }));
    if (seed === this.seed && names === this.names) this.samples.replaceChildren(...found);
  }

  /** A document that the runs disagree on, with what it costs each of them. */
  document({ text, bits, labels, predicted }) {
    const most = Math.max(...bits.map((one) => one ?? 0));
    const least = Math.min(...bits.map((one) => one ?? Infinity));
    const rows = bits.map((cost, place) => el("li", { class: `${this.colour(place)}${cost === least ? " least" : ""}` },
      el("span", { class: "name" }, this.names[place]),
      el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill", vars: { "--share": `${(100 * (cost ?? most)) / (most || 1)}%` } })),
      el("span", { class: "number" }, `${cost === null ? "impossible" : `${fixed(fromBits(cost), 1)} ${unitName()}`}${predicted ? ` · ${predicted[place].join(", ") || "none"}` : ""}`)));
    const served = this.entries.filter((entry) => entry.served).map((entry) => entry.name);
    const open = el("button", { type: "button", class: "quiet", disabled: served.length === 0, title: served.length === 0 ? "None of these runs is served; start thence serve with them." : null,
      on: { click: () => this.look(text, served) } }, "Look");
    return el("li", {}, el("p", { class: "document", dir: "auto" }, text === "" ? "(empty)" : text.length > 400 ? `${text.slice(0, 400)} …` : text),
      labels ? el("p", { class: "hint" }, `It is ${labels.map(visible).join(", ") || "without a label"}.`) : null, el("ul", { class: "costs" }, rows), open);
  }

  look(text, served) {
    keep("m", served);
    keep("text", text);
    this.app.go("look");
  }
}
