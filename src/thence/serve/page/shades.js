/** Colours of tokens: by surprisal in bits, or by rank. */

import { el } from "./dom.js";
import { fromBits, unitName } from "./units.js";

/** Where one colour ends and the next begins, in bits. */
export const STEPS = [1, 2, 3, 4.5, 6, 8, 10];
/** The last rank of each colour. */
export const RANKS = [1, 3, 10, 30, 100, 1000];

/** Return the class of the colour for a surprisal. */
export function shade(bits) {
  if (bits === null) return `s${STEPS.length}`;
  const place = STEPS.findIndex((step) => bits < step);
  return `s${place < 0 ? STEPS.length : place}`;
}

/** Return the class of the colour for a rank, 1 the most probable. */
export function rankShade(rank) {
  if (rank === null || rank === undefined) return "";
  const place = RANKS.findIndex((last) => rank <= last);
  return `r${place < 0 ? RANKS.length : place}`;
}

function legend(what, classes, names) {
  return el("p", { class: "legend" }, what, names.map((name, place) => el("span", { class: `swatch ${classes}${place}` }, name)));
}

/** The legend of the colours of surprisal. */
export function surprisalLegend() {
  const says = (step) => String(Number(fromBits(step).toFixed(1)));
  const names = STEPS.map((step, place) => (place === 0 ? "0" : says(STEPS[place - 1])));
  return legend(`Surprisal in ${unitName()}, from: `, "s", [...names, `${says(STEPS.at(-1))} and more`]);
}

/** The legend of the colours of ranks. */
export function rankLegend() {
  return legend("Rank among all tokens, up to: ", "r", [...RANKS.map(String), "more"]);
}
