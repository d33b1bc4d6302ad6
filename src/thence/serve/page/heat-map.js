/** The heat map tab: next-token probabilities after each symbol. */

import { newest, get } from "./api.js";
import { el, errorLine, labelled } from "./dom.js";
import { select } from "./state.js";
import { END, grouped, percent, tokenText } from "./format.js";

const SIZES = [15, 25, 40, 60, 80];

/** Fill the tab. */
export function heatMapTab(panel, app) {
  const names = app.languageModels.map((one) => one.id);
  const model = select("heat", names, names[0], () => load());
  const size = select("symbols", SIZES, "25", () => load());
  const error = errorLine();
  const readout = el("p", { class: "readout", role: "status", "aria-live": "polite" });
  const table = el("table", { class: "heat", role: "grid" });
  const about = el("p", { class: "hint" });
  panel.append(el("div", { class: "row" }, labelled("Model", model), labelled("Symbols", size)), error.element,
    el("div", { class: "panel" }, readout, el("div", { class: "scroll" }, table), about));

  const load = newest(
    (signal) => {
      readout.textContent = "The model generates texts …";
      return get("/playground/heat-map", { model: model.value, size: size.value }, signal);
    },
    (found) => {
      error.show(null);
      draw(found);
    },
    (failed) => {
      error.show(failed.message);
      table.replaceChildren();
      readout.textContent = "";
      about.textContent = "";
    },
  );

  function draw(found) {
    const names = found.symbols.map((symbol, place) => (place === found.boundary ? END : tokenText({ text: symbol })));
    const largest = Math.max(...found.probabilities.flat(), 1e-9);
    const say = (row, column) => {
      const next = column === found.boundary ? "The document ends" : names[column];
      const before = row === found.boundary ? "at the beginning of a document" : `after ${names[row]}`;
      return `${next} ${before}: ${percent(found.probabilities[row][column])}`;
    };
    readout.textContent = "Point at a square, or move with the arrow keys.";
    table.replaceChildren(
      el("caption", {}, "Rows: the symbol before. Columns: the symbol that follows."),
      el("thead", {}, el("tr", {}, el("td", {}), names.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, names.map((name, row) => el("tr", {}, el("th", { scope: "row" }, name),
        names.map((_, column) => el("td", {
          role: "gridcell", tabindex: row === 0 && column === 0 ? 0 : -1, "aria-label": say(row, column),
          "data-row": row, "data-column": column, "data-probability": found.probabilities[row][column],
          vars: { "--heat-share": `${100 * Math.sqrt(found.probabilities[row][column] / largest)}%` },
        }))))));
    about.textContent = `The ${names.length} most frequent of ${grouped(found.vocabulary)} tokens: what ${found.model} expects after each, `
      + `on average over ${grouped(found.tokens_written)} tokens that it generates itself. ${END} is the boundary that begins and ends `
      + `documents. Colours go by the square root, up to ${percent(largest)}.`;
    table.say = say;
  }
  const tell = (event) => {
    const cell = event.target.closest("td[data-row]");
    if (cell) readout.textContent = table.say(Number(cell.dataset.row), Number(cell.dataset.column));
  };
  table.addEventListener("pointerover", tell);
  table.addEventListener("focusin", tell);
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td[data-row]");
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (!cell || !(event.key in moves)) return;
    event.preventDefault();
    const [down, right] = moves[event.key];
    const next = table.querySelector(`td[data-row="${Number(cell.dataset.row) + down}"][data-column="${Number(cell.dataset.column) + right}"]`);
    if (!next) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  return { show: () => table.childElementCount === 0 && load() };
}
