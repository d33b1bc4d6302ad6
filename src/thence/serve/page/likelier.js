/** Which of two texts is likelier, and where the difference lies, token by token. */

import { el } from "./dom.js";
import { Editor } from "./editor.js";
import { END, fixed, minus, times } from "./format.js";
import { Reader, totalBits } from "./readings.js";
import { keep, value } from "./state.js";
import { fromBits, unitName, withUnit } from "./units.js";

/** Largest product of the texts' numbers of tokens that is aligned. */
const MOST_ALIGNED = 1200 ** 2;

export class LikelierAction {
  id = "likelier";
  title = "Compare texts";
  again = false;

  constructor(scene) {
    this.scene = scene;
    this.strips = new Map();
    this.editor = new Editor("The other text", value("other"), "Type another text", (text) => {
      keep("other", text);
      this.changed();
    });
    this.results = el("div", { class: "stack" });
    this.element = el("div", { class: "stack" }, el("div", { class: "field" }, this.editor.label, this.editor.field), this.results);
    this.reader = new Reader((strip) => {
      this.strips.set(strip.model, strip);
      this.draw();
    }, () => {});
  }

  open() {
    this.changed();
    this.editor.field.focus();
  }

  /** The text, the other text or the models have changed. */
  changed() {
    const { chosen } = this.scene();
    const missing = chosen.some((model) => this.strips.get(model.id)?.text !== this.editor.text);
    if (missing) this.reader.ask(chosen.map((model) => model.id), this.editor.text, null);
    this.draw();
  }

  draw() {
    const { chosen, strips, text } = this.scene();
    if (text === "" || this.editor.text === "") {
      this.results.replaceChildren(el("p", { class: "hint" }, "Write both texts: they are held against each other as whole documents, their ends included."));
      return;
    }
    const open = new Set([...this.results.querySelectorAll("details[open]")].map((one) => one.dataset.model));
    this.results.replaceChildren(...chosen.map((model, place) => {
      const pair = [strips.get(model.id), this.strips.get(model.id)];
      const isOld = (strip, now) => strip && !strip.problem && strip.text !== now;
      if (isOld(pair[0], text) || isOld(pair[1], this.editor.text) || pair.some((strip) => !strip || strip.problem)) return el("p", { class: "hint" }, pair.find((strip) => strip?.problem)?.problem ?? `${model.id} reads …`);
      const bits = pair.map(wholeBits);
      return el("section", { class: `c${place + 1} stack tight`, "data-model": model.id }, el("p", { class: "verdict" }, el("span", { class: "swatch-dot" }), ` ${sentence(model.id, bits)}`),
        el("p", { class: "hint" }, `${withUnit(bits[0], 1)} for the text, ${withUnit(bits[1], 1)} for the other, their ends included.`),
        el("details", { open: open.size === 0 ? place === 0 : open.has(model.id), "data-model": model.id }, el("summary", {}, "Token by token"), aligned(pair)));
    }));
  }
}

function wholeBits(strip) {
  const bits = totalBits(strip);
  return bits === null || strip.end_bits === null ? null : bits + strip.end_bits;
}

function sentence(name, [first, second]) {
  if (first === null && second === null) return `For ${name} both are impossible.`;
  if (first === null || second === null) return `For ${name} only the ${first === null ? "other" : "first"} text is possible.`;
  const difference = second - first;
  if (Math.abs(difference) < 0.0005) return `For ${name} both texts are equally likely.`;
  const likelier = difference > 0 ? "the text above is" : "the other text is";
  return `For ${name} ${likelier} ${times(Math.abs(difference) * Math.LN2)} as likely.`;
}

function tokensOf(strip) {
  const tokens = strip.ids.map((id, index) => ({ id, bits: strip.bits[index],
    text: id === strip.boundary ? END : strip.text.slice(strip.starts[index], strip.ends[index]) || "·" }));
  return [...tokens, { id: strip.boundary, bits: strip.end_bits, text: `${END} end` }];
}

/** A table of both texts' tokens, equal ones side by side, and how their surprisals differ. */
function aligned(pair) {
  const [first, second] = pair.map(tokensOf);
  if (first.length * second.length > MOST_ALIGNED) return el("p", { class: "hint" }, "The texts are too long for this table.");
  const rows = align(first, second).map(([left, right]) => {
    const known = left && right && left.bits !== null && right.bits !== null;
    const difference = known ? right.bits - left.bits : null;
    const strength = Math.min(Math.abs(difference ?? 0) / 6, 1);
    return el("tr", {}, [left, right].flatMap((token) => [
      el("td", { class: "mono", dir: "auto" }, token ? token.text.trim() || "␣" : ""),
      el("td", { class: "number" }, token ? fixed(fromBits(token.bits)) : "")]),
    el("td", { class: `number lean ${(difference ?? 0) > 0 ? "for" : "against"}`, vars: { "--strength": `${strength * 60}%` } }, known ? minus(fixed(fromBits(difference))) : ""));
  });
  const names = ["text", unitName(), "other text", unitName(), "other − text"];
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Token by token" }, el("table", { class: "table" },
    el("thead", {}, el("tr", {}, names.map((name, place) => el("th", { scope: "col", class: place % 2 || place === 4 ? "number" : null }, name)))), el("tbody", {}, rows)));
}

/** Pair the tokens of a longest common subsequence; those between stand side by side. */
function align(first, second) {
  const same = (left, right) => first[left].id === second[right].id && first[left].text === second[right].text;
  const length = Array.from({ length: first.length + 1 }, () => new Uint16Array(second.length + 1));
  for (let left = first.length - 1; left >= 0; left -= 1) {
    for (let right = second.length - 1; right >= 0; right -= 1) {
      length[left][right] = same(left, right) ? length[left + 1][right + 1] + 1
        : Math.max(length[left + 1][right], length[left][right + 1]);
    }
  }
  const rows = [];
  let [left, right] = [0, 0];
  let waiting = [[], []];
  const flush = () => {
    const most = Math.max(waiting[0].length, waiting[1].length);
    for (let place = 0; place < most; place += 1) rows.push([waiting[0][place], waiting[1][place]]);
    waiting = [[], []];
  };
  while (left < first.length || right < second.length) {
    if (left < first.length && right < second.length && same(left, right)) {
      flush();
      rows.push([first[left++], second[right++]]);
    } else if (right >= second.length || (left < first.length && length[left + 1][right] >= length[left][right + 1])) {
      waiting[0].push(first[left++]);
    } else {
      waiting[1].push(second[right++]);
    }
  }
  flush();
  return rows;
}
