/** Checkboxes to choose models, and a card for each chosen model. */

import { el, errorLine, freshId } from "./dom.js";
import { keep, several } from "./state.js";
import { brief } from "./format.js";

/** Return a model's family, tokens and size. */
export function description(model) {
  return `${model.family} · ${model.tokens} · ${brief(model.parameters)} parameters`;
}

/**
 * Let the reader choose among models.
 * @param {Object[]} models What there is.
 * @param {string} key Under which the choice is kept in the address.
 * @param {number} first How many are chosen at first.
 * @param {() => void} onChange
 * @returns The element, and a function that gives the chosen models in order.
 */
export function modelChips(models, key, first, onChange) {
  const wanted = several(key) ?? models.slice(0, first).map((model) => model.id);
  const boxes = models.map((model) => {
    const box = el("input", { type: "checkbox", id: freshId("model"), value: model.id });
    box.checked = wanted.includes(model.id);
    box.addEventListener("change", () => {
      keep(key, boxes.filter((one) => one.checked).map((one) => one.value));
      onChange();
    });
    return box;
  });
  const element = el("fieldset", { class: "chips" }, el("legend", {}, "Models"),
    boxes.map((box, place) => el("span", { class: "chip" }, box,
      el("label", { for: box.id, title: description(models[place]) }, box.value))));
  return { element, chosen: () => models.filter((_, place) => boxes[place].checked) };
}

/** A grid of cards, one per model; those of models that stay chosen are kept. */
export class Cards {
  /** @param {(model: Object) => Object} make Returns a card with at least its `element`. */
  constructor(make) {
    this.make = make;
    this.element = el("div", { class: "cards" });
    this.known = new Map();
  }

  /** Show the cards of these models, and return them. */
  show(models) {
    const names = new Set(models.map((model) => model.id));
    for (const [name, card] of this.known) {
      if (!names.has(name)) {
        card.gone?.();
        this.known.delete(name);
      }
    }
    for (const model of models) {
      if (!this.known.has(model.id)) this.known.set(model.id, this.make(model));
    }
    const cards = models.map((model) => this.known.get(model.id));
    const elements = cards.map((card) => card.element);
    const same = elements.length === this.element.children.length
      && elements.every((element, place) => element === this.element.children[place]);
    if (!same) this.element.replaceChildren(...elements);
    if (cards.length === 0) {
      this.element.replaceChildren(el("p", { class: "empty" }, "Choose a model above."));
    }
    return cards;
  }
}

/** The frame of a card: what the model is, and a place for problems. */
export function cardFrame(model, ...parts) {
  const error = errorLine();
  const id = freshId("card");
  const element = el("article", { class: "card", "aria-labelledby": id, "data-model": model.id },
    el("header", {}, el("h2", { id }, model.id), el("p", { class: "about" }, description(model))),
    error.element, ...parts);
  return {
    element,
    /** Show what went wrong, or nothing. */
    warn(sentence) {
      error.show(sentence);
      element.classList.toggle("stale", Boolean(sentence));
    },
  };
}
