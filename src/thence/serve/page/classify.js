/** The classify tab: the probability of each label, and the words that decided it. */

import { newest, post } from "./api.js";
import { Cards, cardFrame, modelChips } from "./model-cards.js";
import { debounced, el, freshId } from "./dom.js";
import { keep, value } from "./state.js";
import { roving } from "./tokens.js";
import { hideIfGone, tip } from "./tooltip.js";
import { percent, readable, visible } from "./format.js";

/** Characters of a document whose words can be weighed. */
const LONGEST_EXPLAINED = 10000;

/** Fill the tab. */
export function classifyTab(panel, app) {
  const field = el("textarea", { id: freshId("document"), rows: 5, class: "prose", placeholder: "Type or paste a document" });
  field.value = value("document", "");
  const cards = new Cards(classifyCard);
  const chips = modelChips(app.classifiers, "c", 1, classifyAll);

  function classifyAll() {
    for (const card of cards.show(chips.chosen())) card.classify(field.value);
  }
  const soon = debounced(250, classifyAll);
  field.addEventListener("input", () => {
    keep("document", field.value);
    soon();
  });
  panel.append(
    el("div", { class: "field" }, el("label", { for: field.id }, "Document"), field),
    chips.element,
    el("p", { class: "legend" }, "A word speaks ",
      el("span", { class: "swatch lean for", vars: { "--strength": "60%" } }, "for"), " or ",
      el("span", { class: "swatch lean against", vars: { "--strength": "60%" } }, "against"),
      " the label that is marked: how its log-odds change without the word. Press a label to mark it."),
    cards.element);
  return { show: classifyAll };
}

function classifyCard(model) {
  const verdict = el("p", { class: "verdict" });
  const bars = el("ol", { class: "bars labels" });
  const words = el("div", { class: "tokens words", role: "list", "aria-label": `Words as ${model.id} weighs them` });
  roving(words, ".token");
  const body = el("div", { class: "stack tight" }, bars, words);
  let text = "";
  let chosen = null; // The label that is explained; null: the likeliest.
  const frame = cardFrame(model, verdict, body);
  const ask = newest(
    (signal) => post("/v1/classify", { model: model.id, input: text, top: 10,
      explain: Array.from(text).length <= LONGEST_EXPLAINED, label: chosen }, signal),
    (answer) => {
      const found = answer.data[0];
      frame.warn(found.nothing_known
        ? "Every word of this text is unknown, so the label says nothing about it." : null);
      body.hidden = false;
      const labels = found.labels.map(readable).join(", ");
      verdict.textContent = found.label === null ? `Labels: ${labels || "none is probable enough"}` : `Label: ${labels}`;
      const focused = document.activeElement?.dataset.label;
      bars.replaceChildren(...Object.entries(found.probabilities).map(([label, probability]) =>
        bar(label, probability, found, () => {
          chosen = label === found.explained && chosen !== null ? null : label;
          ask();
        })));
      [...bars.querySelectorAll("button")].find((button) => button.dataset.label === focused)?.focus();
      words.replaceChildren(...explained(text, found));
      hideIfGone();
    },
    (problem) => frame.warn(problem.message),
  );
  return {
    element: frame.element,
    classify(given) {
      text = given;
      if (text.trim() !== "") {
        ask();
        return;
      }
      frame.warn(null);
      body.hidden = true;
      verdict.textContent = "Write a document above to see its label.";
    },
  };
}

/** A label with its probability: a button that has it explained. */
function bar(label, probability, found, onChoose) {
  return el("li", {}, el("button", {
    type: "button", class: found.labels.includes(label) ? "bar chosen" : "bar", "data-label": label,
    "aria-pressed": String(label === found.explained), title: "Show which words speak for this label",
    vars: { "--share": `${probability * 100}%` }, on: { click: onChoose },
  }, el("span", { class: "name" }, readable(label)), el("span", { class: "track" }, el("span", { class: "fill" })),
  el("span", { class: "number" }, percent(probability))));
}

/** Return the text in pieces, every word coloured by its weight. */
function explained(text, found) {
  if (found.explanation === null) return [el("span", { class: "hint" }, "The document is too long to weigh its words.")];
  const weights = found.explanation.map((word) => Math.abs(word.weight));
  const largest = Math.max(...weights, 1e-9);
  const pieces = [];
  const characters = Array.from(text); // Places count characters, as the server does.
  let end = 0;
  for (const word of found.explanation) {
    const before = characters.slice(end, word.start).join("");
    if (before !== "") pieces.push(before);
    const share = Math.abs(word.weight) / largest;
    const span = el("span", {
      class: `token lean ${word.weight >= 0 ? "for" : "against"}`, role: "listitem",
      tabindex: pieces.some((piece) => piece instanceof Element) ? -1 : 0, vars: { "--strength": `${share * 75}%` },
      "data-weight": word.weight,
      "aria-label": `${word.text}: ${word.weight.toFixed(2)} nats for ${found.explained}`,
    }, visible(word.text));
    tip(span, () => [el("p", {}, el("strong", {}, visible(word.text)),
      ` speaks ${word.weight >= 0 ? "for" : "against"} ${readable(found.explained)}: `
      + `${Math.abs(word.weight).toFixed(2)} nats of its log-odds`)]);
    pieces.push(span);
    end = word.start + Array.from(word.text).length;
  }
  pieces.push(characters.slice(end).join(""));
  return pieces;
}
