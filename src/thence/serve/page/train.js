/** The place Train: learning curves as they grow, and the replay of trainings that kept snapshots. */

import { get, Problem } from "./api.js";
import { CurvePanel, XS } from "./curve-panel.js";
import { el, errorLine, freshId, labelled } from "./dom.js";
import { keep, select, several, value } from "./state.js";
import { fixed } from "./format.js";
import { groupTitle, RunPicker } from "./run-picker.js";
import { nearestLook, Replay } from "./replay.js";
import { SamplesSoFar } from "./samples.js";
import { unitChoice, unitName } from "./units.js";

/** Milliseconds between two requests while a training runs, and while none does. */
const LIVE = 2000;
const IDLE = 8000;
const SMOOTHEST = 0.98;

/** Fill the place. */
export function trainPlace(panel, app) {
  const error = errorLine();
  const picker = new RunPicker((names) => { chosen = names; keep("r", names); refresh(); });
  const axis = select("x", { step: "steps", seconds: "time", tokens: "tokens", epoch: "epochs" }, "step", draw);
  const scaleX = select("scale", { linear: "linear", log: "logarithmic" }, "linear", draw);
  const scaleY = select("scaleY", { linear: "linear", log: "logarithmic" }, "linear", draw);
  const measure = select("y", { loss: "loss", accuracy: "accuracy" }, "loss", draw);
  const smoothing = slider();
  const measureField = labelled("Vertical axis", measure);
  const settings = el("details", { class: "settings" }, el("summary", {}, "Axes and smoothing"),
    el("div", { class: "row" }, labelled("Horizontal axis", axis), labelled("Horizontal scale", scaleX), measureField, labelled("Vertical scale", scaleY), unitChoice(changeUnit), smoothing.element));
  const board = el("div", { class: "stack" });
  const samples = new SamplesSoFar();
  const replay = new Replay(markStep);
  let runs = [];
  let chosen = several("r");
  let panels = new Map();
  const known = new Map();
  let timer = 0;
  let shown = false;
  let marked = [null, 0];

  panel.append(picker.element, settings, error.element, board, samples.element, replay.element);

  function slider() {
    const control = el("input", { type: "range", id: freshId("smoothing"), min: 0, max: SMOOTHEST, step: 0.02, value: value("smooth", "0") });
    const output = el("output", { for: control.id });
    const say = () => { output.textContent = Number(control.value) === 0 ? "none" : fixed(Number(control.value)); };
    control.addEventListener("input", () => { say(); keep("smooth", control.value); draw(); });
    say();
    return { element: el("div", { class: "field slider" }, output, el("label", { for: control.id }, "Smoothing of train"), control), value: () => Number(control.value) };
  }

  async function refresh() {
    clearTimeout(timer);
    try {
      runs = (await get("/playground/runs")).runs;
      chosen = chosen === null ? firstChoice(runs) : chosen.filter((name) => runs.some((run) => run.name === name));
      picker.show(runs, chosen);
      const problems = await Promise.all(chosen.map(load));
      error.show(problems.filter(Boolean).join(" ") || null);
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      error.show(failed.message);
    }
    draw();
    samples.follow(chosenRuns());
    replay.offer(chosenRuns(), (name) => known.get(name));
    clearTimeout(timer);
    if (shown) timer = setTimeout(poll, chosenRuns().some((run) => run.state === "training") ? LIVE : IDLE);
  }

  function poll() {
    if (document.visibilityState === "visible") refresh();
    else timer = setTimeout(poll, LIVE);
  }

  function chosenRuns() {
    return (chosen ?? []).map((name) => runs.find((run) => run.name === name)).filter(Boolean);
  }

  /** Load the curves of a run; return why they cannot be, or null. */
  async function load(name) {
    const entry = runs.find((run) => run.name === name);
    const before = known.get(name);
    const same = before?.made === entry.made && before?.state === entry.state;
    if (same && entry.state !== "training") return null;
    try {
      const curve = { ...await get("/playground/curves", { run: name }), made: entry.made, state: entry.state };
      known.set(name, curve);
      if (entry.state === "finished") judge(curve);
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      if (entry.state !== "deleted") return failed.message;
      known.set(name, { ...before, run: name, unit: before?.unit ?? "token", looks: before?.looks ?? [], state: "deleted", made: entry.made });
    }
    return null;
  }

  /** Request the verdict of a training, and show it. */
  async function judge(curve) {
    curve.unit_of_verdict = unitName();
    try {
      curve.verdict = (await get("/playground/verdict", { run: curve.run, unit: unitName() })).words;
      draw();
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed; // Its text is gone: nothing is said.
    }
  }

  /** Redraw in another unit, with verdicts in it. */
  function changeUnit() {
    draw();
    for (const curve of known.values()) if (curve.verdict && curve.unit_of_verdict !== unitName()) judge(curve);
  }

  /** Mark where a replay is on the curves of its run; no run: nowhere. */
  function markStep(name, step) {
    const run = runs.find((one) => one.name === name);
    for (const [key, one] of panels) {
      const look = run && (run.group || run.name) === key ? nearestLook(known.get(name), step) : null;
      one.mark(look === null ? null : axis.value === "step" ? step : look[axis.value]);
    }
    marked = [name, step];
  }

  /** Draw a panel for each group of runs that may be compared; never two groups on one axis. */
  function draw() {
    const groups = new Map();
    for (const run of chosenRuns()) {
      if (!known.has(run.name)) continue;
      const key = run.group || run.name;
      groups.set(key, [...(groups.get(key) ?? []), run]);
    }
    const how = { x: axis.value, logX: scaleX.value === "log", logY: scaleY.value === "log", smoothing: smoothing.value(), measure: measure.value };
    const before = panels;
    panels = new Map([...groups].map(([key, members]) => {
      const curves = members.map((run) => known.get(run.name));
      const one = before.get(key) ?? new CurvePanel(groupTitle(members[0]), curves[0].unit);
      return [key, one];
    }));
    const elements = [...panels.values()].map((one) => one.element);
    if (elements.length !== board.children.length || elements.some((one, place) => board.children[place] !== one)) board.replaceChildren(...elements);
    if (elements.length === 0) board.replaceChildren(el("p", { class: "empty" }, runs.length > 0 ? "Choose runs above." : ""));
    for (const [key, members] of groups) {
      panels.get(key).show(members.map((run) => known.get(run.name)), how);
      panels.get(key).ask(members[0].name);
    }
    markStep(...marked);
    measureField.hidden = !chosenRuns().some((run) => run.kind === "classifier");
  }

  return {
    show() { shown = true; refresh(); },
    hide() { shown = false; clearTimeout(timer); replay.stop(); samples.follow([]); },
  };
}

/** Runs in training, or else the newest ones of the group of the newest run that was trained in steps. */
function firstChoice(runs) {
  const trained = runs.filter((run) => (run.steps ?? 0) > 0 || run.state === "training");
  const live = trained.filter((run) => run.state === "training");
  const newest = [...trained].sort((a, b) => (b.made ?? "").localeCompare(a.made ?? ""));
  const fitting = live.length > 0 ? live : newest.filter((run) => run.group === newest[0].group);
  return fitting.slice(0, 3).map((run) => run.name);
}
