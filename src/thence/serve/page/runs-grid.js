/** A table of the runs of one group: rank, score, cost, and the settings that differ. */

import { el, freshId } from "./dom.js";
import { brief, duration, fixed, grouped, minus, percent } from "./format.js";
import { fromNats, unitPer } from "./units.js";
import { whisker, whiskerScale } from "./whisker.js";

/** Columns of settings; a comparison has all. */
const MOST_SETTINGS = 5;
/** Settings that change how a training runs, but not its result. */
const IDLE = new Set(["model", "threads", "snapshots", "checkpoint_seconds", "logits_memory", "samples", "device", "memory", "precision"]);
const STATES = { training: ["in training", "live"], stopped: ["stopped", ""], unreadable: ["unreadable", "bad"], deleted: ["deleted", "bad"] };

/** Return the score of a run: surprisal per token, or accuracy; null if it is not known. */
function scoreOf(run) {
  if (run.kind === "classifier") return run.accuracy;
  return fromNats(run.nats_per_token);
}

function sayScore(run, score) {
  return run.kind === "classifier" ? percent(score) : fixed(score, 3);
}

/** Order runs by their score, the best first; what is not known comes last. */
export function byScore(a, b) {
  const [first, second] = [scoreOf(a), scoreOf(b)];
  if (first === null || second === null) return Number(first === null) - Number(second === null);
  return a.kind === "classifier" ? second - first : first - second;
}

/** Return a size in bytes. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${Number((bytes / 1e3).toPrecision(3))} kB` : `${Number((bytes / 1e6).toPrecision(3))} MB`;
}

/** Return the names of settings in which runs differ, those first that most of them have. */
export function differing(runs, most = Infinity) {
  const names = new Map();
  for (const run of runs) {
    for (const [name, value] of Object.entries(run.settings ?? {})) {
      if (IDLE.has(name)) continue;
      if (!names.has(name)) names.set(name, []);
      names.get(name).push(String(value));
    }
  }
  return [...names].filter(([, values]) => new Set(values).size > 1)
    .sort((a, b) => b[1].length - a[1].length).slice(0, most).map(([name]) => name);
}

/** Return the columns for runs: a title, what they are sorted by, and what is shown. */
function columnsOf(runs, best, intervals, actions) {
  const first = runs[0];
  const isLabels = first.kind === "classifier";
  const numbers = runs.flatMap((run) => [scoreOf(run), ...bounds(run, intervals)]);
  const scale = whiskerScale(numbers);
  const columns = [
    { key: "score", title: isLabels ? "Accuracy on dev" : `${unitPer("token").replace(" per ", "/")} on dev`, number: true, descending: isLabels, value: scoreOf, show: (run) => scoreCell(run, scale, intervals, actions) },
    { key: "difference", title: "To the best", number: true, descending: isLabels, value: (run) => difference(run, best), show: (run) => sayDifference(run, best) },
    { key: "parameters", title: "Parameters", number: true, value: (run) => run.parameters, show: (run) => (run.parameters === null ? run.counting ? "…" : "–" : el("span", { title: grouped(run.parameters) }, brief(run.parameters))) },
    { key: "bytes", title: "Size", number: true, value: (run) => run.bytes, show: (run) => (run.bytes === null ? "–" : size(run.bytes)) },
    { key: "seconds", title: "Time", number: true, value: (run) => run.seconds, show: (run) => (run.seconds === null ? "–" : duration(run.seconds)) },
    { key: "model", title: "Model", value: (run) => run.family, show: (run) => run.family ?? "–" },
  ];
  const settings = differing(runs, MOST_SETTINGS).map((name) => ({
    key: `s.${name}`, title: name.replaceAll("_", " "), wraps: true, number: runs.every((run) => !(name in run.settings) || typeof run.settings[name] === "number"),
    value: (run) => run.settings[name] ?? null, show: (run) => saySetting(run, name),
  }));
  return [...columns, ...settings];
}

/** Return a setting of a run as it is shown; a dash where it has none. */
export function saySetting(run, name) {
  const value = run.settings?.[name];
  if (value === undefined) return "–";
  return Number.isInteger(value) ? grouped(value) : String(value);
}

function bounds(run, intervals) {
  const found = intervals.get(run.name);
  if (!found || found.low === null) return [];
  const ends = [found.low, found.high];
  return run.kind === "classifier" ? ends : ends.map(fromNats);
}

function difference(run, best) {
  return scoreOf(run) === null || best === null ? null : scoreOf(run) - scoreOf(best);
}

function sayDifference(run, best) {
  const apart = difference(run, best);
  if (apart === null) return "–";
  if (run === best) return "best";
  if (run.kind === "classifier") return `${minus((100 * apart).toFixed(2))} points`;
  return `+${fixed(apart, 3)}`;
}

function scoreCell(run, scale, intervals, actions) {
  const score = scoreOf(run);
  if (score === null) return "–";
  const [low = null, high = null] = bounds(run, intervals);
  const said = low === null ? sayScore(run, score) : `${sayScore(run, score)}, 95 % interval ${sayScore(run, low)} to ${sayScore(run, high)}`;
  const more = run.perplexity === null ? said : `${said}; ${fixed(run.nats_per_token, 4)} nats, perplexity ${fixed(run.perplexity)}`;
  const asks = !intervals.has(run.name) && actions.mayJudge(run);
  return el("span", { class: "score", title: more },
    asks ? el("button", { type: "button", class: "quiet", "aria-label": `Interval of ${run.name}`, title: "Work out its interval", on: { click: () => actions.judge(run) } }, "±") : null, whisker(scale, { value: score, low, high }, { label: said }), el("strong", {}, sayScore(run, score)));
}

/** Order two values; what is not known comes last, whichever way. */
function compare(first, second, sign) {
  if (first === null || second === null) return Number(first === null) - Number(second === null);
  if (typeof first === "string" || typeof second === "string") return sign * String(first).localeCompare(String(second), "en", { numeric: true });
  return sign * (Number(first) - Number(second));
}

/** Return the state of a run, unless it is finished and unchanged on disk. */
export function stateTags(run) {
  const [state, colour] = STATES[run.state] ?? [];
  const at = run.state === "training" && run.steps ? `, step ${grouped(run.steps)}` : "";
  return [state ? el("span", { class: `tag ${colour}`, title: run.problem }, state + at) : null,
    run.on_disk === "changed" ? el("span", { class: "tag bad" }, "replaced") : null].filter(Boolean);
}

/** What a run's name stands for: its boxes, links, state and troubles. */
function nameCell(run, actions) {
  const box = el("input", { type: "checkbox", id: freshId("choose"), "aria-label": `Choose ${run.name}`, disabled: run.kind === null });
  box.checked = actions.isChosen(run.name);
  box.addEventListener("change", () => actions.choose(run.name, box.checked));
  const tags = [...stateTags(run), run.served ? el("span", { class: "tag" }, "served") : null];
  const troubles = [run.state === "unreadable" ? run.problem : null,
    run.state === "deleted" ? "Deleted from the disk; the server still answers from memory." : null,
    run.on_disk === "changed" ? "Trained again since the server started, which still answers with the old weights." : null,
    run.state === "stopped" ? `Ended at step ${grouped(run.steps ?? 0)}, before its training was done.` : null].filter(Boolean);
  const links = run.kind === null || run.state === "deleted" ? [] : [
    run.steps ? el("button", { type: "button", class: "quiet", "aria-label": `Curves of ${run.name}`, on: { click: () => actions.curves([run.name]) } }, "curves") : null,
    run.report ? el("a", { href: run.report, target: "_blank", rel: "noopener", "aria-label": `Report of ${run.name}` }, "report") : null,
    run.served ? el("button", { type: "button", class: "quiet", "aria-label": `Look at ${run.name}`, on: { click: () => actions.look(run.name) } }, "look") : null];
  return el("th", { scope: "row", class: "run-name" }, el("span", { class: "run-line" }, box, el("label", { for: box.id }, run.name), ...tags),
    el("span", { class: "run-links" }, ...links), ...troubles.map((trouble) => el("span", { class: "why" }, trouble)));
}

/**
 * Return a table of runs that may be compared.
 * @param {Object[]} runs
 * @param {Map} intervals Of /playground/dev-score, by name.
 * @param {{key: string, direction: string}} order
 * @param {Object} actions What can be done: isChosen, choose, curves, look, sort, mayJudge, judge.
 * @param {number} most Rows to show.
 */
export function runsGrid(runs, intervals, order, actions, most = Infinity) {
  const ranked = [...runs].sort(byScore);
  const best = ranked.find((run) => scoreOf(run) !== null && run.state !== "deleted") ?? null;
  const columns = columnsOf(ranked, best, intervals, actions);
  const column = columns.find((one) => one.key === order.key) ?? (order.key === "name" ? { key: "name", value: (run) => run.name } : columns[0]);
  const first = column.descending ? "descending" : "ascending";
  const direction = column.key === order.key && order.direction ? order.direction : first;
  const sorted = [...ranked].sort((a, b) => compare(column.value(a), column.value(b), direction === "ascending" ? 1 : -1)).slice(0, most);
  const head = (one) => el("th", { scope: "col", class: [one.number ? "number" : "", one.wraps ? "wraps" : ""].join(" ").trim() || null, "aria-sort": one.key === column.key ? direction : "none" },
    el("button", { type: "button", "data-key": one.key, on: { click: () => actions.sort(one.key, one.key === column.key && direction === first ? opposite(first) : one.descending ? "descending" : "ascending") } },
      one.title, el("span", { "aria-hidden": "true", class: "arrow" }, one.key !== column.key ? "" : direction === "ascending" ? " ▲" : " ▼")));
  return el("table", { class: "table runs" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "number" }, "#"), head({ key: "name", title: "Run" }), ...columns.map(head))),
    el("tbody", {}, sorted.map((run) => el("tr", { "data-run": run.name },
      el("td", { class: "number rank" }, scoreOf(run) === null ? "–" : String(ranked.indexOf(run) + 1)), nameCell(run, actions),
      ...columns.map((one) => cell(one, one.show(run)))))));
}

function cell(column, shown) {
  const classes = [column.number ? "number" : "", shown === "–" ? "unknown" : ""].filter(Boolean).join(" ");
  return el("td", { class: classes || null, "data-title": column.title }, shown);
}

/** Return a list of runs that cannot be read, with the reasons. */
export function unreadable(runs) {
  return el("ul", { class: "unreadable" }, runs.map((run) => el("li", { "data-run": run.name }, el("strong", {}, run.name), " ",
    el("span", { class: "tag bad" }, STATES[run.state]?.[0] ?? run.state), el("span", { class: "why" }, run.problem))));
}

function opposite(direction) {
  return direction === "ascending" ? "descending" : "ascending";
}
