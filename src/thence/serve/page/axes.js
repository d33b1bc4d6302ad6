/** Axes of charts: round numbers along them, and places from values. */

import { svg } from "./dom.js";

/** Return about a given number of round numbers within a range. */
export function linearTicks(low, high, about) {
  const rough = (high - low) / Math.max(about, 1) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const ticks = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) {
    ticks.push(Number((place * step).toPrecision(12)));
  }
  return ticks;
}

/** Return powers of ten, with 2 and 5 between them where there is room; over a short way, round numbers. */
export function logTicks(low, high, about) {
  if (high / low < 4) return linearTicks(low, high, about);
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const factors = last - first <= about / 2 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = first; power <= last; power += 1) {
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(12)));
  }
  return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
}

/** Return a function from values to places, and its inverse as `.value`. */
export function scale(domain, range, logarithmic) {
  const turn = logarithmic ? Math.log10 : (number) => number;
  const back = logarithmic ? (number) => 10 ** number : (number) => number;
  const [low, high] = domain.map(turn);
  const width = high - low || 1;
  const place = (number) => range[0] + ((turn(number) - low) / width) * (range[1] - range[0]);
  place.value = (at) => back(low + ((at - range[0]) / (range[1] - range[0])) * width);
  return place;
}

/** Return a number in few characters. */
export function short(number) {
  if (number !== 0 && Math.abs(number) < 0.001) return number.toExponential(0);
  if (Math.abs(number) >= 1e6) return `${Number((number / 1e6).toPrecision(4))} M`;
  if (Math.abs(number) >= 1e4) return `${Number((number / 1e3).toPrecision(4))} k`;
  return String(Number(number.toPrecision(6)));
}

/** The lines and numbers of both axes of a chart within a frame `{left, right, top, bottom}`. */
export function axes(frame, x, y, xTicks, yTicks, sayX = short, sayY = short) {
  return [svg("g", { class: "grid" },
    yTicks.map((tick) => svg("line", { x1: frame.left, x2: frame.right, y1: y(tick), y2: y(tick) })),
    xTicks.map((tick) => svg("line", { x1: x(tick), x2: x(tick), y1: frame.top, y2: frame.bottom }))),
  svg("g", { class: "ticks" },
    yTicks.map((tick) => svg("text", { x: frame.left - 8, y: y(tick) + 4, class: "end" }, sayY(tick))),
    xTicks.map((tick) => svg("text", { x: x(tick), y: frame.bottom + 17, class: "middle" }, sayX(tick))))];
}
