/** Controls that several tabs share. */

import { el } from "./dom.js";
import { keep, value } from "./state.js";

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

/** A place for an error message; `show(null)` hides it. */
export function errorLine() {
  const element = el("p", { class: "problem", role: "alert", hidden: true });
  return {
    element,
    show(sentence) {
      element.textContent = sentence ?? "";
      element.hidden = !sentence;
    },
  };
}
