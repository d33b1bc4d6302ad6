/** The runs tab: a table of all runs, sorted by any column. */

import { get, Problem } from "./api.js";
import { el, errorLine } from "./dom.js";
import { keep, value } from "./state.js";
import { brief, duration, fixed, grouped, percent } from "./format.js";

const TAGS = { finished: "good", training: "live", stopped: "", unreadable: "bad" };
const STATES = { finished: "finished", training: "in training", stopped: "stopped", unreadable: "unreadable" };

/** The columns: what they hold, how it is written, and which end comes first. */
const COLUMNS = [
  { key: "name", title: "Run" },
  { key: "state", title: "State" },
  { key: "family", title: "Model" },
  { key: "tokens", title: "Tokens" },
  { key: "text", title: "Text" },
  { key: "parameters", title: "Parameters", write: brief },
  { key: "nats_per_token", title: "Nats/token", write: (number) => fixed(number, 4) },
  { key: "perplexity", title: "Perplexity", write: fixed },
  { key: "accuracy", title: "Accuracy", write: percent, descending: true },
  { key: "nats_per_document", title: "Nats/document", write: (number) => fixed(number, 4) },
  { key: "steps", title: "Steps", write: grouped },
  { key: "seconds", title: "Time", write: duration },
  { key: "kind", title: "Kind" },
  { key: "served", title: "Served", descending: true },
];

/** Fill the tab. */
export function runsPlace(panel, app) {
  const error = errorLine();
  const table = el("table", { class: "table runs" });
  const note = el("p", { class: "hint" });
  let [key, direction] = value("sort", "name.ascending").split(".");
  let runs = [];
  panel.append(el("p", { class: "hint" }, "Losses are on the dev split, of the weights that are kept. Compare only runs with the same "
    + "text and tokens."), error.element, el("div", { class: "panel" }, el("div", { class: "scroll" }, table), note));

  function sort(column) {
    const first = column.descending ? "descending" : "ascending";
    const other = column.descending ? "ascending" : "descending";
    direction = key === column.key && direction === first ? other : first;
    key = column.key;
    keep("sort", `${key}.${direction}`);
    draw();
    table.querySelector(`button[data-key="${key}"]`).focus();
  }

  function draw() {
    const shown = COLUMNS.filter((column) => runs.some((run) => run[column.key] !== null));
    const sorted = [...runs].sort((a, b) => compare(a[key], b[key], direction === "ascending" ? 1 : -1));
    table.replaceChildren(
      el("thead", {}, el("tr", {}, shown.map((column) => el("th", {
        scope: "col", class: column.write ? "number" : null, "aria-sort": column.key === key ? direction : "none",
      }, el("button", { type: "button", "data-key": column.key, on: { click: () => sort(column) } }, column.title,
        el("span", { "aria-hidden": "true", class: "arrow" }, column.key !== key ? "" : direction === "ascending" ? " ▲" : " ▼")))))),
      el("tbody", {}, sorted.map((run) => el("tr", { "data-run": run.name }, shown.map((column) => cell(column, run))))));
  }

  function cell(column, run) {
    const found = run[column.key];
    if (column.key === "name") return el("th", { scope: "row" }, nameOf(run));
    if (column.key === "state") return el("td", {}, el("span", { class: `tag ${TAGS[found]}`, title: run.problem }, STATES[found]));
    if (column.key === "served") return el("td", {}, found ? "yes" : "no");
    return el("td", { class: column.write ? "number" : null }, found === null ? "–" : column.write ? column.write(found) : found);
  }

  function nameOf(run) {
    if (run.state === "unreadable") return [run.name, el("span", { class: "why" }, run.problem)];
    return el("button", { type: "button", class: "quiet", title: "See its learning curve",
      on: { click: () => { keep("r", [run.name]); app.go("train"); } } }, run.name);
  }

  async function load() {
    try {
      const found = await get("/playground/runs");
      runs = found.runs;
      error.show(null);
      note.textContent = found.left_out > 0 ? `${grouped(found.left_out)} more runs are not shown.` : `${grouped(runs.length)} runs.`;
      draw();
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      error.show(failed.message);
    }
  }
  return { show: load };
}

/** Order two values; what is not known comes last, whichever way. */
function compare(first, second, sign) {
  if (first === null || second === null) return Number(first === null) - Number(second === null);
  if (typeof first === "string") return sign * first.localeCompare(second, "en", { numeric: true });
  return sign * (Number(first) - Number(second));
}
