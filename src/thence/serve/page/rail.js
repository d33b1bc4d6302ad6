/** The models at the left: grouped by what may be compared, each with its score on a ruler. */

import { el, freshId } from "./dom.js";
import { keep, several } from "./state.js";
import { brief, fixed, percent } from "./format.js";
import { fromNats, unitName } from "./units.js";

/** Maximum number of models to look at together: the number of colours. */
export const MOST_CHOSEN = 6;
/** Number of models from which on there is a search field. */
const MANY = 8;
/** Number of models that are chosen if the address names none. */
const FIRST = 2;
const STATES = { training: "in training", stopped: "unfinished", unreadable: "damaged on disk", deleted: "deleted on disk" };
const ON_DISK = { changed: "replaced on disk", deleted: "deleted on disk" };

/** Return the problem of a model as a text, or null. */
export function stateOf(model) {
  if (model.on_disk !== "unchanged") return ON_DISK[model.on_disk];
  return STATES[model.state] ?? null;
}

/** Return a model's score on dev in words. */
export function scoreOf(model) {
  if (model.kind === "classifier") return model.accuracy === null ? "" : `${percent(model.accuracy)} right on dev`;
  return model.loss === null ? "" : `${fixed(fromNats(model.loss))} ${unitName()} per token on dev`;
}

export class Rail {
  /**
   * @param {Object[]} models Of /playground/models.
   * @param {(chosen: Object[]) => void} onChange
   */
  constructor(models, onChange) {
    this.onChange = onChange;
    this.list = el("div", { class: "groups" });
    this.search = el("input", { type: "search", id: freshId("search"), placeholder: "Name or family" });
    this.search.addEventListener("input", () => this.draw());
    this.summary = el("summary", {});
    this.element = el("details", { class: "rail" }, this.summary,
      el("div", { class: "field search", hidden: models.length < MANY },
        el("label", { for: this.search.id, class: "visually-hidden" }, "Find models"), this.search),
      this.list);
    this.names = several("m");
    this.update(models);
    if (this.names === null || this.chosen.length === 0) {
      const best = this.groups()[0]?.models ?? [];
      this.names = best.slice(0, FIRST).map((model) => model.id);
    }
    this.names = this.chosen.map((model) => model.id);
    this.first = this.chosen[0]?.group; // Stays first, whatever is chosen later: nothing jumps.
    this.draw();
  }

  /** The chosen models, in the order in which they were chosen; their places are their colours. */
  get chosen() {
    const known = new Map(this.models.map((model) => [model.id, model]));
    const found = (this.names ?? []).filter((name) => known.has(name)).map((name) => known.get(name));
    return found.filter((model) => model.kind === found[0].kind).slice(0, MOST_CHOSEN);
  }

  /** Take the models as the server has them now. */
  update(models) {
    this.models = models;
    if (this.names !== null) this.draw();
  }

  /** The groups of models that may be compared, those with most models first, the best first in each. */
  groups() {
    const groups = new Map();
    for (const model of this.models) {
      if (!groups.has(model.group)) groups.set(model.group, { models: [] });
      groups.get(model.group).models.push(model);
    }
    const found = [...groups.values()];
    const score = (model) => (model.kind === "classifier" ? -(model.accuracy ?? 0) : model.loss ?? Infinity);
    for (const group of found) group.models.sort((left, right) => score(left) - score(right) || 0);
    const isFirst = (group) => group.models[0].group === this.first;
    return found.sort((left, right) => isFirst(right) - isFirst(left) || (left.models[0].kind === "classifier") - (right.models[0].kind === "classifier")
      || right.models.length - left.models.length);
  }

  toggle(model, on) {
    const chosen = this.chosen;
    if (!on) this.names = this.names.filter((name) => name !== model.id);
    else if (chosen.length > 0 && !comparable(chosen[0], model)) this.names = [model.id];
    else this.names = [...this.names, model.id].slice(-MOST_CHOSEN);
    keep("m", this.names);
    this.draw();
    this.onChange(this.chosen);
  }

  draw() {
    const focused = document.activeElement?.value;
    const had = this.list.contains(document.activeElement);
    const wanted = this.search.value.trim().toLowerCase();
    const chosen = this.chosen;
    this.summary.replaceChildren(el("span", { class: "rail-title" }, "Models"),
      el("span", { class: "rail-chosen" }, chosen.map((model) => model.id).join(", ") || "none chosen"));
    this.list.replaceChildren(...this.groups().map((group) => this.group(group, chosen, wanted)).filter((one) => one !== null));
    if (this.list.children.length === 0) this.list.append(el("p", { class: "hint" }, "No model is called so."));
    if (had) this.list.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
  }

  group(group, chosen, wanted) {
    const [first] = group.models;
    const models = group.models.filter((model) => `${model.id} ${model.family}`.toLowerCase().includes(wanted));
    if (models.length === 0) return null;
    const others = chosen.length > 0 && !chosen.some((model) => model.group === first.group);
    const about = [first.text ?? "unknown text", first.kind === "classifier" ? "labels" : first.tokens].join(", ");
    const best = bestOf(group.models);
    return el("fieldset", { class: others ? "group other" : "group" }, el("legend", {}, about),
      others ? el("p", { class: "hint" }, reason(chosen[0], first)) : null,
      models.map((model) => this.row(model, chosen.indexOf(model), best)));
  }

  row(model, place, best) {
    const box = el("input", { type: "checkbox", id: freshId("model"), value: model.id });
    box.checked = place >= 0;
    box.addEventListener("change", () => this.toggle(model, box.checked));
    const state = stateOf(model);
    const about = [model.family, `${brief(model.parameters)} parameters`, scoreOf(model)].filter(Boolean).join(" · ");
    return el("div", { class: `model ${place >= 0 ? `c${place + 1}` : ""}` }, box,
      el("label", { for: box.id, dir: "auto" }, el("span", { class: "swatch-dot" }), model.id),
      state ? el("span", { class: `tag ${model.state === "training" ? "live" : "bad"}`, title: model.problem }, state) : null,
      el("p", { class: "about" }, about), ruler(model, best));
  }
}

/** Return whether two models may stand side by side: any language models may, by character. */
function comparable(first, second) {
  return first.kind === second.kind;
}

function reason(chosen, model) {
  if (chosen.kind !== model.kind) return chosen.kind === "classifier" ? "Language models: choosing one replaces the classifiers." : "Classifiers: choosing one replaces the language models.";
  return chosen.text === model.text ? "Other tokens: scores per token cannot be compared." : "Another text: scores cannot be compared.";
}

function bestOf(models) {
  const scores = models.map((model) => (model.kind === "classifier" ? model.accuracy : model.loss)).filter((score) => score !== null);
  if (scores.length === 0) return null;
  return models[0].kind === "classifier" ? Math.max(...scores) : Math.min(...scores);
}

/** From guessing at the left to the best model of the group at the right. */
function ruler(model, best) {
  const classifier = model.kind === "classifier";
  const score = classifier ? model.accuracy : model.loss;
  const from = classifier ? 0 : model.ruler?.uniform ?? Math.log(model.vocab_size);
  const to = classifier ? 1 : best;
  if (score === null || to === null || from === to) return null;
  const share = (value) => `${(100 * Math.min(1, Math.max(0, (value - from) / (to - from)))).toFixed(2)}%`;
  const say = (value) => (classifier ? percent(value) : fixed(fromNats(value)));
  const naive = classifier ? model.ruler?.accuracy : model.ruler?.pairs;
  const words = [classifier ? null : `uniform ${say(from)}`,
    naive === null || naive === undefined ? null : `${classifier ? "most frequent label" : "pair counts"} ${say(naive)}`,
    `this ${say(score)}`, `best here ${say(best)}`].filter(Boolean).join(", ");
  const unit = classifier ? "right on dev" : `${unitName()} per token`;
  return el("div", { class: "ruler", role: "img", "aria-label": `${words} ${unit}`, title: `${words} ${unit}` },
    el("span", { class: "reach", vars: { "--at": share(score) } }),
    naive === null || naive === undefined ? null : el("span", { class: "mark naive", vars: { "--at": share(naive) } }),
    el("span", { class: "mark best", vars: { "--at": share(best) } }),
    el("span", { class: "mark this", vars: { "--at": share(score) } }));
}
