/** The lenses of context mixing, of learning from the text, of shapes, and of what units track. */

import { el } from "./dom.js";
import { fixed, grouped, percent } from "./format.js";
import { tokenRow } from "./lens-counts.js";
import { fromBits, fromNats, unitName, withUnit } from "./units.js";

const scroll = (label, table) => el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
const head = (names, numbers) => el("thead", {}, el("tr", {}, names.map((name, place) => el("th", { scope: "col", class: numbers.includes(place) ? "number" : null }, name))));
const lean = (value, full, more = "") => ({ class: `lean ${value >= 0 ? "for" : "against"} ${more}`, vars: { "--strength": `${(72 * Math.min(1, Math.abs(value) / full)).toFixed(1)}%` } });
const signed = (value) => `${value > 0 ? "+" : ""}${fixed(value)}`.replace("-", "−");

/** The gain of adaptation for each token. */
export function drawLearning(look, scene) {
  const of = (index) => look.lenses.learning[index - scene.places[0]];
  const token = of(scene.chosen);
  return [
    tokenRow(scene, (index) => {
      const gained = of(index)?.bits_gained ?? 0;
      return { text: scene.word(index), title: `${signed(fromBits(gained))} ${unitName()}`, ...lean(gained, 4) };
    }, "Tokens by what learning from the text gained"),
    token?.bits_gained == null ? el("p", { class: "hint" }, "Nothing is left of this model without what it learns from the text.")
      : el("p", {}, "Learning from the text before it made ", el("strong", { class: "mono", dir: "auto" }, scene.word(scene.chosen)),
        ` ${withUnit(Math.abs(token.bits_gained))} ${token.bits_gained >= 0 ? "less" : "more"} surprising: ${percent(token.probability)} without it, ${percent(token.probability * 2 ** token.bits_gained)} with it.`),
  ];
}

/** The inputs of context mixing that supported the chosen token. */
export function drawMixing(look, scene) {
  const found = look.lenses.mixing.tokens ?? look.lenses.mixing;
  const token = found[scene.chosen - scene.places[0]];
  if (!token) return [el("p", { class: "hint" }, "This token is not shown.")];
  const largest = Math.max(...token.inputs.map((one) => Math.abs(one.log_odds)), 1e-9);
  return [
    el("p", {}, el("strong", { class: "mono", dir: "auto" }, scene.word(scene.chosen)), ` has ${percent(token.probability)}, after ${token.decisions} ${token.decisions === 1 ? "decision" : "decisions"}. What spoke for it, and against it, in ${unitName()} of log-odds:`),
    scroll("Inputs of context mixing", el("table", { class: "table" }, head(["input", "log-odds"], [1]), el("tbody", {}, token.inputs.slice(0, 16).map((one) =>
      el("tr", {}, el("th", { scope: "row" }, one.name), el("td", lean(one.log_odds, largest, "number"), signed(fromNats(one.log_odds)))))))),
  ];
}

/** The inputs of a model, and the shapes of all arrays computed from them. */
export function drawShapes(look, scene) {
  const { stages, contexts, places } = look.lenses.shapes;
  const context = contexts[scene.chosen - places[0]];
  return [
    context ? el("p", {}, el("strong", { class: "mono", dir: "auto" }, scene.word(scene.chosen)), context.length === 0 ? " is predicted from nothing before it" : " is predicted from ",
      el("span", { class: "mono", dir: "auto" }, context.map((text) => (text === "<boundary>" ? "⊢" : text.trim() || "␣")).join(" ")), context.length === 0 ? "." : context.length === 1 ? ": the last token." : `: the last ${context.length} tokens.`)
      : el("p", {}, "This model may use all that came before in the document."),
    scroll("Shapes", el("table", { class: "table" }, head(["stage", "shape", "what it is"], []), el("tbody", {}, stages.map((stage) =>
      el("tr", {}, el("th", { scope: "row" }, stage.name), el("td", { class: "mono" }, `(${stage.shape.map(grouped).join(", ")})`), el("td", {}, stage.about)))))),
  ];
}

/** Units that correlate with features of the text. */
export function drawTracking(look, scene) {
  const { about, units } = look.lenses.units;
  if (units.length === 0) return [el("p", { class: "hint" }, about)];
  return [
    el("p", { class: "hint" }, `${about} Press a unit to see it over this text.`),
    scroll("Units and what they track", el("table", { class: "table" }, head(["feature", "unit", "correlation"], [2]), el("tbody", {}, units.map((one, place) =>
      el("tr", {}, el("th", { scope: "row" }, place > 0 && units[place - 1].feature === one.feature ? "" : one.feature),
        el("td", {}, el("button", { type: "button", class: "chip-button", "aria-label": `${one.layer}, unit ${one.unit + 1}: see it over the text`, on: { click: () => scene.open(one) } }, `${one.layer}, unit ${one.unit + 1}`)),
        el("td", lean(one.correlation, 1, "number"), signed(one.correlation))))))),
  ];
}
