/** The lenses of how tokens bear on one another: attention, why, and what each layer predicts. */

import { el } from "./dom.js";
import { END, fixed, percent } from "./format.js";
import { shade } from "./shades.js";
import { fromBits, unitName, withUnit } from "./units.js";

/** Side of a small picture of a head, in pixels of the screen. */
const SMALL = 72;

function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Paint a matrix of shares from 0 to 1, darker is more. */
function paint(canvas, rows, columns, share) {
  const [height, width] = [rows, columns];
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d");
  pen.fillStyle = colourOf("--surface");
  pen.fillRect(0, 0, width, height);
  pen.fillStyle = colourOf("--heat");
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      pen.globalAlpha = Math.min(1, share(row, column));
      pen.fillRect(column, row, 1, 1);
    }
  }
}

/**
 * Attention: a small picture of each head, and the text as the chosen token looks at it; while the
 * pointer is on a picture, as the token of that row does by that head.
 */
export function drawAttention(look, scene) {
  const { layers, starts, places } = look.lenses.attention;
  const memory = scene.memory;
  memory.layer = Math.min(memory.layer ?? layers.length - 1, layers.length - 1);
  const count = layers[memory.layer].heads.length;
  memory.head = Math.min(memory.head ?? 0, count); // One beyond the last: their mean.
  const [queries, keys] = [layers[0].heads[0].length, layers[0].heads[0][0].length];
  const chosen = Math.min(Math.max(scene.chosen - places[0], 0), queries - 1);
  const sentence = el("p", { class: "attention-of" });
  const cells = Array.from({ length: keys }, (_, key) => {
    const index = starts + key;
    return el("button", { type: "button", disabled: index < 0 || index > scene.chosen, tabindex: -1, on: { click: () => scene.choose(index) }, class: "cell heat" },
      el("span", {}, scene.word(index)), el("span", { class: "small" }));
  });
  const show = (layer, head, query) => {
    const { heads, name } = layers[layer];
    sentence.replaceChildren("After reading ", el("strong", { class: "mono", dir: "auto" }, scene.word(places[0] + query)), `, ${name}, ${head === heads.length ? "its heads together" : `head ${head + 1}`}, looks at:`);
    cells.forEach((cell, key) => {
      const weight = head === heads.length ? heads.reduce((sum, one) => sum + one[query][key], 0) / heads.length : heads[head][query][key];
      cell.classList.toggle("later", starts + key > places[0] + query);
      cell.classList.toggle("on", starts + key === places[0] + query);
      cell.style.setProperty("--strength", `${(weight * 72).toFixed(1)}%`);
      cell.title = percent(weight);
      cell.lastChild.textContent = percent(weight).replace(" %", "");
    });
  };
  const back = () => show(memory.layer, memory.head, chosen);
  const onHover = (layer, head) => ({
    pointermove: (event) => {
      const box = event.currentTarget.querySelector("canvas")?.getBoundingClientRect();
      show(layer, head, box ? Math.min(queries - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * queries))) : chosen);
    },
    pointerleave: back,
  });
  const pictures = layers.map((layer, number) => el("div", { class: "head-row", role: "group", "aria-label": layer.name },
    el("span", { class: "head-name" }, layer.name),
    [...layer.heads.keys()].map((head) => {
      const canvas = el("canvas", { class: "head-picture", vars: { "--side": `${SMALL}px` } });
      paint(canvas, queries, keys, (from, to) => layer.heads[head][from][to]);
      return headButton(scene, number, head, `${layer.name}, head ${head + 1}`, canvas, onHover(number, head));
    }), headButton(scene, number, layer.heads.length, `${layer.name}, mean of its heads`, "mean", onHover(number, layer.heads.length))));
  back();
  return [
    sentence,
    el("div", { class: "token-row", dir: "auto" }, cells),
    el("p", { class: "hint" }, "Per cent of its attention. Below, each picture is a head: a row looks at columns, from the beginning of the text. Point at a row to see it in the text; press a head to keep it."),
    el("div", { class: "heads scroll", tabindex: 0, role: "region", "aria-label": "Heads" }, pictures),
  ];
}

function headButton(scene, layer, head, label, content, onHover) {
  const chosen = scene.memory.layer === layer && scene.memory.head === head;
  return el("button", {
    type: "button", class: "head-button", "aria-pressed": String(chosen), title: label, "aria-label": typeof content === "string" ? `${content}: ${label}` : label,
    "data-head": `${layer}-${head}`,
    on: {
      ...onHover,
      click: () => {
        Object.assign(scene.memory, { layer, head });
        scene.redraw();
        document.querySelector(`[data-head="${layer}-${head}"]`)?.focus();
      },
    },
  }, content);
}

/** How much each earlier token mattered for the chosen one. */
export function drawWhy(look, scene) {
  const { matrix, method, about, starts = -1, places } = look.lenses.why ?? look.lenses.occlusion;
  const row = matrix[scene.chosen - places[0]];
  if (!row) return [el("p", { class: "hint" }, "This token is not shown.")];
  const largest = Math.max(...row.map((value) => Math.abs(value)), 1e-9);
  const cells = row.map((value, key) => {
    const index = starts + key;
    if (index >= scene.chosen) return null;
    return el("button", {
      type: "button", class: `cell lean ${value >= 0 ? "for" : "against"}`, tabindex: index === scene.chosen - 1 ? 0 : -1, disabled: index < 0,
      vars: { "--strength": `${((75 * Math.abs(value)) / largest).toFixed(1)}%` }, title: withUnit(value), on: { click: () => scene.choose(index) },
    }, el("span", {}, scene.word(index)), el("span", { class: "small" }, fixed(fromBits(value)).replace("-", "−")));
  });
  cells.push(el("span", { class: "cell on" }, el("span", {}, scene.word(scene.chosen)), el("span", { class: "small" }, fixed(fromBits(scene.strip.bits[scene.chosen])))));
  return [
    el("p", {}, "Why ", el("strong", { class: "mono", dir: "auto" }, scene.word(scene.chosen)), " ", contrast(scene), ": the tokens before it that spoke ",
      el("span", { class: "swatch lean for", vars: { "--strength": "60%" } }, "for"), " or ", el("span", { class: "swatch lean against", vars: { "--strength": "60%" } }, "against"), ` it, in ${unitName()}`,
      method === "occlusion" ? ", by leaving each out." : ", by the gradient."),
    el("div", { class: "token-row", dir: "auto", role: "group", "aria-label": "What mattered" }, cells.filter(Boolean)),
    about ? el("p", { class: "hint" }, about) : null,
    el("p", { class: "hint" }, "Choose another token in the strips above, or by the arrows of the inspector."),
  ].filter(Boolean);
}

/** The choice of a token to compare with: why the chosen one and not that one. */
function contrast(scene) {
  const likely = (scene.strip.at?.tokens ?? []).filter((token) => token.text?.trim() && token.id !== scene.strip.ids[scene.chosen]).slice(0, 12);
  const names = [...new Set([scene.memory.against, ...likely.map((token) => token.name)].filter(Boolean))];
  const control = el("select", { "aria-label": "And not another token", class: "inline", "data-choice": "against", on: {
    change: () => {
      scene.memory.against = control.value || null;
      scene.ask();
    },
  } }, el("option", { value: "" }, "at all"), names.map((name) => el("option", { value: name }, `and not ${name}`)));
  control.value = scene.memory.against ?? "";
  return control;
}

/** The predictions of each layer, as if it were the last (logit lens). */
export function drawLayers(look, scene) {
  const { layers, places } = look.lenses.layers;
  const at = scene.chosen - places[0];
  const first = Math.max(0, Math.min(at - 7, layers[0].tokens.length - 15));
  const span = layers[0].tokens.slice(first, first + 15).map((_, number) => first + number);
  return [
    el("p", { class: "hint" }, "The most probable token of each layer, coloured by the surprisal of the one that stands there (the lowest row)."),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Layers" }, el("table", { class: "layer-table" },
      el("tbody", {}, [...layers].reverse().map((layer) => el("tr", {}, el("th", { scope: "row" }, layer.name), span.map((number) => {
        const token = layer.tokens[number];
        return el("td", { class: `${shade(token.bits)}${number === at ? " on" : ""}`, title: `${withUnit(token.bits)}, rank ${token.rank}` }, el("span", { class: "mono", dir: "auto" }, piece(token.top[0])));
      }))), el("tr", {}, el("th", { scope: "row" }, "text"), span.map((number) => el("td", { class: number === at ? "mono on" : "mono", dir: "auto" }, scene.word(places[0] + number))))))),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Chosen token by layer" }, el("table", { class: "table" },
      el("thead", {}, el("tr", {}, ["layer", `${unitName()} of ${scene.word(scene.chosen)}`, "rank", "most probable"].map((name, place) => el("th", { scope: "col", class: place === 1 || place === 2 ? "number" : null }, name)))),
      el("tbody", {}, layers.map((layer) => {
        const token = layer.tokens[at];
        return el("tr", {}, el("th", { scope: "row" }, layer.name), el("td", { class: "number" }, fixed(fromBits(token?.bits))), el("td", { class: "number" }, String(token?.rank ?? "–")),
          el("td", { class: "mono" }, (token?.top ?? []).slice(0, 4).map((one) => `${piece(one)} ${percent(one.probability)}`).join(", ")));
      })))),
  ];
}

function piece(token) {
  if (!token) return "";
  if (/^<(boundary|bos|eos)>$/.test(token.text)) return END;
  return token.text.trim() || "␣";
}
