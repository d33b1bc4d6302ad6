/** The figures of a text for each model, in one unit for the whole page. */

import { el } from "./dom.js";
import { fixed, grouped } from "./format.js";
import { totalBits } from "./readings.js";
import { fromBits, unitName } from "./units.js";

/**
 * A table with a row for each model.
 * @param {Object[]} models The chosen ones.
 * @param {Object[]} strips Those that have answered.
 */
export function figures(models, strips) {
  const write = (bits, digits = 2) => (bits === null ? "∞" : fixed(fromBits(bits), digits));
  const columns = ["tokens", `surprisal, ${unitName()}`, "with its end", "per token", "perplexity"];
  const hints = ["", "Minus the log-likelihood of the text as the beginning of a document", "Minus the log-likelihood of the text as a whole document", "",
    "As uncertain as a choice among so many equally likely tokens"];
  const byCharacter = strips.some((strip) => strip.ids.length !== Array.from(strip.text).length);
  if (byCharacter) columns.push("per character");
  const rows = strips.map((strip) => {
    const place = models.findIndex((model) => model.id === strip.model);
    const bits = totalBits(strip);
    const count = strip.ids.length;
    const characters = Array.from(strip.text).length;
    const mean = (number) => (count === 0 ? "–" : write(bits === null ? null : bits / number));
    const whole = bits === null || strip.end_bits === null ? null : bits + strip.end_bits;
    const cells = [grouped(count), count === 0 ? "–" : write(bits, 1), write(whole, 1), mean(count), count === 0 ? "–" : bits === null ? "∞" : fixed(2 ** (bits / count))];
    if (byCharacter) cells.push(mean(characters));
    return el("tr", { class: `c${place + 1}`, "data-model": strip.model }, el("th", { scope: "row" }, el("span", { class: "swatch-dot" }), strip.model),
      cells.map((cell) => el("td", { class: "number" }, cell)));
  });
  const body = el("table", { class: "table text-figures" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "model"), columns.map((name, place) => el("th", { scope: "col", class: "number", title: hints[place] || null }, name)))),
    el("tbody", {}, rows));
  return body;
}
