/** Actions on the text: continue it, fill a span of it, compare it with another. */

import { el } from "./dom.js";
import { ContinuationsAction } from "./continuations.js";
import { FillAction } from "./fill.js";
import { LikelierAction } from "./likelier.js";
import { keep, value } from "./state.js";

/** An action has `id`, `title`, `element`, and `open(scene)`; `textChanged(scene)` if it follows the text. */
const ACTIONS = [ContinuationsAction, FillAction, LikelierAction];

export class Actions {
  /** @param {() => Object} scene Returns `{chosen, strips, text, editor, sampling}`. */
  constructor(scene) {
    this.scene = scene;
    this.actions = ACTIONS.map((Action) => new Action(scene));
    this.open = this.actions.find((one) => one.id === value("action")) ?? null;
    this.buttons = this.actions.map((action) => el("button", {
      type: "button", "aria-expanded": "false", "data-action": action.id, on: { click: () => this.toggle(action) },
    }, action.title));
    this.bar = el("div", { class: "actions buttons" }, this.buttons);
    this.panel = el("section", { class: "panel action-panel", hidden: true, "aria-label": "Action" });
    this.show();
  }

  toggle(action) {
    this.open = this.open === action && !action.again ? null : action;
    keep("action", this.open?.id ?? null);
    this.show();
    this.open?.open();
    if (this.open) this.panel.scrollIntoView({ block: "nearest" });
  }

  show() {
    this.panel.hidden = this.open === null;
    if (this.open !== null && this.panel.firstChild !== this.open.element) this.panel.replaceChildren(this.open.element);
    this.panel.setAttribute("aria-label", this.open?.title ?? "Action");
    this.buttons.forEach((button, place) => button.setAttribute("aria-expanded", String(this.actions[place] === this.open)));
  }

  /** Tell the open action that the text or the models have changed. */
  changed() {
    this.open?.changed?.();
  }
}
