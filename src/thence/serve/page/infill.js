/** The infill tab: the likeliest ways to fill the blanks of a text. */

import { newest, post } from "./api.js";
import { Cards, cardFrame, modelChips } from "./model-cards.js";
import { el, freshId } from "./dom.js";
import { keep, value } from "./state.js";
import { fixed, grouped, percent, visible } from "./format.js";

/** Fill the tab. */
export function infillTab(panel, app) {
  const field = el("input", { type: "text", id: freshId("infill"), spellcheck: "false", autocapitalize: "off",
    autocomplete: "off", maxlength: 500, placeholder: "Mar___" });
  field.value = value("infill", value("blanks"));
  const count = el("input", { type: "number", id: freshId("count"), min: 1, max: 50, required: true, inputmode: "numeric" });
  count.value = value("fillings", "10");
  const cards = new Cards(infillCard);
  const chips = modelChips(app.languageModels, "m", 2, fillAll);

  function fillAll() {
    const text = field.value;
    for (const card of cards.show(chips.chosen())) card.fill(text, Number(count.value) || 10);
  }
  field.addEventListener("input", () => keep("infill", field.value));
  count.addEventListener("input", () => keep("fillings", count.value));

  const form = el("form", { class: "row" },
    el("div", { class: "field wide" }, el("label", { for: field.id }, "A document with blanks"), field),
    el("div", { class: "field narrow" }, el("label", { for: count.id }, "Fillings"), count),
    el("button", { class: "primary" }, "Fill"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    fillAll();
  });
  panel.append(form,
    el("p", { class: "hint" }, "Write _ or ___ for each blank. The text on both sides of a blank counts, "
      + "and so does the end of the document."),
    chips.element, cards.element);
  return { show: fillAll };
}

function infillCard(model) {
  const list = el("ol", { class: "fillings" });
  const note = el("p", { class: "hint" });
  const frame = cardFrame(model, list, note);
  const ask = newest(
    (signal, text, count) => {
      note.textContent = "Searching …";
      const blank = text.includes("___") ? "___" : "_";
      return post("/playground/fill", { model: model.id, text, count, blank }, signal);
    },
    (found) => {
      frame.warn(null);
      list.replaceChildren(...found.fillings.map((one) => filling(one)));
      note.textContent = found.exact
        ? `All ${grouped(found.found)} possible fillings were scored.`
        : `The best of ${grouped(found.found)} that a search found; it may miss some.`;
    },
    (problem) => {
      list.replaceChildren();
      note.textContent = "";
      frame.warn(problem.message);
    },
  );
  return {
    element: frame.element,
    fill(text, count) {
      if (text.includes("_")) {
        ask(text, count);
        return;
      }
      frame.warn(null);
      list.replaceChildren();
      note.textContent = text === "" ? "Write a text with a blank above." : "This text has no blank yet: write _ somewhere.";
    },
  };
}

/** One filling: its blanks, its share, and the whole text. */
function filling(one) {
  return el("li", { "data-text": one.text, vars: { "--share": `${one.share * 100}%` } },
    el("span", { class: "mono filled" }, one.blanks.flatMap((blank, place) => [place > 0 ? " … " : null,
      el("strong", {}, visible(blank))])),
    el("span", { class: "number" }, percent(one.share)),
    el("span", { class: "mono whole" }, one.text),
    el("span", { class: "number soft", title: "Logarithm of the probability of the whole text" },
      `${fixed(one.log_probability).replace("-", "−")} nats`));
}
