/** Readings of a text by several models: requested while it is typed, one event per model as it is ready. */

import { Problem, stream } from "./api.js";

/** Number of tokens to request of each distribution; all others come in groups. */
const TOP = 100;

/** Conversion of positions: the server counts code points, JavaScript UTF-16 code units. */
function placesOf(text) {
  if (!/[\ud800-\udfff]/.test(text)) return { toUnits: (place) => place, toPoints: (place) => place };
  const units = [];
  let unit = 0;
  for (const character of text) {
    units.push(unit);
    unit += character.length;
  }
  units.push(unit);
  return {
    toUnits: (place) => units[place] ?? unit,
    toPoints: (place) => units.findLastIndex((one) => one <= place),
  };
}

/**
 * Read a text.
 * @param {string[]} models
 * @param {string} text
 * @param {number|null} place The chosen place; null: the end.
 * @param {AbortSignal} signal
 * @param {(strip: Object) => void} onStrip Called for each model; its `problem` says what went wrong.
 */
async function read(models, text, place, signal, onStrip) {
  const { toUnits, toPoints } = placesOf(text);
  const asked = { models, text, place: place === null ? null : toPoints(place), top: TOP };
  const missing = new Set(models);
  for await (const strip of stream("/playground/strips", asked, signal)) {
    missing.delete(strip.model);
    if (!strip.problem) {
      strip.text = text;
      strip.starts = strip.starts.map(toUnits);
      strip.ends = strip.ends.map(toUnits);
    }
    onStrip(strip);
  }
  for (const model of missing) onStrip({ model, problem: "The model took too long to answer." });
}

/** Runs only the newest query: an older one is aborted, and its answers are never shown. */
export class Reader {
  /**
   * @param {(strip: Object) => void} onStrip
   * @param {(problem: string|null) => void} onProblem Of the whole question; null: there is none.
   */
  constructor(onStrip, onProblem) {
    this.onStrip = onStrip;
    this.onProblem = onProblem;
    this.current = null;
  }

  async ask(models, text, place) {
    this.current?.abort();
    const mine = new AbortController();
    this.current = mine;
    if (models.length === 0) return;
    try {
      await read(models, text, place, mine.signal, (strip) => {
        if (this.current !== mine) return;
        this.onProblem(null);
        this.onStrip(strip);
      });
    } catch (error) {
      if (this.current !== mine || error.name === "AbortError") return;
      if (!(error instanceof Problem)) throw error;
      this.onProblem(error.message);
    }
  }
}

/** Return which token of a strip a place belongs to; null: it stands after the last. */
export function tokenAt(strip, place) {
  if (place === null) return null;
  let [low, high] = [0, strip.ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (strip.ends[middle] > place) high = middle;
    else low = middle + 1;
  }
  return low < strip.ends.length ? low : null;
}

/** Return the next token in a direction that has text; parts of a character are passed over. */
export function neighbour(strip, index, step) {
  let next = index + step;
  while (next >= 0 && next < strip.ids.length && strip.starts[next] === strip.ends[next]) next += step;
  return next;
}

/** Return the sum of surprisals in bits; null if something is impossible. */
export function totalBits(strip) {
  return strip.bits.reduce((sum, bits) => (sum === null || bits === null ? null : sum + bits), 0);
}
