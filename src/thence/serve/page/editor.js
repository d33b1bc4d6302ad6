/** The text, edited in place: whatever changes it can be undone as typing can. */

import { el, freshId } from "./dom.js";

/** A field for a text. */
export class Editor {
  /**
   * @param {string} label
   * @param {string} start The text at first.
   * @param {string} placeholder
   * @param {(text: string) => void} onInput Called when the text has changed.
   */
  constructor(label, start, placeholder, onInput) {
    this.field = el("textarea", {
      id: freshId("text"), rows: 1, dir: "auto", spellcheck: "false", autocapitalize: "off", autocomplete: "off",
      placeholder, class: "editor",
    });
    this.field.value = start;
    this.label = el("label", { for: this.field.id }, label);
    this.field.addEventListener("input", () => {
      this.grow();
      onInput(this.field.value);
    });
    this.grow();
  }

  get text() {
    return this.field.value;
  }

  /** The span that is selected: its first unit and the one after its last. */
  get selection() {
    return [this.field.selectionStart, this.field.selectionEnd];
  }

  /** Give the field as many lines as its text has, where the browser does not do it by itself. */
  grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.field.rows = Math.min(12, Math.max(1, this.field.value.split("\n").length, Math.ceil(this.field.value.length / 60)));
  }

  /** Replace a span by a text, as one step that the browser can undo; the focus stays where it is. */
  replace(from, to, text) {
    const before = document.activeElement;
    this.field.inputMode = "none"; // So that no keyboard comes up on a telephone.
    this.field.focus({ preventScroll: true });
    this.field.setSelectionRange(from, to);
    const done = text === "" ? document.execCommand("delete") : document.execCommand("insertText", false, text);
    if (!done) {
      this.field.setRangeText(text, from, to, "end");
      this.field.dispatchEvent(new Event("input"));
    }
    if (before !== this.field && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    this.field.inputMode = "";
  }
}
