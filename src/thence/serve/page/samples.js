/** Samples of trainings in progress, from their best weights so far, always with the same seed. */

import { get, Problem } from "./api.js";
import { el } from "./dom.js";
import { visible } from "./format.js";

const COUNT = 6;
const SEED = 1;

/** Return a text as it is shown in a list of samples. */
export function sampleText(text) {
  return text === "" ? "(empty)" : text.length > 300 ? `${text.slice(0, 300)} …` : text;
}

/** A panel that follows trainings; it is hidden while there are none. */
export class SamplesSoFar {
  constructor() {
    this.list = el("div", { class: "samples" });
    this.element = el("article", { class: "panel", hidden: true }, el("h2", {}, "Samples so far"),
      el("p", { class: "hint" }, "Drawn with one seed from the best weights on disk."), this.list);
    this.asking = false;
  }

  /** Show samples of those of the runs that are in training. */
  async follow(runs) {
    const live = runs.filter((run) => run.state === "training" && run.kind === "language model");
    this.element.hidden = live.length === 0;
    if (live.length === 0 || this.asking) return;
    this.asking = true;
    const found = await Promise.all(live.map((run) => this.ask(run)));
    this.asking = false;
    this.list.replaceChildren(...found);
  }

  async ask(run) {
    let content;
    if (run.bytes === null) return el("section", { "aria-label": `Samples of ${run.name}` }, el("h3", {}, run.name), el("p", { class: "hint" }, "No weights are saved yet."));
    try {
      const { texts } = await get("/playground/samples", { run: run.name, seed: SEED, count: COUNT });
      content = el("ul", {}, texts.map((text) => el("li", { dir: "auto" }, text.includes("\n") ? sampleText(text) : visible(sampleText(text)).replaceAll("␣", " "))));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      content = el("p", { class: "hint" }, error.message);
    }
    return el("section", { "aria-label": `Samples of ${run.name}` }, el("h3", {}, run.name), content);
  }
}
