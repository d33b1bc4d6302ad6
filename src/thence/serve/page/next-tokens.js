/** The next-token distribution as bars; each is a button that appends its token. */

import { el } from "./dom.js";
import { END, grouped, percent, tokenText } from "./format.js";

const FEW = 10;

/** Return why a token cannot be appended. */
function reasonNot(token) {
  return token.is_unknown ? "Stands for any symbol that the model does not know"
    : "Only part of a character: it cannot be appended by itself";
}

/** The next-token distribution of a model. */
export class NextBars {
  /** @param {(token: Object) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.list = el("ol", { class: "bars" });
    this.rest = el("p", { class: "rest" });
    this.more = el("button", { type: "button", class: "quiet", on: { click: () => this.toggle() } });
    this.all = false;
    this.following = null;
    this.element = el("section", { class: "next" }, el("h3", {}, "Next token"), this.list, this.rest, this.more);
  }

  toggle() {
    this.all = !this.all;
    this.show(this.following);
  }

  /** Show a distribution; the keyboard stays at the place where it was. */
  show(following) {
    this.following = following;
    const focused = [...this.list.querySelectorAll("button")].indexOf(document.activeElement);
    const shown = following.tokens.filter((token, place) => this.all || place < FEW || token.is_boundary);
    const largest = Math.max(...shown.map((token) => token.probability), 1e-9);
    this.list.replaceChildren(...shown.map((token) => this.bar(token, largest)));
    const hidden = following.tokens.filter((token) => !shown.includes(token));
    const mass = following.remaining + hidden.reduce((sum, token) => sum + token.probability, 0);
    const others = following.others + hidden.length;
    this.rest.textContent = others > 0 ? `${percent(mass)} for ${grouped(others)} other tokens` : "";
    this.more.hidden = following.tokens.length <= FEW + 1;
    this.more.textContent = this.all ? "Show fewer" : `Show ${following.tokens.length}`;
    if (focused >= 0) {
      const buttons = this.list.querySelectorAll("button");
      buttons[Math.min(focused, buttons.length - 1)]?.focus();
    }
  }

  bar(token, largest) {
    const text = tokenText(token);
    const does = token.is_boundary ? "end the document" : `append ${text}`;
    const fits = token.is_boundary || token.text !== null;
    return el("li", {}, el("button", {
      type: "button", class: token.is_boundary ? "bar special" : "bar", disabled: !fits,
      title: fits ? null : reasonNot(token),
      "data-token": token.name, "data-probability": token.probability,
      "aria-label": `${text === END ? "End of document" : text}, ${percent(token.probability)}: ${does}`,
      vars: { "--share": `${(100 * token.probability) / largest}%` },
      on: { click: () => this.onChoose(token) },
    }, el("span", { class: "mono name" }, text === END ? `${END} end` : text),
    el("span", { class: "track" }, el("span", { class: "fill" })),
    el("span", { class: "number" }, percent(token.probability))));
  }
}
