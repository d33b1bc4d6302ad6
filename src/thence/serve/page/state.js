/** The state of the page in its address, after "#", so that links keep it. */

import { el } from "./dom.js";

const LONGEST = 4000;
let values = new URLSearchParams(location.hash.slice(1));
let timer = 0;

/** Read the address again, after the reader went back or followed a link. */
export function reread() {
  clearTimeout(timer);
  values = new URLSearchParams(location.hash.slice(1));
}

/** Return a value, or what stands for it if there is none. */
export function value(name, otherwise = "") {
  return values.get(name) ?? otherwise;
}

/** Return all values of a name; null if there are none. */
export function several(name) {
  return values.has(name) ? values.getAll(name).filter((one) => one !== "") : null;
}

/** Keep a value, or a list of them, or forget it (null); the address follows a moment later. */
export function keep(name, given) {
  values.delete(name);
  const list = given === null ? [] : Array.isArray(given) ? given : [given];
  if (Array.isArray(given) && given.length === 0) values.append(name, "");
  for (const one of list) {
    if (String(one).length <= LONGEST) values.append(name, String(one));
  }
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(null, "", `#${values}`), 200);
}

/** Keep a value as a new step to which the reader can go back. */
export function enter(name, given) {
  clearTimeout(timer);
  history.replaceState(null, "", `#${values}`);
  values.set(name, given);
  history.pushState(null, "", `#${values}`);
}

/**
 * A select whose value is kept in the address.
 * @param {string} key Its name in the address.
 * @param {Object|Array} options Titles by value, or values that are their own titles.
 * @param {string} start The value if the address has none of the options.
 * @param {() => void} onChange
 */
export function select(key, options, start, onChange) {
  const pairs = Array.isArray(options) ? options.map((one) => [one, one]) : Object.entries(options);
  const control = el("select", { name: key }, pairs.map(([name, title]) => el("option", { value: name }, title)));
  control.value = value(key, start);
  if (control.selectedIndex < 0) control.value = start;
  control.addEventListener("change", () => {
    keep(key, control.value);
    onChange();
  });
  return control;
}
