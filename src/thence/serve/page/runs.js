/** The place Runs: all runs, grouped by what may be compared, and comparisons of those that are chosen. */

import { get, Problem } from "./api.js";
import { ComparisonView } from "./comparison.js";
import { el, errorLine, freshId } from "./dom.js";
import { enter, keep, several, value } from "./state.js";
import { grouped as grouping } from "./format.js";
import { grouped } from "./run-picker.js";
import { byScore, runsGrid, unreadable } from "./runs-grid.js";

const EVERY = 4000;
/** Number of rows of a group before "show all" is pressed. */
const MOST_ROWS = 60;
/** Intervals are computed unasked for at most this many models, of at most this many bytes. */
const MOST_JUDGED = 30;
const LARGEST_JUDGED = 24e6;
/** And for at most this many of the best runs of each group. */
const MOST_OF_GROUP = 12;

/** Fill the place. */
export function runsPlace(panel, app) {
  const error = errorLine();
  const groups = el("div", { class: "stack" });
  const note = el("p", { class: "hint" });
  const filter = el("input", { type: "search", id: freshId("filter"), placeholder: "Part of a name, text, model or state", value: value("find") });
  filter.addEventListener("input", () => { keep("find", filter.value); draw(); });
  const bar = el("div", { class: "chosen-bar", hidden: true });
  const overview = el("div", { class: "stack" },
    el("div", { class: "field find" }, el("label", { for: filter.id }, "Find runs"), filter), error.element, groups, note, bar);
  const comparison = new ComparisonView(app, () => { enter("compare", ""); show(); });
  let chosen = several("r") ?? [];
  let [key, direction] = value("sort", "score").split(".");
  let runs = [];
  const intervals = new Map();
  const opened = new Set();
  let automatic = null; // Names of the runs whose intervals are worked out without being asked for.
  let judging = false;
  let timer = 0;
  let shown = false;
  let drawn = "";
  panel.append(overview, comparison.element);

  const actions = {
    isChosen: (name) => chosen.includes(name),
    choose(name, is) {
      chosen = is ? [...chosen, name] : chosen.filter((one) => one !== name);
      keep("r", chosen);
      drawBar();
    },
    curves(names) { keep("r", names); app.go("train"); },
    look(name) { keep("m", [name]); app.go("look"); },
    mayJudge: (run) => automatic !== null && !automatic.has(run.name) && run.bytes !== null && run.state !== "deleted",
    judge: (run) => work(run),
    sort(column, way) {
      [key, direction] = [column, way];
      keep("sort", `${key}.${direction}`);
      draw();
      groups.querySelector(`button[data-key="${key}"]`)?.focus();
    },
  };

  function fits(run) {
    const wanted = filter.value.toLowerCase();
    return [run.name, run.text, run.family, run.state, run.tokens].some((part) => part?.toLowerCase().includes(wanted));
  }

  function draw() {
    const listed = runs.filter(fits);
    const signature = JSON.stringify([listed, [...opened], [...automatic ?? []], [...intervals], key, direction, listed.map((run) => chosen.includes(run.name))]);
    if (signature === drawn) return;
    drawn = signature;
    const focused = document.activeElement?.getAttribute("aria-label");
    const readable = grouped(listed.filter((run) => run.kind !== null)).sort((a, b) => b.runs.length - a.runs.length);
    const others = listed.filter((run) => run.kind === null);
    groups.replaceChildren(...readable.map((group) => el("article", { class: "panel" },
      el("h2", {}, group.title), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": group.title }, runsGrid(group.runs, intervals, { key, direction }, actions, opened.has(group.key) ? Infinity : MOST_ROWS)),
      group.runs.length > MOST_ROWS && !opened.has(group.key) ? el("button", { type: "button", on: { click: () => { opened.add(group.key); draw(); } } }, `Show all ${group.runs.length} runs`) : null)),
    ...(others.length > 0 ? [el("article", { class: "panel" }, el("h2", {}, "Runs that cannot be read"), unreadable(others))] : []));
    if (focused) [...groups.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
    if (listed.length === 0 && runs.length > 0) groups.replaceChildren(el("p", { class: "empty" }, "No run fits."));
    drawBar();
  }

  function drawBar() {
    const some = chosen.filter((name) => runs.some((run) => run.name === name));
    bar.hidden = some.length === 0;
    bar.replaceChildren(el("span", {}, some.length === 1 ? `${some[0]} is chosen; choose another to compare.` : `${some.length} runs are chosen.`),
      el("button", { type: "button", class: "primary", disabled: some.length < 2, on: { click: () => { enter("compare", "1"); show(); } } }, "Compare"),
      el("button", { type: "button", on: { click: () => actions.curves(some) } }, "Curves"),
      el("button", { type: "button", on: { click: () => { chosen = []; keep("r", chosen); draw(); } } }, "Clear"));
  }

  async function load() {
    clearTimeout(timer);
    try {
      const found = await get("/playground/runs");
      runs = found.runs;
      error.show(null);
      note.textContent = found.left_out > 0 ? `${grouping(found.left_out)} more runs are not shown.` : "";
      draw();
      judge();
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      error.show(failed.message);
    }
    clearTimeout(timer);
    if (shown) timer = setTimeout(poll, EVERY);
  }

  function poll() {
    if (document.visibilityState === "visible") load();
    else timer = setTimeout(poll, EVERY);
  }

  /** Request the intervals of one run after another. */
  async function judge() {
    if (judging) return;
    judging = true;
    const small = runs.filter((run) => run.state === "finished" && run.bytes !== null && run.bytes < LARGEST_JUDGED);
    const fitting = grouped(small).flatMap((group) => group.runs.sort(byScore).slice(0, MOST_OF_GROUP)).slice(0, MOST_JUDGED);
    automatic = new Set(fitting.map((run) => run.name));
    draw();
    for (const run of fitting) {
      if (!shown) break;
      if (intervals.get(run.name)?.made !== run.made) await work(run);
    }
    judging = false;
  }

  /** Request the interval of a run. */
  async function work(run) {
    automatic.add(run.name);
    draw();
    try {
      intervals.set(run.name, { ...await get("/playground/dev-score", { run: run.name }), made: run.made });
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      intervals.set(run.name, { low: null, high: null, made: run.made }); // Its text is gone, for example.
    }
    draw();
  }

  function show() {
    shown = true;
    chosen = several("r") ?? [];
    const comparing = value("compare") === "1" && chosen.length >= 2;
    overview.hidden = comparing;
    comparison.show(comparing ? chosen : null);
    if (!comparing) load();
  }

  return { show, hide() { shown = false; clearTimeout(timer); } };
}
