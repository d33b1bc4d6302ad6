/** Choosing runs: chips, grouped by what may be compared. */

import { el, freshId } from "./dom.js";

/** Number of runs above which there is a search field. */
const MANY = 12;

/** Return runs by group, in the order in which the groups first occur; each with a title. */
export function grouped(runs) {
  const groups = new Map();
  for (const run of runs) {
    const key = run.group || run.name;
    if (!groups.has(key)) groups.set(key, { key, title: groupTitle(run), runs: [] });
    groups.get(key).runs.push(run);
  }
  for (const group of groups.values()) group.runs.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return [...groups.values()];
}

/** Return what the runs of a group share, in words. */
export function groupTitle(run) {
  return [run.text, run.kind === "classifier" ? "labels" : run.tokens].filter(Boolean).join(" · ");
}

/**
 * A list of runs to choose from.
 * @param {(names: string[]) => void} onChange
 */
export class RunPicker {
  constructor(onChange) {
    this.onChange = onChange;
    this.chosen = [];
    this.drawn = "";
    this.filter = el("input", { type: "search", id: freshId("filter"), placeholder: "Part of a name, text or model" });
    this.filterField = el("div", { class: "field", hidden: true }, el("label", { for: this.filter.id }, "Find runs"), this.filter);
    this.filter.addEventListener("input", () => this.draw());
    this.groups = el("div", { class: "run-groups" });
    this.element = el("div", { class: "picker" }, this.filterField, this.groups);
  }

  show(runs, chosen) {
    this.runs = runs.filter((run) => run.kind !== null && ((run.steps ?? 0) > 0 || run.state === "training" || chosen.includes(run.name)));
    this.chosen = chosen;
    this.draw();
  }

  draw() {
    const wanted = this.filter.value.toLowerCase();
    const fits = (run) => this.chosen.includes(run.name) || [run.name, run.text, run.family].some((part) => part?.toLowerCase().includes(wanted));
    const listed = this.runs.filter(fits);
    this.filterField.hidden = this.runs.length <= MANY;
    const signature = JSON.stringify([listed.map((run) => [run.name, run.state]), this.chosen]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    const focused = document.activeElement?.value;
    this.groups.replaceChildren(...grouped(listed).map((group) => el("fieldset", { class: "chips" },
      el("legend", {}, group.title), ...group.runs.map((run) => this.chip(run)))));
    if (listed.length === 0) this.groups.append(el("p", { class: "empty" }, "No run here was trained step by step."));
    if (focused) [...this.groups.querySelectorAll("input")].find((box) => box.value === focused)?.focus();
  }

  chip(run) {
    const box = el("input", { type: "checkbox", id: freshId("run"), value: run.name });
    box.checked = this.chosen.includes(run.name);
    box.addEventListener("change", () => {
      this.onChange(box.checked ? [...this.chosen, run.name] : this.chosen.filter((name) => name !== run.name));
    });
    const state = { training: "in training", stopped: "stopped", deleted: "deleted" }[run.state];
    return el("span", { class: "chip" }, box, el("label", { for: box.id }, run.name,
      state ? el("span", { class: `tag ${run.state === "training" ? "live" : ""}` }, state) : null));
  }
}
