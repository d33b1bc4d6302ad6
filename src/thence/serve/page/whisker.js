/** A value with its interval, drawn on a scale that rows of a table share. */

import { svg } from "./dom.js";

const WIDTH = 104;
const HEIGHT = 18;
const PAD = 6;
/** Half the height of the mark at the value. */
const MARK = 6;

/**
 * Return a scale for values and intervals.
 * @param {(number|null)[]} numbers All that are drawn on it; those that are null do not count.
 */
export function whiskerScale(numbers, width = WIDTH) {
  const known = numbers.filter((one) => one !== null && one !== undefined && Number.isFinite(one));
  const low = Math.min(...known);
  const high = Math.max(...known);
  return (number) => PAD + ((number - low) / (high - low || 1)) * (width - 2 * PAD);
}

/**
 * Draw a value with its interval.
 * @param {(number: number) => number} x The scale.
 * @param {{value: number, low: number|null, high: number|null}} what
 * @param {{label: string, zero?: boolean, className?: string, width?: number}} settings `zero` draws where nothing differs.
 */
export function whisker(x, { value, low, high }, { label, zero = false, className = "", width = WIDTH }) {
  const middle = HEIGHT / 2;
  return svg("svg", { class: `whisker ${className}`, viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": label },
    zero ? svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 1, y2: HEIGHT - 1 }) : null,
    low === null || low === undefined ? null : svg("line", { class: "range", x1: x(low), x2: x(high), y1: middle, y2: middle }),
    svg("rect", { x: x(value) - 1, y: middle - MARK, width: 2, height: 2 * MARK }));
}
