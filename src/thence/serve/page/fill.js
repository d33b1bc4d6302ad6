/** Infill: the likeliest ways to fill the span of the text that is selected. */

import { Problem, post } from "./api.js";
import { announce, el, errorLine } from "./dom.js";
import { grouped, percent, visible } from "./format.js";

/** Stands for the blank in what is sent; nobody writes it. */
const BLANK = "\ue000";
const HOW = "Select a part of the text above, then press “Fill selection”: its likeliest fillings, given what stands on both sides, are listed here.";

export class FillAction {
  id = "fill";
  title = "Fill selection";
  again = true;

  constructor(scene) {
    this.scene = scene;
    this.about = el("p", {}, HOW);
    this.lists = el("div", { class: "cards" });
    this.element = el("div", { class: "stack" }, this.about, this.lists);
  }

  async open() {
    const { chosen, text, editor } = this.scene();
    const [from, to] = editor.selection;
    if (from === to) {
      this.about.replaceChildren(HOW);
      this.lists.replaceChildren();
      return;
    }
    this.about.replaceChildren("In the place of ", el("strong", { class: "mono", dir: "auto" }, visible(text.slice(from, to)).replaceAll("␣", " ")), ", the document ending after the text:");
    const asked = text.slice(0, from) + BLANK + text.slice(to);
    const sections = chosen.map((model, place) => ({ model, list: el("ol", { class: "fillings" }), note: el("p", { class: "hint" }, "Searching …"), place }));
    this.lists.replaceChildren(...sections.map(({ model, list, note, place }) => el("section", { class: `c${place + 1}`, "data-model": model.id },
      el("h2", { class: "model-heading" }, el("span", { class: "swatch-dot" }), model.id), list, note)));
    await Promise.all(sections.map((section) => this.search(section, asked, { from, to, text })));
  }

  async search({ model, list, note }, asked, span) {
    try {
      const found = await post("/playground/fill", { model: model.id, text: asked, count: 8, blank: BLANK });
      list.replaceChildren(...found.fillings.map((one) => this.filling(one, span)));
      note.textContent = found.exact ? `All ${grouped(found.found)} possible fillings were scored.`
        : `The best of ${grouped(found.found)} that a search found; it may miss some.`;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const line = errorLine();
      line.show(error.message);
      note.replaceWith(line.element);
    }
  }

  filling(one, { from, to, text }) {
    const filled = one.blanks[0];
    return el("li", {}, el("button", {
      type: "button", class: "filling", "data-text": one.text, vars: { "--share": `${one.share * 100}%` },
      on: {
        click: () => {
          const { editor } = this.scene();
          if (editor.text !== text) return;
          editor.replace(from, to, filled);
          announce(`Filled in ${filled}`);
        },
      },
    }, el("span", { class: "mono", dir: "auto" }, visible(filled).replaceAll("␣", " ") || "nothing"), el("span", { class: "number" }, percent(one.share))));
  }
}
