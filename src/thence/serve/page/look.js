/** The text tab: how each model reads a text while it is typed, and how it continues it. */

import { newest, post } from "./api.js";
import { NextBars } from "./next-tokens.js";
import { Cards, cardFrame, modelChips } from "./model-cards.js";
import { announce, debounced, el, freshId } from "./dom.js";
import { Generation, generationControls } from "./generate.js";
import { keep, value } from "./state.js";
import { surprisalLegend, Tokens } from "./tokens.js";
import { fixed, grouped, logLikelihood } from "./format.js";

const PATIENCE = 120;
/** Characters up to which alternatives are asked for; beyond, answers would be megabytes. */
const SHORT = 5000;

/** Fill the tab. */
export function lookPlace(panel, app) {
  const field = el("textarea", {
    id: freshId("text"), rows: 3, spellcheck: "false", autocapitalize: "off", autocomplete: "off",
    placeholder: "Type the beginning of a document",
  });
  field.value = value("text", "");

  const controls = generationControls(start, stop);
  const cards = new Cards((model) => textCard(model, field, change, () => controls.update(cards.known)));
  const chips = modelChips(app.languageModels, "m", 2, () => readAll());

  function change(text) {
    field.value = text;
    keep("text", text);
    readAll();
  }
  function readAll() {
    for (const card of cards.show(chips.chosen())) card.read(field.value);
  }
  const soon = debounced(PATIENCE, readAll);
  field.addEventListener("input", () => {
    keep("text", field.value);
    soon();
  });
  function start(options) {
    for (const card of cards.show(chips.chosen())) card.generate(field.value, options);
  }
  function stop() {
    for (const card of cards.known.values()) card.stop();
  }

  const clear = el("button", {
    type: "button", class: "quiet", on: { click: () => { change(""); field.focus(); } },
  }, "Clear");
  panel.append(
    el("div", { class: "field" },
      el("div", { class: "label-row" }, el("label", { for: field.id }, "Text"), clear), field),
    chips.element, controls.element, surprisalLegend(), cards.element,
  );
  return { show: readAll, hide: stop };
}

function figure(name, hint) {
  const shown = el("dd", {}, "–");
  return { element: el("div", { title: hint }, el("dt", {}, name), shown), set: (text) => { shown.textContent = text; } };
}

/** How one model reads and continues the text. */
function textCard(model, field, change, onGenerating) {
  const tokens = new Tokens(`The text as ${model.id} reads it`);
  const figures = {
    count: figure("Tokens", "How many tokens the text has for this model"),
    bits: figure("Bits per token", "Mean surprisal of a token"),
    perplexity: figure("Perplexity", "As uncertain as a choice between so many equally likely tokens"),
    prefix: figure("Log-likelihood, open", "Natural logarithm of the probability that a document begins with this text"),
    whole: figure("Log-likelihood", "Natural logarithm of the probability that this text is a whole document"),
  };
  const empty = el("p", { class: "hint" }, "The text is empty: below is how documents begin.");
  let ended = false;
  let answer = null;

  const bars = new NextBars((token) => {
    if (token.text !== null) {
      ended = false;
      change(field.value + token.text);
      announce(`Appended ${token.name}`);
    } else {
      ended = true;
      show(answer);
      announce(`The document ends here: log-likelihood ${logLikelihood(answer.nats_with_end)} nats`);
    }
  });
  const generation = new Generation(model, (text) => { change(text); field.focus(); }, onGenerating);
  const frame = cardFrame(model, empty, tokens.element,
    el("dl", { class: "figures" }, Object.values(figures).map((one) => one.element)),
    generation.element, bars.element);

  function show(found) {
    answer = found;
    frame.warn(null);
    empty.hidden = found.tokens.length > 0;
    const count = found.tokens.length;
    const end = ended ? found.next.tokens.find((token) => token.is_boundary) : null;
    const cost = end ? found.nats_with_end - found.nats : 0;
    tokens.show(found.tokens, end ? {
      ...end, surprisal: cost / Math.LN2, alternatives: [], is_unknown: false,
      perplexity: Math.exp(found.nats_with_end / (count + 1)),
    } : null);
    figures.count.set(grouped(count));
    figures.bits.set(count === 0 ? "–" : fixed(found.nats === null ? null : found.nats / count / Math.LN2));
    figures.perplexity.set(count === 0 ? "–" : fixed(found.perplexity));
    figures.prefix.set(logLikelihood(found.nats));
    figures.whole.set(logLikelihood(found.nats_with_end));
    bars.show(found.next);
  }

  const ask = newest(
    (signal, text) => post("/playground/read",
      { model: model.id, text, alternatives: text.length <= SHORT ? 5 : 0, next: 30 }, signal),
    (found, text) => {
      frame.element.setAttribute("data-read", text);
      show(found);
    },
    (problem) => frame.warn(problem.message),
  );

  return {
    element: frame.element,
    read: (text) => { ended = false; ask(text); },
    generate: (text, options) => generation.start(text, options),
    stop: () => generation.stop(),
    isGenerating: () => generation.isRunning,
    gone: () => generation.stop(),
  };
}
