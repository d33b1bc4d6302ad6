/** Numbers and tokens as text. */

const MARKS = new Map([[" ", "␣"], ["\n", "⏎"], ["\r", "␍"], ["\t", "⇥"], ["\u00a0", "⍽"]]);
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zs}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/u;

export const END = "■";

/** Return text in which white space and control characters can be seen. */
export function visible(text) {
  return Array.from(text, (char) => MARKS.get(char) ?? (INVISIBLE.test(char) ? codePoint(char) : char))
    .join("");
}

/** Return a name, such as a label, in which only spaces at its ends are made visible. */
export function readable(name) {
  return name === name.trim() ? visible(name).replaceAll("␣", " ") : visible(name);
}

function codePoint(char) {
  return `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Return a probability in per cent with a fitting number of digits. */
export function percent(probability) {
  const value = probability * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "< 0.01 %";
  if (value < 1) return `${value.toFixed(2)} %`;
  return value > 99.95 && value < 100 ? "> 99.9 %" : `${value.toFixed(1)} %`;
}

/** Return a number with a fixed number of decimals; null, the surprisal of the impossible, as infinity. */
export function fixed(value, digits = 2) {
  return value === null || value === undefined ? "∞" : value.toFixed(digits);
}

/** Write a number with a true minus sign, and none before a zero. */
export function minus(text) {
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** Return a whole number in groups of three. */
export function grouped(value) {
  return value.toLocaleString("en-US");
}

/** Return a large number in few characters. */
export function brief(value) {
  if (value < 10000) return grouped(value);
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)} k`;
  return `${(value / 1e6).toFixed(1)} M`;
}

/** Return how often one thing is as likely as another, given the difference in nats. */
export function times(nats) {
  if (nats < 13) return `${Number(Math.exp(nats).toPrecision(3)).toLocaleString("en-US")} times`;
  const exponent = Math.floor(nats / Math.LN10);
  return `10${superscript(exponent)} times`;
}

function superscript(number) {
  return Array.from(String(number), (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]).join("");
}

/** Return a duration in seconds, minutes or hours. */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
