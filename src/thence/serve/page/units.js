/** The unit of surprisal: one for the whole page, bits unless the address says another. */

import { labelled } from "./dom.js";
import { fixed } from "./format.js";
import { select, value } from "./state.js";

/** How much of each unit a bit is. */
const UNITS = { bits: 1, nats: Math.LN2, log10: Math.log10(2) };
const TITLES = { bits: "bits (default)", nats: "nats", log10: "powers of ten" };

/** Return the name of the unit. */
export function unitName() {
  return UNITS[value("unit")] ? value("unit") : "bits";
}

/** Return a surprisal in the unit; one that is not known stays so. */
export function fromBits(bits) {
  return bits === null || bits === undefined ? null : bits * UNITS[unitName()];
}

/** Return a surprisal or a loss in the unit, given in nats. */
export function fromNats(nats) {
  return nats === null || nats === undefined ? null : fromBits(nats / Math.LN2);
}

/** Write a surprisal, given in bits, with its unit. */
export function withUnit(bits, digits = 2) {
  return `${fixed(fromBits(bits), digits)} ${unitName()}`;
}

/** Return a title such as "Bits per token". */
export function unitPer(what) {
  const name = unitName();
  return `${name[0].toUpperCase()}${name.slice(1)} per ${what}`;
}

let choices = [];

/** The choice of the unit; each place has one, and all of them change together. */
export function unitChoice(onChange) {
  const control = select("unit", TITLES, "bits", () => {
    choices = choices.filter((one) => one.control.isConnected);
    for (const other of choices) {
      other.control.value = control.value;
      other.onChange();
    }
  });
  choices.push({ control, onChange });
  const choice = labelled("Unit", control);
  choice.classList.add("unit");
  return choice;
}
