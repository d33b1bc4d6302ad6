/** The inspector: the distribution of each model at the chosen place, on one scale. */

import { el, freshId } from "./dom.js";
import { END, fixed, grouped, percent, visible } from "./format.js";
import { tokenAt } from "./readings.js";
import { reshape } from "./reshape.js";
import { samplingControls } from "./sampling.js";
import { fromBits, unitName } from "./units.js";

/** Rows that are shown at first. */
const FEW = 10;
/** Upper ends of the scale of the bars, in probability: the smallest one that fits all bars is used. */
const SCALES = [0.01, 0.05, 0.1, 0.25, 0.5, 1];
const EVEN = { temperature: 1, top_k: 0, top_p: 1 };

export class Inspector {
  /**
   * @param {{take: Function, move: Function, leave: Function}} actions `take(token)` puts a token into
   * the text, `move(step)` chooses another, `leave()` goes to the end.
   */
  constructor(actions) {
    this.actions = actions;
    this.all = false;
    this.columns = [];
    this.title = el("h2", { id: freshId("inspector"), class: "inspector-title" });
    this.controls = samplingControls(() => this.draw());
    this.head = el("thead", {});
    this.body = el("tbody", { on: { keydown: (event) => this.rove(event), click: (event) => this.click(event) } });
    this.foot = el("tfoot", {});
    this.more = el("button", { type: "button", class: "quiet", on: { click: () => { this.all = !this.all; this.draw(); } } });
    this.scale = el("p", { class: "hint scale" });
    const button = (text, label, action) => el("button", { type: "button", class: "step", "aria-label": label, title: label, on: { click: action } }, text);
    this.end = el("button", { type: "button", class: "step", on: { click: () => actions.leave() } }, "End");
    this.sheet = el("button", { type: "button", class: "sheet-handle", "aria-expanded": "true", "aria-label": "Fold the inspector", on: { click: () => this.fold() } });
    this.content = el("div", { class: "inspector-body", tabindex: 0, role: "region", "aria-label": "Probabilities" },
      this.controls.element, this.scale,
      el("table", { class: "inspector-table", "aria-labelledby": this.title.id }, this.head, this.body, this.foot), this.more);
    this.element = el("aside", { class: "inspector", "aria-labelledby": this.title.id }, this.sheet,
      el("header", {}, this.title, el("div", { class: "steps" }, button("◀", "Token before", () => actions.move(-1)), button("▶", "Token after", () => actions.move(1)), this.end)),
      this.content);
    if (matchMedia("(max-width: 900px) and (max-height: 600px)").matches) this.fold(); // As where a page is much enlarged.
  }

  /** The settings of sampling, for whoever generates. */
  get sampling() {
    return this.controls.settings;
  }

  fold() {
    const open = this.element.classList.toggle("folded");
    this.sheet.setAttribute("aria-expanded", String(!open));
    this.sheet.setAttribute("aria-label", open ? "Unfold the inspector" : "Fold the inspector");
  }

  /**
   * Show the distributions at a place.
   * @param {Object[]} columns `{model, strip, place}` of each model; `strip` null: not read yet.
   * @param {string} text The whole text.
   * @param {number|null} place The chosen place; null: the end.
   */
  show(columns, text, place) {
    this.place = place;
    this.columns = columns.map(({ model, strip, problem }) => ({ model, strip, problem, distribution: strip ? distributionOf(strip, place) : null }));
    this.element.closest(".look")?.style.setProperty("--columns", String(columns.length));
    this.end.hidden = place === null;
    const first = this.columns.find((column) => column.distribution?.index != null);
    if (place === null || !first) this.title.replaceChildren(text === "" ? "How a document begins" : "What follows ", text === "" ? "" : quoted(tail(text)));
    else {
      const { strip, distribution } = first;
      const [start, end] = [strip.starts[distribution.index], strip.ends[distribution.index]];
      const before = tail(text.slice(0, start));
      this.title.replaceChildren(quoted(strip.ids[distribution.index] === strip.boundary ? END : text.slice(start, end)),
        before === "" ? " at the beginning" : " after ", before === "" ? "" : quoted(before));
    }
    this.draw();
  }

  /** The tokens of all columns, each once, the most probable in any of them first. */
  rows(reshaped) {
    const rows = new Map();
    this.columns.forEach((column, place) => {
      for (const token of column.distribution?.tokens ?? []) {
        const name = nameOf(token);
        if (!rows.has(name)) rows.set(name, { name, cells: [], best: 0, actual: false });
        const row = rows.get(name);
        const probability = reshaped[place].get(token);
        row.cells[place] = { token, probability };
        row.best = Math.max(row.best, token.probability);
        if (column.distribution.index !== null && column.strip.ids[column.distribution.index] === token.id) row.actual = true;
      }
    });
    return [...rows.values()].sort((left, right) => right.best - left.best);
  }

  draw() {
    const settings = this.controls.settings;
    const even = settings.temperature === EVEN.temperature && settings.top_k === EVEN.top_k && settings.top_p === EVEN.top_p;
    const reshaped = this.columns.map(({ distribution }) => (distribution === null ? new Map()
      : even ? new Map(distribution.tokens.map((token) => [token, token.probability])) : reshape(distribution, settings)));
    const rows = this.rows(reshaped);
    const shown = rows.filter((row, place) => row.actual || place < (this.all ? 60 : FEW) || row.name === END);
    const largest = Math.max(0, ...shown.flatMap((row) => row.cells.flatMap((cell) => (cell ? [cell.token.probability, cell.probability] : []))));
    const scale = SCALES.find((end) => largest <= end) ?? 1;
    this.scale.textContent = `All bars from 0 to ${percent(scale).replace(".0", "")}${even ? "" : "; outlines: before temperature, top-k and top-p"}`;
    this.head.replaceChildren(el("tr", {}, el("th", { scope: "col" }, "token"), this.columns.map((column, place) =>
      el("th", { scope: "col", class: `c${place + 1}`, title: column.model.id }, el("span", { class: "swatch-dot" }), el("span", { class: "model-name", dir: "auto" }, column.model.id)))));
    const focused = document.activeElement?.closest?.("tr")?.dataset.name;
    const had = this.body.contains(document.activeElement);
    this.byName = new Map(shown.map((row) => [row.name, row]));
    this.body.replaceChildren(...shown.map((row) => this.row(row, scale)));
    const stop = (had && this.body.querySelector(`tr[data-name="${CSS.escape(focused)}"] button`)) || this.body.querySelector("button:not(:disabled)");
    if (stop) stop.tabIndex = 0;
    if (had) stop?.focus();
    this.foot.replaceChildren(...this.facts(shown));
    this.more.hidden = rows.length <= FEW + 1;
    this.more.textContent = this.all ? "Fewer" : `Show ${Math.min(rows.length, 60)}`;
  }

  row(row, scale) {
    const known = row.cells.filter(Boolean);
    const token = known[0].token;
    const fits = row.name === END || known.some((cell) => cell.token.text !== null);
    const does = this.place !== null ? "put it here" : row.name === END ? "end the document" : "append it";
    const said = known.map((cell) => percent(cell.probability)).join(", ");
    return el("tr", { class: row.actual ? "actual" : null, "data-name": row.name },
      el("th", { scope: "row" }, el("button", {
        type: "button", class: "token-button", dir: "auto", tabindex: -1, disabled: !fits, "data-token": token.name,
        title: fits ? null : token.is_unknown ? "Stands for any symbol that the model does not know" : "Only part of a character",
        "aria-label": `${row.name === END ? `${END} end` : row.name}, ${said}: ${does}`,
      }, row.name === END ? `${END} end` : row.name.trimStart() || row.name)),
      this.columns.map((column, place) => cell(row.cells[place], column, place, scale)));
  }

  facts(shown) {
    const line = (name, hint, say) => el("tr", { title: hint }, el("th", { scope: "row" }, name), this.columns.map((column) =>
      el("td", { class: "number" }, column.distribution === null ? column.problem ? "–" : "…" : say(column))));
    const listed = new Set(shown.map((row) => row.name));
    const others = (column) => {
      const rest = column.distribution.tokens.filter((token) => !listed.has(nameOf(token)));
      const mass = rest.reduce((sum, token) => sum + token.probability, 0) + column.distribution.tail.reduce((sum, [mean, size]) => sum + mean * size, 0);
      return percent(mass);
    };
    const rows = [line("others", "Probability of all tokens that are not listed", others),
      line(`entropy, ${unitName()}`, "How undecided the model is", (column) => fixed(fromBits(column.distribution.entropy)))];
    if (this.columns.some((column) => column.distribution?.index != null)) {
      rows.unshift(line(`surprisal, ${unitName()}`, "Of the token that stands here", (column) => (column.distribution.index === null ? "–" : fixed(fromBits(column.strip.bits[column.distribution.index])))),
        line("rank", "Of the token that stands here; 1 is the most probable", (column) => (column.distribution.rank === null ? "–" : grouped(column.distribution.rank))));
    }
    return rows;
  }

  click(event) {
    const row = event.target.closest("tr");
    if (row === null || (event.target.closest("button")?.disabled ?? row.querySelector("button").disabled)) return;
    const found = this.byName.get(row.dataset.name);
    this.actions.take((found.cells.find((cell) => cell && cell.token.text !== null) ?? found.cells.find(Boolean)).token);
  }

  rove(event) {
    const buttons = [...this.body.querySelectorAll("button:not(:disabled)")];
    const place = buttons.indexOf(document.activeElement);
    const moves = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: buttons.length - 1 };
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      this.actions.move(event.key === "ArrowLeft" ? -1 : 1);
      return;
    }
    if (place < 0 || !(event.key in moves)) return;
    event.preventDefault();
    const next = buttons[Math.min(Math.max(moves[event.key], 0), buttons.length - 1)];
    buttons[place].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

function cell(found, column, place, scale) {
  const share = (probability) => `${Math.min(100, (100 * probability) / scale)}%`;
  if (!found) {
    const least = column.distribution?.tail.length ? Math.min(...column.distribution.tokens.map((token) => token.probability)) : null;
    return el("td", { class: `c${place + 1} none` }, column.distribution === null ? "…" : least === null ? "–" : `< ${percent(least).replace("< ", "")}`);
  }
  const { token, probability } = found;
  const cut = probability === 0 && token.probability > 0;
  return el("td", { class: `c${place + 1}${cut ? " cut" : ""}`, "data-probability": token.probability, "data-reshaped": probability },
    el("span", { class: "bar-cell", vars: { "--raw": share(token.probability), "--share": share(probability) } },
      el("span", { class: "ghost" }), el("span", { class: "fill" }), el("span", { class: "number" }, cut ? "cut" : percent(probability))));
}

/** Return the distribution at a place of a strip; null if it has not been read yet. */
function distributionOf(strip, place) {
  const index = tokenAt(strip, place);
  if (index === null) return strip.end;
  return strip.at?.index === index ? strip.at : null;
}

/** How a token is named in the table: the same text is the same row, whatever the model. */
function nameOf(token) {
  if (token.is_boundary) return END;
  if (token.text === null) return token.name;
  return token.text.trim() === "" ? visible(token.text) : token.text;
}

function quoted(text) {
  return el("q", { dir: "auto" }, visible(text).replaceAll("␣", " "));
}

function tail(text) {
  const characters = Array.from(text);
  return characters.length > 14 ? `…${characters.slice(-13).join("")}` : text;
}
