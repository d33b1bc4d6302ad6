/** Temperature, top-k and top-p: settings for the bars and for sampling. */

import { el, freshId } from "./dom.js";
import { keep, value } from "./state.js";

const SETTINGS = [
  { key: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, start: 1,
    say: (number) => (number === 0 ? "0: greedy" : number.toFixed(2)) },
  { key: "top_k", label: "Top-k", min: 0, max: 50, step: 1, start: 0,
    say: (number) => (number === 0 ? "all" : String(number)) },
  { key: "top_p", label: "Top-p", min: 0.05, max: 1, step: 0.01, start: 1,
    say: (number) => (number === 1 ? "all" : number.toFixed(2)) },
];

/**
 * The sliders.
 * @param {() => void} onChange
 */
export function samplingControls(onChange) {
  const settings = {};
  const reset = el("button", { type: "button", class: "quiet", on: { click: () => { for (const one of sliders) one.set(one.setting.start); tell(); onChange(); } } }, "Reset");
  const summary = el("summary", {}, "Temperature, top-k, top-p");
  const tell = () => { reset.hidden = sliders.every((one) => settings[one.setting.key] === one.setting.start); };
  const sliders = SETTINGS.map((setting) => {
    const shown = el("output", {});
    const input = el("input", { type: "range", id: freshId("slider"), min: setting.min, max: setting.max, step: setting.step, name: setting.key });
    shown.htmlFor = input.id;
    const set = (number) => {
      input.value = number;
      settings[setting.key] = Number(input.value);
      shown.textContent = setting.say(settings[setting.key]);
      input.setAttribute("aria-valuetext", shown.textContent);
      keep(setting.key, settings[setting.key] === setting.start ? null : input.value);
    };
    input.addEventListener("input", () => {
      set(input.value);
      tell();
      onChange();
    });
    set(value(setting.key) || setting.start);
    return { setting, set, element: el("div", { class: "field slider" }, el("label", { for: input.id }, setting.label, " ", shown), input) };
  });
  tell();
  const element = el("details", { class: "sampling", open: !matchMedia("(max-width: 900px)").matches }, summary,
    el("div", { class: "sliders" }, sliders.map((one) => one.element), reset));
  return { element, settings };
}
