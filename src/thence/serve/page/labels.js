/** Classifiers of the text: probabilities of labels on one scale, and the words that decided them. */

import { get, newest, post, Problem } from "./api.js";
import { debounced, el } from "./dom.js";
import { fixed, minus, percent, readable, visible } from "./format.js";
import { roving } from "./roving.js";
import { fromNats, unitName } from "./units.js";

/** Maximum length of a document whose words are weighed, in characters. */
const LONGEST_EXPLAINED = 10000;
/** Number of labels that are shown. */
const MOST_LABELS = 12;
/** Number of labels to request: models differ in which labels are likely. */
const ASKED_LABELS = 200;
/** Milliseconds without typing before words are weighed, which classifies the text once per word. */
const PATIENCE = 120;

export class Labels {
  /** @param {() => Object} scene Returns `{chosen, text}`. */
  constructor(scene) {
    this.scene = scene;
    this.answers = new Map();
    this.label = null; // The label that is explained; null: the likeliest of each.
    this.asking = new Map();
    this.byGradient = el("input", { type: "checkbox", on: { change: () => this.read() } });
    this.method = el("label", { class: "check", hidden: true }, this.byGradient, " Weigh words by the gradient, in models that have one");
    this.texts = el("div", { class: "label-texts" });
    this.element = el("div", { class: "stack" }, el("p", { class: "hint" }, "A word speaks ",
      el("span", { class: "swatch lean for", vars: { "--strength": "60%" } }, "for"), " or ",
      el("span", { class: "swatch lean against", vars: { "--strength": "60%" } }, "against"),
      " a label, by how much its log-odds change without the word. Press a label at the side to see what speaks for that one."), this.method, this.texts);
    this.head = el("thead", {});
    this.body = el("tbody", { on: { keydown: (event) => this.rove(event) } });
    this.aside = el("aside", { class: "inspector", "aria-label": "Labels" }, el("header", {}, el("h2", { class: "inspector-title" }, "Labels")),
      this.scale = el("p", { class: "hint scale" }, "All bars from 0 to 100 %"), el("table", { class: "inspector-table label-table" }, this.head, this.body));
    this.soon = debounced(PATIENCE, () => this.read());
  }

  read() {
    const { chosen, text } = this.scene();
    for (const model of chosen) {
      if (text.trim() === "") continue;
      if (!this.asking.has(model.id)) this.asking.set(model.id, this.question(model.id));
      const label = model.labels?.includes(this.label) ? this.label : null;
      this.asking.get(model.id)({ model: model.id, input: text, top: ASKED_LABELS, explain: Array.from(text).length <= LONGEST_EXPLAINED, label });
    }
    this.draw();
  }

  /** Whether a model's words are weighed by the gradient. */
  weighs(model) {
    return this.byGradient.checked && Boolean(model?.lenses.includes("gradient"));
  }

  question(name) {
    const answering = async (signal, asked) => {
      const answer = await post("/v1/classify", asked, signal);
      const [said] = answer.data;
      if (asked.explain && this.weighs(this.scene().chosen.find((model) => model.id === name))) {
        const look = await post("/playground/look", { model: name, text: asked.input, lenses: ["gradient"], label: said.explained }, signal);
        said.explanation = look.lenses.gradient.map(({ text, start, weight }) => ({ text, start, weight }));
      }
      return answer;
    };
    return newest(answering,
      (answer, asked) => { this.answers.set(name, { ...answer.data[0], text: asked.input }); this.draw(); },
      (problem) => { this.answers.set(name, { problem: problem.message }); this.draw(); });
  }

  draw() {
    const { chosen, text } = this.scene();
    const found = chosen.map((model) => this.answers.get(model.id) ?? null);
    this.scale.hidden = text.trim() === "";
    this.method.hidden = !chosen.some((model) => model.lenses.includes("gradient"));
    if (text.trim() === "") {
      this.texts.replaceChildren(el("p", { class: "hint" }, "Write a document above to see its label."));
      this.body.replaceChildren();
      this.head.replaceChildren();
      return;
    }
    this.texts.replaceChildren(...chosen.map((model, place) => this.strip(model, place, found[place])));
    const labels = new Map();
    for (const answer of found) {
      for (const [label, probability] of Object.entries(answer?.probabilities ?? {})) labels.set(label, Math.max(labels.get(label) ?? 0, probability));
    }
    const rows = [...labels.keys()].sort((left, right) => labels.get(right) - labels.get(left)).slice(0, MOST_LABELS);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.label : null;
    this.head.replaceChildren(el("tr", {}, el("th", { scope: "col" }, "label"), chosen.map((model, place) => el("th", { scope: "col", class: `c${place + 1}` },
      el("span", { class: "swatch-dot" }), el("span", { class: "model-name", dir: "auto" }, model.id)))));
    this.body.replaceChildren(...rows.map((label, row) => this.row(label, row, found)));
    if (focused !== null) [...this.body.querySelectorAll("button")].find((button) => button.dataset.label === focused)?.focus();
  }

  row(label, row, found) {
    const said = found.map((answer) => (answer?.probabilities?.[label] === undefined ? "–" : percent(answer.probabilities[label])));
    return el("tr", { class: this.label === label ? "actual" : null }, el("th", { scope: "row" }, el("button", {
      type: "button", class: "token-button", dir: "auto", tabindex: row === 0 ? 0 : -1, "data-label": label, "aria-pressed": String(this.label === label),
      "aria-label": `${readable(label)}, ${said.join(", ")}: show which words speak for it`,
      on: { click: () => { this.label = this.label === label ? null : label; this.read(); } },
    }, readable(label))), found.map((answer, place) => {
      const probability = answer?.probabilities?.[label];
      if (probability === undefined) return el("td", { class: `c${place + 1} none` }, answer === null ? "…" : "–");
      return el("td", { class: `c${place + 1}`, "data-probability": probability }, el("span", { class: "bar-cell", vars: { "--raw": `${100 * probability}%`, "--share": `${100 * probability}%` } },
        el("span", { class: "fill" }), el("span", { class: answer.labels.includes(label) ? "number chosen" : "number" }, percent(probability))));
    }));
  }

  strip(model, place, answer) {
    const parts = [el("h2", { class: "model-heading" }, el("span", { class: "swatch-dot" }), model.id)];
    if (answer === null) parts.push(el("p", { class: "hint" }, "Reading …"));
    else if (answer.problem) parts.push(el("p", { class: "problem", role: "alert" }, answer.problem));
    else {
      const labels = answer.labels.map(readable).join(", ");
      parts.push(el("p", { class: "verdict" }, answer.label === null ? `Labels: ${labels || "none is probable enough"}` : `Label: ${labels}`));
      if (answer.nothing_known) parts.push(el("p", { class: "problem" }, "Every word of this text is unknown, so the label says nothing about it."));
      const like = el("p", { class: "hint", role: "status" }, model.has_embeddings ? "Press a word to see which words have nearly the same embedding." : "");
      const words = el("div", { class: "words", dir: "auto", role: "group", "aria-label": `Words as ${model.id} weighs them for ${answer.explained ?? ""}` },
        explained(answer, model.has_embeddings ? (word) => showLike(model.id, word, like) : null));
      roving(words, ".word");
      parts.push(words, like);
    }
    return el("section", { class: `c${place + 1} stack tight${answer?.text === this.scene().text ? "" : " stale"}`, "data-model": model.id }, parts);
  }

  rove(event) {
    const buttons = [...this.body.querySelectorAll("button")];
    const place = buttons.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || place < 0) return;
    event.preventDefault();
    const next = buttons[Math.min(Math.max(place + step, 0), buttons.length - 1)];
    buttons[place].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/** Say which words have nearly the same embedding as a word. */
async function showLike(model, word, place) {
  try {
    const found = await get("/playground/neighbours", { model, text: word, count: 8 });
    place.replaceChildren("Most like ", el("bdi", {}, el("strong", {}, readable(found.text))), ": ", ...found.neighbours.flatMap((one, number) =>
      [number > 0 ? ", " : "", el("bdi", {}, readable(one.text)), ` ${minus(fixed(one.cosine))}`]), " (cosines of their embeddings)");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    place.textContent = error.message;
  }
}

/** Return the text in pieces, every word coloured by its weight; `onPress(word)`, if a word can be pressed. */
function explained(answer, onPress) {
  if (answer.explanation === null) return [el("span", { class: "hint" }, "The document is too long to weigh its words.")];
  const largest = Math.max(...answer.explanation.map((word) => Math.abs(word.weight)), 1e-9);
  const characters = Array.from(answer.text); // Places count characters, as the server does.
  const pieces = [];
  let end = 0;
  answer.explanation.forEach((word, number) => {
    const before = characters.slice(end, word.start).join("");
    if (before !== "") pieces.push(before);
    const strength = (75 * Math.abs(word.weight)) / largest;
    const says = `${fixed(fromNats(Math.abs(word.weight)))} ${unitName()} ${word.weight >= 0 ? "for" : "against"} ${readable(answer.explained)}`;
    pieces.push(el("span", {
      class: `word lean ${word.weight >= 0 ? "for" : "against"}`, role: onPress ? "button" : "img",
      on: onPress ? { click: () => onPress(word.text), keydown: (event) => { if (event.key === "Enter") onPress(word.text); } } : {}, tabindex: number === 0 ? 0 : -1,
      vars: { "--strength": `${strength.toFixed(1)}%` }, "data-weight": word.weight, "aria-label": `${word.text}: ${says}`, title: says,
    }, visible(word.text).replaceAll("␣", " ")));
    end = word.start + Array.from(word.text).length;
  });
  pieces.push(characters.slice(end).join(""));
  return pieces;
}
