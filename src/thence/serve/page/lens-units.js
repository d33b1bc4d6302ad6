/** The lenses of units: gates and activations over the text, and how far back gradients reach. */

import { el, svg } from "./dom.js";
import { fixed } from "./format.js";
import { tokenRow } from "./lens-counts.js";

/** Pixels of a unit and of a token in the picture. */
const CELL = { width: 16, height: 3 };
/** What gates say lies between these; other values are drawn on their own largest. */
const SHARES = new Set(["input", "forget", "output", "update", "reset"]);

/** The tables of a layer by name: its gates, or its values alone. */
function tablesOf(layer) {
  return layer.gates ?? { values: layer.values };
}

/** Units over the text: a picture of unit by token, and the text coloured by one unit. */
export function drawUnits(lens, scene) {
  const { layers, places } = lens;
  const memory = scene.memory;
  if (memory.wanted) {
    const place = layers.findIndex((layer) => memory.wanted === layer.name || memory.wanted.startsWith(`${layer.name} `));
    if (place >= 0) memory.unitLayer = place;
    memory.gate = memory.wanted.split(" ").at(-1);
    memory.wanted = null;
  }
  memory.unitLayer = Math.min(memory.unitLayer ?? layers.length - 1, layers.length - 1);
  const tables = tablesOf(layers[memory.unitLayer]);
  const names = Object.keys(tables);
  const name = names.includes(memory.gate) ? memory.gate : names[0];
  const values = tables[name]; // [token][unit]
  const count = values[0]?.length ?? 0;
  memory.unit = Math.min(memory.unit ?? liveliest(values), Math.max(count - 1, 0));
  const largest = SHARES.has(name) ? 1 : Math.max(1e-9, ...values.map((row) => row.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
  const say = (index) => values[index - places[0]]?.[memory.unit] ?? null;
  const [low, high] = values.reduce(([least, most], row) => [Math.min(least, row[memory.unit]), Math.max(most, row[memory.unit])], [Infinity, -Infinity]);
  const choice = (title, options, chosen, set) => (options.length < 2 ? null : el("div", { class: "chip-row", role: "group", "aria-label": title }, options.map((one, place) => el("button", {
    type: "button", class: "chip-button", "aria-pressed": String(place === chosen), "data-choice": `${title} ${one}`,
    on: { click: () => { set(place); scene.redraw(); document.querySelector(`[data-choice="${CSS.escape(`${title} ${one}`)}"]`)?.focus(); } },
  }, one))));
  const unit = el("input", { type: "range", min: 0, max: Math.max(count - 1, 0), step: 1, "aria-label": "Unit", "data-choice": "unit" });
  unit.value = memory.unit;
  const shown = el("div", { class: "stack tight" });
  const fill = () => shown.replaceChildren(
    el("p", {}, el("strong", {}, `Unit ${memory.unit + 1} of ${count}`), `, ${name}: from ${fixed(low)} to ${fixed(high)} over these tokens`),
    tokenRow({ ...scene, places }, (index) => {
      const value = say(index);
      return { text: scene.word(index), class: `lean ${value >= 0 ? "for" : "against"}`, vars: { "--strength": `${((75 * Math.abs(value ?? 0)) / largest).toFixed(1)}%` }, title: fixed(value, 3) };
    }, `Unit ${memory.unit + 1} after each token`));
  unit.addEventListener("input", () => {
    memory.unit = Number(unit.value);
    scene.redraw();
    document.querySelector('[data-choice="unit"]')?.focus();
  });
  fill();
  return [
    choice("Layer", layers.map((layer) => layer.name), memory.unitLayer, (place) => { memory.unitLayer = place; }),
    choice("Gate", names, names.indexOf(name), (place) => { memory.gate = names[place]; }),
    shown,
    el("div", { class: "field" }, unit),
    el("p", { class: "hint" }, SHARES.has(name) ? "Each row is a unit, each column a token: light is shut (0), dark is open (1). Press a row to see it in the text."
      : `Each row is a unit, each column a token: blue is positive, orange negative, up to ${fixed(largest)}. Press a row to see it in the text.`),
    el("div", { class: "scroll unit-scroll", tabindex: 0, role: "region", "aria-label": "Units over the text" }, picture(values, largest, scene, places)),
  ].filter(Boolean);
}

/** The unit that changes most over the text. */
function liveliest(values) {
  let [best, most] = [0, -1];
  for (let unit = 0; unit < (values[0]?.length ?? 0); unit += 1) {
    const mean = values.reduce((sum, row) => sum + row[unit], 0) / values.length;
    const spread = values.reduce((sum, row) => sum + (row[unit] - mean) ** 2, 0);
    if (spread > most) [best, most] = [unit, spread];
  }
  return best;
}

function picture(values, largest, scene, places) {
  const count = values[0]?.length ?? 0;
  const canvas = el("canvas", { class: "unit-canvas", width: values.length * CELL.width, height: count * CELL.height, role: "img", "aria-label": `${count} units over ${values.length} tokens` });
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const [positive, negative, ground, mark] = ["--for", "--against", "--surface", "--focus"].map((name) => style.getPropertyValue(name).trim());
  pen.fillStyle = ground;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  values.forEach((row, token) => row.forEach((value, unit) => {
    pen.globalAlpha = Math.min(1, Math.abs(value) / largest);
    pen.fillStyle = value >= 0 ? positive : negative;
    pen.fillRect(token * CELL.width, unit * CELL.height, CELL.width - 1, CELL.height);
  }));
  pen.globalAlpha = 1;
  pen.strokeStyle = mark;
  pen.lineWidth = 2;
  pen.strokeRect(0, scene.memory.unit * CELL.height - 1, canvas.width, CELL.height + 2);
  pen.strokeRect((scene.chosen - places[0]) * CELL.width, 0, CELL.width - 1, canvas.height);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    scene.memory.unit = Math.min(count - 1, Math.floor(((event.clientY - box.top) / box.height) * count));
    scene.redraw();
  });
  return canvas;
}

/** |d loss_t / d h_(t-k)| against k, on a logarithmic scale. */
export function drawFlow(look, scene) {
  const { layers } = look.lenses.flow;
  const [width, height, left, bottom] = [560, 220, 56, 30];
  const all = layers.flatMap((layer) => layer.norms).filter((norm) => norm > 0);
  if (all.length < 2) return [el("p", { class: "hint" }, "The text is too short: write some more tokens.")];
  const [low, high] = [Math.floor(Math.log10(Math.min(...all))), Math.ceil(Math.log10(Math.max(...all)))];
  const lags = Math.max(...layers.map((layer) => layer.norms.length));
  const x = (lag) => left + ((width - left - 10) * lag) / Math.max(lags - 1, 1);
  const y = (norm) => 8 + (height - bottom - 8) * (1 - (Math.log10(norm) - low) / Math.max(high - low, 1));
  const ticks = Array.from({ length: high - low + 1 }, (_, number) => low + number).filter((power, number, list) => list.length <= 8 || number % Math.ceil(list.length / 8) === 0);
  const steps = Array.from({ length: lags }, (_, lag) => lag).filter((lag) => lag % Math.ceil(lags / 10) === 0);
  return [
    el("p", {}, "How much the surprisal of a token depends on what the network remembered ", el("em", {}, "k"), " tokens before it. Where the line falls, the gradient vanishes."),
    el("p", { class: "legend" }, layers.map((layer, number) => el("span", { class: `c${(number % 6) + 1}` }, el("span", { class: "swatch-dot" }), ` ${layer.name} `))),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "flow", role: "img", "aria-label": `Gradient norms: ${layers.map((layer) => `${layer.name} from ${layer.norms[0].toExponential(1)} to ${layer.norms.at(-1).toExponential(1)}`).join("; ")}` },
      ticks.map((power) => svg("g", {}, svg("line", { x1: left, x2: width - 10, y1: y(10 ** power), y2: y(10 ** power), class: "grid" }),
        svg("text", { x: left - 6, y: y(10 ** power) + 4, class: "end" }, power === 0 ? "1" : `10${superscript(power)}`))),
      steps.map((lag) => svg("text", { x: x(lag), y: height - 12, class: "middle" }, String(lag))),
      svg("text", { x: (left + width) / 2, y: height - 0.5, class: "middle axis" }, "tokens before (k)"),
      layers.map((layer, number) => svg("path", { class: `line c${(number % 6) + 1}`, d: layer.norms.map((norm, lag) => [lag, norm]).filter(([, norm]) => norm > 0)
        .map(([lag, norm], place) => `${place === 0 ? "M" : "L"}${x(lag).toFixed(1)} ${y(norm).toFixed(1)}`).join("") }))),
  ];
}

function superscript(number) {
  return Array.from(String(number), (digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)])).join("");
}
