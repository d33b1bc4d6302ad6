/** The text tab: what each model makes of a text while it is typed, and how it would go on. */

import { newest, post } from "./api.js";
import { NextBars } from "./bars.js";
import { Cards, cardFrame, modelChips } from "./choosing.js";
import { announce, debounced, el, freshId } from "./dom.js";
import { Writer, writingControls } from "./generate.js";
import { keep, value } from "./state.js";
import { surprisalLegend, Tokens } from "./tokens.js";
import { fixed, grouped } from "./words.js";

const PATIENCE = 120;
/** Characters up to which alternatives are asked for; beyond, answers would be megabytes. */
const SHORT = 5000;

/** Fill the tab. */
export function textTab(panel, app) {
  const field = el("textarea", {
    id: freshId("text"), rows: 3, spellcheck: "false", autocapitalize: "off", autocomplete: "off",
    placeholder: "Type the beginning of a document",
  });
  field.value = value("text", "");

  const controls = writingControls(start, stop);
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
    for (const card of cards.show(chips.chosen())) card.write(field.value, options);
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

/** What one model makes of the text. */
function textCard(model, field, change, onWriting) {
  const tokens = new Tokens(`The text as ${model.id} reads it`);
  const figures = {
    count: figure("Tokens", "How many tokens the text has for this model"),
    bits: figure("Bits per token", "Mean surprisal of a token"),
    perplexity: figure("Perplexity", "As unsure as between so many equally likely tokens"),
    open: figure("Nats", "Minus the natural logarithm of the probability that a document begins so"),
    whole: figure("Nats with end", "The same, and that the document ends here"),
  };
  const empty = el("p", { class: "hint" }, "Nothing is written yet: below is how documents begin.");
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
      announce(`The document ends: ${fixed(answer.nats_with_end)} nats`);
    }
  });
  const writer = new Writer(model, (text) => { change(text); field.focus(); }, onWriting);
  const frame = cardFrame(model, empty, tokens.element,
    el("dl", { class: "figures" }, Object.values(figures).map((one) => one.element)),
    writer.element, bars.element);

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
    figures.open.set(fixed(found.nats));
    figures.whole.set(fixed(found.nats_with_end));
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
    write: (text, options) => writer.start(text, options),
    stop: () => writer.stop(),
    writing: () => writer.isWriting,
    gone: () => writer.stop(),
  };
}
