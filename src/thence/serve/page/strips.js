/** One strip per model under each other, aligned by character, and a strip of their differences. */

import { el, svg } from "./dom.js";
import { END, fixed, grouped, minus, visible } from "./format.js";
import { neighbour, tokenAt } from "./readings.js";
import { fromBits, unitName, withUnit } from "./units.js";

/** Bits at which the colour of a difference is strongest. */
const FULL = 6;
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;
/** Length of a text from which on it is set more closely, in characters. */
const LONG = 160;
/** Maximum number of blocks to draw: those around the chosen place of a longer text. */
const MOST_BLOCKS = 150;

/** How one token is shown. */
function shown(text, isBoundary) {
  if (isBoundary) return END;
  return text.trim() === "" ? visible(text) : text;
}

export class Strips {
  /**
   * @param {(place: number, model: string) => void} onChoose Called with the first unit of a token.
   */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.blocks = new Map();
    this.element = el("div", { class: "strips" });
    this.sum = el("div", { class: "running-sum" });
    this.place = null;
    this.active = 0;
    this.element.addEventListener("click", (event) => {
      const token = event.target.closest(".t");
      if (token !== null) this.pick(token);
    });
    this.element.addEventListener("keydown", (event) => this.move(event));
  }

  pick(token) {
    this.active = Number(token.dataset.row);
    this.onChoose(Number(token.closest(".block").dataset.from) + Number(token.dataset.at), this.strips[this.active].model);
  }

  /**
   * Show strips.
   * @param {Object[]} strips In the order of the models; all of one text.
   * @param {{name: string, colour: Function, pair: Object[]|null}} settings `colour(strip, index)` is a class;
   *   the difference of the `pair` is the second minus the first.
   */
  show(strips, settings) {
    this.strips = strips;
    this.active = Math.min(this.active, Math.max(strips.length - 1, 0));
    const text = strips[0]?.text ?? "";
    const columns = this.columns(text);
    const edges = lines(text, strips, columns);
    const pair = settings.pair;
    const units = pair === null ? null : differences(...pair);
    const first = this.firstBlock(edges);
    const wanted = edges.slice(first, first + MOST_BLOCKS);
    const known = this.blocks;
    this.blocks = new Map();
    const elements = wanted.map(([from, to], place) => {
      const key = this.key(from, to, settings, units, place === 0);
      const block = known.get(key)?.pop() ?? this.block(from, to, settings, units, place === 0);
      block.dataset.from = from;
      block.dataset.to = to;
      this.blocks.set(key, [...(this.blocks.get(key) ?? []), block]);
      return block;
    });
    this.put([...(first > 0 ? [el("p", { class: "hint" }, `… ${grouped(edges[first][0])} characters before`)] : []),
      ...elements, ...(first + MOST_BLOCKS < edges.length ? [el("p", { class: "hint" }, `${grouped(text.length - wanted.at(-1)[1])} characters after …`)] : [])]);
    this.sum.replaceChildren(...(units === null || units.length < 2 ? [] : [runningSum(units, pair)]));
    this.highlight();
  }

  /** Show elements; those that stay are not touched, so that they keep the keyboard focus. */
  put(elements) {
    const same = elements.length === this.element.children.length && elements.every((one, place) => one === this.element.children[place]);
    if (same) return;
    const wanted = new Set(elements);
    for (const child of [...this.element.children]) if (!wanted.has(child)) child.remove();
    elements.forEach((one, place) => {
      if (this.element.children[place] !== one) this.element.insertBefore(one, this.element.children[place] ?? null);
    });
  }

  /** How many columns of a character fit. */
  columns(text) {
    const style = getComputedStyle(this.element);
    const dense = text.length > LONG;
    const size = parseFloat(style.fontSize) * (dense ? 1.05 : 1.25);
    const single = this.strips.some((strip) => strip.ids.length * 1.5 > text.length);
    const spacing = single && !RIGHT_TO_LEFT.test(text) ? (dense ? 0.06 : 0.28) : 0; // Tokens of one letter are easier to hit with room.
    const names = matchMedia("(max-width: 600px)").matches ? 0 : 150;
    this.element.classList.toggle("joined", spacing === 0);
    this.element.classList.toggle("dense", dense);
    return Math.max(8, Math.floor((this.element.clientWidth - names - 8) / (size * (0.602 + spacing))));
  }

  firstBlock(edges) {
    if (edges.length <= MOST_BLOCKS) return 0;
    const at = this.place === null ? edges.length - 1 : edges.findIndex(([, to]) => to > this.place);
    const wanted = Math.max(0, (at < 0 ? edges.length : at) - Math.floor(MOST_BLOCKS / 2));
    return Math.min(wanted, edges.length - MOST_BLOCKS);
  }

  /** Blocks of the same key look the same; they are kept while the text around them changes. */
  key(from, to, settings, units, isFirst) {
    const parts = [isFirst, this.strips[0].text.slice(from, to), settings.name];
    for (const strip of this.strips) {
      const [first, last] = range(strip, from, to);
      parts.push(strip.model);
      for (let index = first; index < last; index += 1) {
        parts.push(strip.starts[index] - from, strip.ids[index], settings.colour(strip, index));
      }
    }
    if (units !== null) parts.push(...units.filter((unit) => unit.from >= from && unit.from < to).map((unit) => unit.bits?.toFixed(1)));
    return parts.join("\u0001");
  }

  block(from, to, settings, units, isFirst) {
    const rows = this.strips.map((strip, row) => el("div", { class: `strip c${row + 1}`, role: "group", "aria-label": strip.model },
      el("span", { class: isFirst ? "strip-name" : "strip-name again", title: strip.model }, isFirst ? strip.model : ""),
      el("span", { class: "strip-text", dir: "auto" }, this.tokens(strip, row, from, to, settings))));
    if (units !== null) rows.push(differenceRow(units, from, to, this.strips[0].text, isFirst));
    return el("div", { class: "block" }, rows);
  }

  tokens(strip, row, from, to, settings) {
    const [first, last] = range(strip, from, to);
    const found = [];
    let [done, parts] = [from, 0];
    for (let index = first; index < last; index += 1) {
      const [start, end] = [strip.starts[index], strip.ends[index]];
      if (start > done) found.push(strip.text.slice(done, start));
      const isBoundary = strip.ids[index] === strip.boundary;
      const isPart = start === end && !isBoundary; // A byte of a character: it stands above its last one.
      parts = isPart ? parts + 1 : 0;
      const written = isPart ? "" : shown(strip.text.slice(start, end), isBoundary);
      const kinds = ["t", settings.colour(strip, index)];
      if (isPart) kinds.push("part");
      if (isBoundary) kinds.push("special");
      if (strip.ids[index] === strip.unknown) kinds.push("unknown");
      found.push(el("span", {
        class: kinds.join(" "), role: "button", tabindex: -1, "data-row": row, "data-at": start - from, "data-index": index - first,
        title: withUnit(strip.bits[index]), "aria-label": isPart ? "part of a character" : null, vars: isPart ? { "--part": parts - 1 } : {},
      }, written));
      done = Math.max(done, end);
    }
    if (done < to) found.push(strip.text.slice(done, to));
    return found;
  }

  /** Choose a place; the same place is marked in every strip. */
  choose(place) {
    this.place = place;
    this.highlight();
  }

  highlight() {
    for (const token of this.element.querySelectorAll(".t.on, .t[tabindex='0']")) {
      token.classList.remove("on");
      token.tabIndex = -1;
      token.removeAttribute("aria-pressed");
    }
    let stop = null;
    this.strips?.forEach((strip, row) => {
      const token = this.tokenElement(strip, row, tokenAt(strip, this.place));
      if (token === null) return;
      token.classList.add("on");
      token.setAttribute("aria-pressed", "true");
      if (row === this.active) stop = token;
    });
    stop ??= [...this.element.querySelectorAll(".t")].at(-1) ?? null;
    if (stop !== null) stop.tabIndex = 0;
  }

  tokenElement(strip, row, index) {
    if (index === null || index === undefined) return null;
    const start = strip.starts[index];
    const block = [...this.element.querySelectorAll(".block")].find((one) => Number(one.dataset.from) <= start && start < Number(one.dataset.to));
    if (!block) return null;
    const first = range(strip, Number(block.dataset.from), Number(block.dataset.to))[0];
    return block.querySelector(`.t[data-row="${row}"][data-index="${index - first}"]`);
  }

  move(event) {
    const token = event.target.closest(".t");
    if (token === null) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.pick(token);
      return;
    }
    const row = Number(token.dataset.row);
    const strip = this.strips[row];
    const from = Number(token.closest(".block").dataset.from);
    const index = range(strip, from, Infinity)[0] + Number(token.dataset.index);
    const forward = getComputedStyle(token.parentElement).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const backward = forward === "ArrowLeft" ? "ArrowRight" : "ArrowLeft";
    let target = null;
    if (event.key === forward) target = [row, neighbour(strip, index, 1)];
    if (event.key === backward) target = [row, neighbour(strip, index, -1)];
    if (event.key === "Home") target = [row, 0];
    if (event.key === "End") target = [row, strip.ids.length - 1];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = row + (event.key === "ArrowDown" ? 1 : -1);
      if (this.strips[next]) target = [next, tokenAt(this.strips[next], strip.starts[index])];
    }
    if (target === null || target[1] === null || target[1] < 0 || target[1] >= this.strips[target[0]].ids.length) return;
    event.preventDefault();
    this.active = target[0];
    this.onChoose(this.strips[target[0]].starts[target[1]], this.strips[target[0]].model);
    this.tokenElement(this.strips[target[0]], target[0], target[1])?.focus();
  }
}

/** Return the first token of a span of the text, and the one after its last. */
function range(strip, from, to) {
  const at = (place) => {
    let [low, high] = [0, strip.starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (strip.starts[middle] >= place) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  return [at(from), at(to)];
}

/** Return where each line begins and ends: after a line end, or where all models begin a token. */
function lines(text, strips, columns) {
  const shared = strips.map((strip) => new Set(strip.starts)).reduce((left, right) => new Set([...left].filter((place) => right.has(place))), new Set(strips[0]?.starts));
  const found = [];
  let [from, width, good, any] = [0, 0, 0, 0];
  for (let place = 0; place < text.length;) {
    const character = String.fromCodePoint(text.codePointAt(place));
    width += WIDE.test(character) ? 2 : 1;
    if (shared.has(place) && place > from) {
      any = place;
      if (/\s/.test(text[place - 1]) || WIDE.test(character)) good = place;
    }
    if (width > columns && Math.max(good, any) > from) {
      const cut = good > from ? good : any;
      found.push([from, cut]);
      [from, width, good, any] = [cut, place - cut + 1, cut, cut];
    }
    place += character.length;
    if (character === "\n") {
      found.push([from, place]);
      [from, width, good, any] = [place, 0, place, place];
    }
  }
  if (from < text.length) found.push([from, text.length]);
  return found;
}

/** Return the parts of the text that begin and end with a token of both, and how much they differ. */
export function differences(first, second) {
  const found = [];
  let [left, right, bits, from] = [0, 0, 0, null];
  const add = (sum, more, sign) => (sum === null || more === null ? null : sum + sign * more);
  while (left < first.ids.length || right < second.ids.length) {
    from ??= Math.min(first.starts[left] ?? Infinity, second.starts[right] ?? Infinity);
    const [end, other] = [first.ends[left] ?? Infinity, second.ends[right] ?? Infinity];
    if (end <= other) bits = add(bits, first.bits[left++], -1);
    if (other <= end) bits = add(bits, second.bits[right++], 1);
    const [done, read] = [first.ends[left - 1] ?? 0, second.ends[right - 1] ?? 0];
    const isLast = left === first.ids.length && right === second.ids.length;
    if (done === read || isLast) {
      found.push({ from, to: Math.max(done, read), bits });
      [bits, from] = [0, null];
    }
  }
  return found;
}

function differenceRow(units, from, to, text, isFirst) {
  const inside = units.filter((unit) => unit.from >= from && unit.from < to);
  const parts = [];
  let done = from;
  for (const unit of inside) {
    if (unit.from > done) parts.push(text.slice(done, unit.from));
    const end = Math.min(unit.to, to);
    const piece = text.slice(unit.from, end);
    parts.push(el("span", {
      class: `lean ${(unit.bits ?? 0) > 0 ? "for" : "against"}`, vars: { "--strength": `${Math.min(Math.abs(unit.bits ?? FULL) / FULL, 1) * 70}%` },
      title: unit.bits === null ? "impossible for one of them" : `${signed(fromBits(unit.bits))} ${unitName()}`,
    }, piece === "\n" ? END : shown(piece, false)));
    done = end;
  }
  return el("div", { class: "strip difference" }, el("span", { class: "strip-name" }, isFirst ? "difference" : ""),
    el("span", { class: "strip-text", dir: "auto" }, parts));
}

export function signed(bits, digits = 1) {
  return bits === null ? "∞" : `${bits > 0 ? "+" : ""}${minus(fixed(bits, digits))}`;
}

/** A line of the sum of the differences, from the first token to the last. */
function runningSum(units, pair) {
  const sums = [0];
  for (const unit of units) sums.push(sums.at(-1) + (unit.bits ?? 0));
  const [low, high] = [Math.min(...sums), Math.max(...sums)];
  const scale = high - low || 1;
  const [width, height] = [600, 56];
  const y = (value) => 4 + (height - 8) * (1 - (value - low) / scale);
  const path = sums.map((sum, place) => `${place === 0 ? "M" : "L"}${((width * place) / (sums.length - 1)).toFixed(1)} ${y(sum).toFixed(1)}`).join("");
  const [first, second] = pair;
  const total = sums.at(-1);
  const better = total === 0 ? "Both are as good." : `${total > 0 ? first.model : second.model} is better by ${withUnit(Math.abs(total), 1)} in all.`;
  return el("figure", {}, el("figcaption", {}, el("strong", {}, `${second.model} − ${first.model}, running sum: `), better,
    " Where the line rises, ", el("span", { class: "lean for", vars: { "--strength": "60%" } }, first.model), " is better; where it falls, ",
    el("span", { class: "lean against", vars: { "--strength": "60%" } }, second.model), "."),
  svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `Running sum of the difference, ends at ${signed(fromBits(total))} ${unitName()}` },
    svg("line", { x1: 0, x2: width, y1: y(0), y2: y(0), class: "zero" }), svg("path", { d: path, class: "sum" })));
}
