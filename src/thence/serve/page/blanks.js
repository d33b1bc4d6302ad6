/** The blanks tab: what may stand where something is missing. */

import { newest, post } from "./api.js";
import { Cards, cardFrame, modelChips } from "./choosing.js";
import { el, freshId } from "./dom.js";
import { keep, value } from "./state.js";
import { fixed, grouped, percent, visible } from "./words.js";

/** Fill the tab. */
export function blanksTab(panel, app) {
  const field = el("input", { type: "text", id: freshId("blanks"), spellcheck: "false", autocapitalize: "off",
    autocomplete: "off", maxlength: 500, placeholder: "Mar___" });
  field.value = value("blanks", "");
  const count = el("input", { type: "number", id: freshId("count"), min: 1, max: 50, required: true, inputmode: "numeric" });
  count.value = value("fillings", "10");
  const cards = new Cards(blanksCard);
  const chips = modelChips(app.languageModels, "m", 2, fillAll);

  function fillAll() {
    const text = field.value;
    for (const card of cards.show(chips.chosen())) card.fill(text, Number(count.value) || 10);
  }
  field.addEventListener("input", () => keep("blanks", field.value));
  count.addEventListener("input", () => keep("fillings", count.value));

  const form = el("form", { class: "row" },
    el("div", { class: "field wide" }, el("label", { for: field.id }, "A document with blanks"), field),
    el("div", { class: "field narrow" }, el("label", { for: count.id }, "Fillings"), count),
    el("button", { class: "primary" }, "Fill in"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    fillAll();
  });
  panel.append(form,
    el("p", { class: "hint" }, "Write _ or ___ where something is missing. The text on both sides of a blank "
      + "decides, and the end of the document counts."),
    chips.element, cards.element);
  return { show: fillAll };
}

function blanksCard(model) {
  const list = el("ol", { class: "fillings" });
  const note = el("p", { class: "hint" });
  const frame = cardFrame(model, list, note);
  const ask = newest(
    (signal, text, count) => {
      note.textContent = "Looking …";
      const blank = text.includes("___") ? "___" : "_";
      return post("/playground/fill", { model: model.id, text, count, blank }, signal);
    },
    (found) => {
      frame.warn(null);
      list.replaceChildren(...found.fillings.map((one) => filling(one)));
      note.textContent = found.exact
        ? `All ${grouped(found.found)} possible fillings were judged.`
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
      note.textContent = text === "" ? "Nothing is written yet." : "There is no blank in this text yet: write _ somewhere.";
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
