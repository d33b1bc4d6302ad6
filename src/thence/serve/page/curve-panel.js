/** The curves of runs that may be compared: the loss, and beneath it gradient norm and learning rate. */

import { get, Problem } from "./api.js";
import { short } from "./axes.js";
import { Chart } from "./chart.js";
import { el } from "./dom.js";
import { duration, fixed, grouped, percent } from "./format.js";
import { smoothed } from "./smoothing.js";
import { fromNats, unitName, unitPer } from "./units.js";

/** Number of runs with colours of their own; further ones are grey. */
const COLOURS = 6;
const STRIP = 112;
export const XS = { step: "training steps", seconds: "seconds of training", tokens: "tokens read", epoch: "epochs" };

/** Return the text for a position on the horizontal axis. */
function sayPlace(axis) {
  if (axis === "seconds") return duration;
  return (place) => (axis === "epoch" ? `epoch ${fixed(place)}` : axis === "step" ? `step ${grouped(place)}` : `${grouped(place)} tokens`);
}

/** Curves on one axis. */
export class CurvePanel {
  constructor(title, unit) {
    this.unit = unit;
    const settings = { onMark: (x) => this.markAll(x), onZoom: (window) => this.zoomAll(window) };
    this.loss = new Chart(`Loss during training: ${title}`, settings);
    this.norm = new Chart(`Gradient norm during training: ${title}`, { ...settings, height: STRIP });
    this.rate = new Chart(`Learning rate during training: ${title}`, { ...settings, height: STRIP });
    this.charts = [this.loss, this.norm, this.rate];
    this.legend = el("ul", { class: "line-legend" });
    this.whole = el("button", { type: "button", class: "quiet", hidden: true, on: { click: () => this.loss.zoom(null) } }, "Show all");
    const zoom = (name, label, factor) => el("button", { type: "button", class: "quiet", "aria-label": label, on: { click: () => this.loss.zoomAround(this.loss.at ?? this.loss.visiblePlaces().at(-1), factor) } }, name);
    this.zooming = el("span", { class: "zoom" }, zoom("+", "Zoom in", 0.5), zoom("−", "Zoom out", 2));
    this.words = el("div", { class: "run-words" });
    this.strips = [[this.norm, "Gradient norm"], [this.rate, "Learning rate"]].map(([chart, name]) => el("div", { class: "strip-box" }, el("h3", {}, name), chart.element));
    this.element = el("article", { class: "panel curves" },
      el("header", { class: "panel-head" }, el("h2", {}, title), el("span", {}, this.whole, this.zooming)), this.legend, this.loss.element,
      el("div", { class: "strips" }, this.strips), this.words);
    this.baselines = null;
    this.marking = false;
  }

  markAll(x) {
    if (this.marking) return;
    for (const chart of this.charts) if (chart.at !== x && chart.data && (x === null || chart.places.includes(x))) chart.mark(x, true);
  }

  /** Mark a place on all charts, as a replay does; null: none. */
  mark(x) {
    for (const chart of this.charts) chart.setMarker(x);
  }

  zoomAll(window) {
    this.whole.hidden = window === null;
    for (const chart of this.charts) {
      chart.window = window;
      chart.redraw();
    }
  }

  /** Request the baselines of the curves, once. */
  async ask(run) {
    if (this.baselines !== null) return;
    this.baselines = [];
    try {
      const found = await get("/playground/baselines", { run });
      const names = this.unit === "token" ? { uniform: "uniform", unigram: "unigram", pairs: "bigram" } : { uniform: "uniform", unigram: "label frequencies" };
      this.baselines = Object.entries(names).map(([key, name]) => ({ name, nats: found[key] })).filter(({ nats }) => nats !== null);
      this.accuracy = found.accuracy === null ? [] : [{ name: "most frequent label", y: found.accuracy }];
      this.redraw?.();
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // Its text is gone: no lines to beat.
    }
  }

  /**
   * @param {Object[]} curves Of /playground/curves.
   * @param {{x: string, logX: boolean, logY: boolean, smoothing: number, measure: string}} how
   */
  show(curves, how) {
    this.redraw = () => this.show(curves, how);
    const say = sayPlace(how.x);
    const accuracy = how.measure === "accuracy" && this.unit === "document";
    const value = (look, key) => fromNats(look[key]);
    const points = (curve, y) => curve.looks.map((look) => ({ x: look[how.x], y: y(look) }));
    const colour = (place) => (place < COLOURS ? `line-${place + 1}` : "line-other");
    const lines = curves.flatMap((curve, place) => {
      if (accuracy) return [{ name: curve.run, className: colour(place), dots: true, points: points(curve, (look) => look.accuracy) }];
      const train = points(curve, (look) => value(look, "train"));
      const faint = how.smoothing > 0 ? [{ name: `${curve.run}, train as it is`, className: `${colour(place)} raw`, points: train, silent: true }] : [];
      return [...faint, { name: `${curve.run}, train`, className: `${colour(place)} train`, points: smoothed(train, how.smoothing) },
        { name: `${curve.run}, dev`, className: colour(place), dots: true, points: points(curve, (look) => value(look, "dev")) }];
    });
    const common = { xLabel: XS[how.x], logX: how.logX, sayX: say };
    const yLabel = accuracy ? "Accuracy on dev" : unitPer(this.unit);
    this.loss.show({ ...common, lines, yLabel, logY: how.logY && !accuracy, baselines: accuracy ? this.accuracy ?? [] : (this.baselines ?? []).map(({ name, nats }) => ({ name, y: fromNats(nats) })),
      sayY: accuracy ? percent : (y) => `${fixed(y, 3)} ${unitName()}`, tickY: accuracy ? (tick) => `${Number((100 * tick).toPrecision(4))} %` : undefined });
    const strip = (key, smoothing) => curves.map((curve, place) => ({ name: curve.run, className: colour(place), points: smoothed(points(curve, (look) => look[key] ?? null), smoothing) }));
    this.norm.show({ ...common, xLabel: "", yLabel: "", logY: true, lines: strip("gradient_norm", how.smoothing), sayY: (y) => short(Number(y.toPrecision(3))) });
    this.rate.show({ ...common, xLabel: "", yLabel: "", logY: false, lines: strip("learning_rate", 0), sayY: (y) => short(Number(y.toPrecision(3))) });
    this.strips[0].hidden = this.norm.places.length === 0;
    this.strips[1].hidden = this.rate.places.length === 0;
    this.legend.replaceChildren(...curves.map((curve, place) => el("li", {},
      el("span", { class: `key ${colour(place)}`, "aria-hidden": "true" }), el("strong", {}, curve.run), ` ${newest(curve, accuracy)}`)),
    accuracy ? "" : el("li", { class: "how" }, "solid: dev; thin: train"));
    this.words.replaceChildren(...curves.flatMap(inWords));
  }
}

/** Return the newest values of a run. */
function newest(curve, accuracy) {
  const last = (key) => curve.looks.findLast((look) => look[key] !== null && look[key] !== undefined)?.[key] ?? null;
  if (accuracy) return last("accuracy") === null ? "" : `dev ${percent(last("accuracy"))}`;
  return ["dev", "train"].filter((key) => last(key) !== null).map((key) => `${key} ${fixed(fromNats(last(key)), 3)}`).join(" · ");
}

/** The text about a run below its curves: its verdict, or its progress. */
function inWords(curve) {
  const step = curve.looks.at(-1)?.step ?? 0;
  const of = curve.total_steps ? ` of ${grouped(curve.total_steps)}` : "";
  const lines = [];
  if (curve.state === "training") {
    const left = curve.seconds_left === null ? "" : `, ${duration(curve.seconds_left)} left`;
    lines.push(el("p", { class: "progress-line" }, el("span", { class: "tag live" }, "in training"), ` ${curve.run}: step ${grouped(step)}${of}${left}`,
      curve.total_steps ? el("progress", { max: curve.total_steps, value: step, "aria-label": `Progress of ${curve.run}` }) : null));
  }
  if (curve.state === "stopped") lines.push(el("p", {}, el("span", { class: "tag" }, "stopped"), ` ${curve.run} ended at step ${grouped(step)}${of}, before its training was done; thence resume goes on with it.`));
  if (curve.state === "deleted") lines.push(el("p", {}, el("span", { class: "tag bad" }, "deleted"), ` ${curve.run} is no longer on the disk.`));
  if (curve.verdict) lines.push(el("p", {}, el("strong", {}, curve.run), `: ${curve.verdict}`));
  return lines;
}
