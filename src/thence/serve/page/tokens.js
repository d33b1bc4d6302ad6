/** A text with every token coloured by its surprisal, and a tooltip on each. */

import { el } from "./dom.js";
import { hideIfGone, tip } from "./tooltip.js";
import { END, fixed, grouped, percent, tokenText } from "./format.js";

/** Where one colour ends and the next begins, in bits. */
export const STEPS = [1, 2, 3, 4.5, 6, 8, 10];

/** Return the class of the colour for a surprisal. */
export function shade(surprisal) {
  if (surprisal === null) return `s${STEPS.length}`;
  const place = STEPS.findIndex((step) => surprisal < step);
  return `s${place < 0 ? STEPS.length : place}`;
}

/** The legend of the colours. */
export function surprisalLegend() {
  const names = STEPS.map((step, place) => (place === 0 ? "0" : String(STEPS[place - 1])));
  return el("p", { class: "legend" }, "Surprisal in bits, from: ",
    [...names, `${STEPS.at(-1)} and more`].map((name, place) => el("span", { class: `swatch s${place}` }, name)));
}

/** Move through the children of an element with the arrow keys; one of them is a tab stop. */
export function roving(element, selector) {
  element.addEventListener("keydown", (event) => {
    const stops = [...element.querySelectorAll(selector)];
    const place = stops.indexOf(document.activeElement);
    const moves = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: stops.length - 1 };
    if (place < 0 || !(event.key in moves)) return;
    event.preventDefault();
    const next = stops[Math.min(Math.max(moves[event.key], 0), stops.length - 1)];
    stops[place].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

/** Tokens that are shown at most: those at the end. */
const MOST_SHOWN = 2000;

/** A list of tokens. */
export class Tokens {
  constructor(label) {
    this.element = el("div", { class: "tokens", role: "list", "aria-label": label });
    roving(this.element, ".token");
  }

  /**
   * Show tokens as they were read.
   * @param {Object[]} tokens Of an answer of /playground/read.
   * @param {Object|null} end What the end of the document costs, if it ends here.
   */
  show(tokens, end = null) {
    const spans = tokens.slice(-MOST_SHOWN).map((token) => makeToken(token));
    if (end !== null) spans.push(makeToken(end));
    if (spans.length > 0) spans[0].tabIndex = 0;
    this.element.replaceChildren(...spans);
    if (tokens.length > MOST_SHOWN) {
      this.element.prepend(el("span", { class: "hint", role: "listitem" }, `… ${grouped(tokens.length - MOST_SHOWN)} tokens before `));
    }
    this.element.hidden = spans.length === 0;
    hideIfGone();
  }
}

function makeToken(token) {
  const text = tokenText(token);
  const shown = text === END ? "end of document" : text;
  const kinds = ["token", shade(token.surprisal)];
  if (token.is_boundary) kinds.push("special");
  if (token.is_unknown) kinds.push("unknown");
  const span = el("span", {
    class: kinds.join(" "), role: "listitem", tabindex: -1,
    "aria-label": `${shown}: ${fixed(token.surprisal)} bits, ${percent(token.probability)}`,
  }, text);
  tip(span, () => explain(token, shown));
  return span;
}

function explain(token, shown) {
  const parts = [
    el("p", {}, el("strong", { class: "mono" }, shown),
      token.is_unknown ? " (unknown to this model)" : "", ` ${percent(token.probability)}`),
    el("p", {}, `${fixed(token.surprisal)} bits; perplexity so far ${fixed(token.perplexity, 1)}`),
  ];
  if (token.alternatives.length > 0) {
    parts.push(el("p", { class: "instead" }, "Most probable here:"), el("ul", { class: "alternatives" },
      token.alternatives.map((one) => el("li", {
        class: one.id === token.id ? "it" : null, vars: { "--share": `${one.probability * 100}%` },
      }, el("span", { class: "mono" }, tokenText(one) === END ? `${END} end` : tokenText(one)), el("span", {}, percent(one.probability))))));
  }
  return parts;
}
