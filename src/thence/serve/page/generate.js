/** Generation: its settings, and the text that streams in. */

import { Problem, stream } from "./api.js";
import { announce, el, freshId } from "./dom.js";
import { keep, value } from "./state.js";
import { shade } from "./tokens.js";
import { END, fixed, visible } from "./format.js";

const SETTINGS = [
  { key: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, start: 1,
    say: (number) => (number === 0 ? "0, the most probable" : number.toFixed(2)) },
  { key: "top_k", label: "Top-k", min: 0, max: 100, step: 1, start: 0,
    say: (number) => (number === 0 ? "all" : String(number)) },
  { key: "top_p", label: "Top-p", min: 0.05, max: 1, step: 0.01, start: 1,
    say: (number) => (number === 1 ? "1, all" : number.toFixed(2)) },
];

function slider(setting) {
  const shown = el("output", {});
  const input = el("input", {
    type: "range", id: freshId("slider"), min: setting.min, max: setting.max, step: setting.step,
    name: setting.key,
  });
  input.value = value(setting.key, setting.start);
  shown.htmlFor = input.id;
  const tell = () => {
    shown.textContent = setting.say(Number(input.value));
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", () => {
    tell();
    keep(setting.key, input.value);
  });
  tell();
  return { element: el("div", { class: "field slider" },
    el("label", { for: input.id }, setting.label, " ", shown), input), read: () => Number(input.value) };
}

function numberField(key, label, start, attributes) {
  const input = el("input", { type: "number", id: freshId("number"), name: key, inputmode: "numeric", ...attributes });
  input.value = value(key, start);
  input.addEventListener("input", () => keep(key, input.value));
  return { element: el("div", { class: "field" }, el("label", { for: input.id }, label), input),
    input, read: () => (input.value === "" ? null : Number(input.value)) };
}

/**
 * The settings of generation and its buttons.
 * @param {(options: Object) => void} onStart
 * @param {() => void} onStop
 */
export function generationControls(onStart, onStop) {
  const sliders = Object.fromEntries(SETTINGS.map((setting) => [setting.key, slider(setting)]));
  const length = numberField("length", "Tokens at most", "100", { min: 1, step: 1, required: true });
  const seed = numberField("seed", "Seed", "", { step: 1, placeholder: "any" });
  const stopButton = el("button", { type: "button", disabled: true, on: { click: onStop } }, "Stop");
  const generate = el("button", { class: "primary" }, "Generate");
  const form = el("form", { class: "generation", "aria-label": "Generation" },
    Object.values(sliders).map((one) => one.element), length.element, seed.element,
    el("div", { class: "buttons" }, generate, stopButton));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const options = { temperature: sliders.temperature.read(), top_p: sliders.top_p.read(), max_tokens: length.read() };
    if (sliders.top_k.read() > 0) options.top_k = sliders.top_k.read();
    if (seed.read() !== null) options.seed = seed.read();
    onStart(options);
  });
  return {
    element: form,
    update(cards) {
      stopButton.disabled = ![...cards.values()].some((card) => card.isGenerating());
    },
  };
}

/** The text that one model generates. */
export class Generation {
  /**
   * @param {Object} model
   * @param {(text: string) => void} onUse Called with the prompt and its completion.
   * @param {() => void} onChange Called when generation begins and ends.
   */
  constructor(model, onUse, onChange) {
    this.model = model;
    this.onChange = onChange;
    this.controller = null;
    this.prompt = "";
    this.generated = "";
    this.text = el("p", { class: "generated" });
    this.state = el("p", { class: "hint generation-state" });
    this.use = el("button", {
      type: "button", class: "quiet", on: { click: () => onUse(this.prompt + this.generated) },
    }, "Use as text");
    this.element = el("section", { class: "output", hidden: true }, el("h3", {}, "Generated text"),
      this.text, el("div", { class: "buttons" }, this.use), this.state);
  }

  get isRunning() {
    return this.controller !== null;
  }

  /** Stop; the server stops too, as the connection is closed. */
  stop() {
    this.controller?.abort();
  }

  async start(prompt, options) {
    this.stop();
    const mine = new AbortController();
    this.controller = mine;
    this.prompt = prompt;
    this.generated = "";
    this.element.hidden = false;
    this.use.hidden = true;
    this.state.classList.remove("problem");
    this.text.replaceChildren(el("span", { class: "prompt" }, visible(prompt)));
    this.state.textContent = "Generating …";
    this.onChange();
    let last = "The stream ended early.";
    try {
      const asked = { model: this.model.id, prompt, logprobs: 0, stream: true, ...options };
      let count = 0;
      for await (const event of stream("/v1/completions", asked, mine.signal)) {
        const choice = event.choices[0];
        if (!choice) continue;
        count += choice.logprobs?.tokens.length ?? 0;
        this.add(choice);
        if (choice.finish_reason === "length") last = `${count} tokens: the limit is reached.`;
        if (choice.finish_reason === "stop") last = `${count} tokens, then the end of the document.`;
      }
    } catch (error) {
      if (error.name === "AbortError") last = "Stopped.";
      else if (error instanceof Problem) {
        last = error.message;
        this.state.classList.add("problem");
      } else throw error;
    }
    if (this.controller !== mine) return; // A newer request has begun.
    this.controller = null;
    this.state.textContent = last;
    this.use.hidden = this.generated === "";
    this.onChange();
    announce(`${this.model.id}: ${last}`);
  }

  add(choice) {
    this.generated += choice.text;
    const nats = choice.logprobs?.token_logprobs.at(-1);
    const ended = choice.text === "" && choice.logprobs?.tokens.length > 0 && choice.finish_reason === null
      && choice.logprobs.tokens[0].endsWith("boundary>");
    if (choice.text === "" && !ended) return;
    const bits = nats === undefined || nats === null ? 0 : -nats / Math.LN2;
    this.text.append(el("span", { class: `token ${shade(bits)}`, title: `${fixed(bits)} bits` },
      ended ? END : visible(choice.text)));
  }
}
