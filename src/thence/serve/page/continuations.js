/** Continuations of the text as a tree: common beginnings are merged, a thicker branch is likelier. */

import { post } from "./api.js";
import { announce, el, errorLine, freshId } from "./dom.js";
import { END, visible } from "./format.js";
import { keep, value } from "./state.js";
import { withUnit } from "./units.js";

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

export class ContinuationsAction {
  id = "generate";
  title = "Generate";
  again = false;

  constructor(scene) {
    this.scene = scene;
    this.count = number("samples", "Samples", 12, 1, 32);
    this.length = number("length", "Tokens at most", 30, 1, 400);
    this.seed = number("seed", "Seed", "", 0, 2 ** 31);
    this.seed.input.placeholder = "any";
    this.trees = el("div", { class: "trees" });
    this.asking = new Map();
    this.stopButton = el("button", { type: "button", disabled: true, on: { click: () => this.stop() } }, "Stop");
    const form = el("form", { class: "row" }, this.count.element, this.length.element, this.seed.element,
      el("div", { class: "buttons" }, el("button", { class: "primary" }, "Sample"), this.stopButton));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.sample();
    });
    this.element = el("div", { class: "stack" }, form,
      el("p", { class: "hint" }, "Drawn with the temperature, top-k and top-p of the inspector. Press a branch to take it."), this.trees);
  }

  open() {
    this.sample();
  }

  stop() {
    for (const one of this.asking.values()) one.abort();
  }

  async sample() {
    const { chosen, text, sampling } = this.scene();
    const settings = { text, count: this.count.read() ?? 12, max_tokens: this.length.read() ?? 30, temperature: sampling.temperature, top_p: sampling.top_p };
    if (sampling.top_k > 0) settings.top_k = sampling.top_k;
    if (this.seed.read() !== null) settings.seed = this.seed.read();
    this.stop();
    const sections = chosen.map((model, place) => {
      const body = el("div", { class: "tree-body" }, el("p", { class: "hint" }, "Sampling …"));
      return { model, body, element: el("section", { class: `tree-of c${place + 1}`, "data-model": model.id }, el("h2", { class: "model-heading" }, el("span", { class: "swatch-dot" }), model.id), body) };
    });
    this.trees.replaceChildren(...sections.map((one) => one.element));
    this.stopButton.disabled = false;
    await Promise.all(sections.map(({ model, body }) => this.fill(model, body, settings)));
    this.stopButton.disabled = true;
  }

  async fill(model, body, settings) {
    const mine = new AbortController();
    this.asking.set(model.id, mine);
    try {
      const found = await post("/playground/continuations", { model: model.id, ...settings }, mine.signal);
      body.replaceChildren(...this.draw(found.continuations, settings.text, model.id));
      announce(`${model.id}: ${found.continuations.length} continuations`);
    } catch (error) {
      const error_ = errorLine();
      error_.show(error.name === "AbortError" ? "Stopped." : error.message);
      body.replaceChildren(error_.element);
    }
    if (this.asking.get(model.id) === mine) this.asking.delete(model.id);
  }

  draw(continuations, text, name) {
    const copies = continuations.filter((one) => one.copied).length;
    const known = continuations.some((one) => one.copied !== null);
    const rtl = RIGHT_TO_LEFT.test(text + continuations.map((one) => one.text).join(""));
    return [
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Continuations by ${name}` },
        el("div", { class: "tree", dir: rtl ? "rtl" : "ltr" }, this.branches(merge(continuations), "", continuations.length, text))),
      el("p", { class: "hint" }, known ? `${copies} of ${continuations.length} are copies of the train text, marked `
        : "The train text is not at hand, so copies are not marked.", known ? el("span", { class: "tag copy" }, "in train") : null,
      known ? ". Underlined: the longest part of a sample that the train text has." : null),
    ];
  }

  branches(nodes, before, total, text) {
    return nodes.map((node) => {
      const whole = before + node.text;
      const label = node.text === "" ? END : visible(node.text).replaceAll("␣", " ");
      const end = node.ends.find((one) => one.finished);
      const share = node.count / total;
      return el("div", { class: "branch" },
        el("button", {
          type: "button", class: "node", vars: { "--share": `${(100 * share).toFixed(1)}%` }, dir: "auto",
          title: `${node.count} of ${total} samples, ${withUnit(node.bits, 1)} from the text`,
          "aria-label": `${label}, ${node.count} of ${total} samples: take it`, "data-text": whole,
          on: { click: () => this.take(whole, text) },
        }, marked(label, node), end && label !== END ? el("span", { class: "end" }, END) : null, end?.copied ? el("span", { class: "tag copy" }, "in train") : null),
        node.children.length === 0 ? null : el("div", { class: "children" }, this.branches(node.children, whole, total, text)));
    });
  }

  take(added, text) {
    const { editor } = this.scene();
    if (editor.text !== text) return; // The text has changed since.
    editor.replace(text.length, text.length, added);
    announce(`Appended ${added}`);
  }
}

/** Merge continuations into a tree whose nodes are runs of tokens without a branch. */
function merge(continuations) {
  const grow = (group, depth, bits) => {
    const byToken = new Map();
    for (const one of group) {
      if (depth >= one.tokens.length) continue;
      const token = one.tokens[depth];
      byToken.set(token, [...(byToken.get(token) ?? []), one]);
    }
    return [...byToken.values()].sort((left, right) => right.length - left.length).map((same) => {
      const node = { text: "", count: same.length, bits, ends: [], children: [], first: depth, samples: same };
      let at = depth;
      for (;;) {
        const [one] = same;
        node.text += one.tokens[at];
        node.bits += one.bits[at] ?? 0;
        at += 1;
        node.ends = same.filter((each) => each.tokens.length <= at);
        const goesOn = same.filter((each) => each.tokens.length > at);
        if (goesOn.length < same.length || new Set(goesOn.map((each) => each.tokens[at])).size !== 1) {
          node.last = at;
          node.children = grow(goesOn, at, node.bits);
          // An end is no branch of its own: it is marked on the node.
          const ended = node.children.filter((child) => child.text === "" && child.children.length === 0);
          node.ends = [...node.ends, ...ended.flatMap((child) => child.samples)];
          node.children = node.children.filter((child) => !ended.includes(child));
          return node;
        }
      }
    });
  };
  return grow(continuations, 0, 0);
}

/** Underline the part of a leaf that is the longest copy. */
function marked(label, node) {
  const match = node.children.length === 0 && node.samples.length === 1 ? node.samples[0].match : null;
  if (!match || match[1] - match[0] < 4) return label;
  const tokens = node.samples[0].tokens;
  const size = (first, stop) => tokens.slice(Math.max(first, node.first), Math.max(stop, node.first)).join("").length;
  const start = size(node.first, match[0]);
  const stop = size(node.first, Math.min(match[1], node.last));
  if (stop <= start) return label;
  return el("span", {}, label.slice(0, start), el("span", { class: "match" }, label.slice(start, stop)), label.slice(stop));
}

function number(key, label, start, min, max) {
  const input = el("input", { type: "number", id: freshId("number"), name: key, inputmode: "numeric", min, max, step: 1 });
  input.value = value(key, start);
  input.addEventListener("input", () => keep(key, input.value || null));
  return { element: el("div", { class: "field narrow" }, el("label", { for: input.id }, label), input), input,
    read: () => (input.value === "" ? null : Math.min(max, Math.max(min, Number(input.value)))) };
}

