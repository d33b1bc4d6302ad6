/** The curves tab: learning curves of finished trainings, and live ones of those that run. */

import { get, Problem } from "./api.js";
import { Chart } from "./chart.js";
import { el, errorLine, freshId, labelled } from "./dom.js";
import { keep, select, several } from "./state.js";
import { duration, fixed, grouped, percent } from "./format.js";

/** Milliseconds between two requests for the curves of running trainings. */
const EVERY = 2000;
const COLOURS = 8;
const XS = { step: "training steps", tokens: "tokens read", seconds: "seconds", epoch: "epochs" };
const YS = {
  token: { title: "Nats per token", say: (y) => fixed(y, 4) },
  document: { title: "Nats per document", say: (y) => fixed(y, 4) },
  accuracy: { title: "Accuracy on dev", say: percent },
};

/** Fill the tab. */
export function trainPlace(panel) {
  const chart = new Chart("Learning curves of the chosen runs");
  const error = errorLine();
  const boxes = el("fieldset", { class: "chips many" });
  const legend = el("ul", { class: "line-legend" });
  const table = el("table", { class: "table" });
  const note = el("p", { class: "hint" });
  const x = select("x", XS, "step", draw);
  const logX = select("scale", { linear: "linear", log: "logarithmic" }, "linear", draw);
  const y = select("y", { auto: "as the first run has", ...Object.fromEntries(Object.entries(YS).map(([name, one]) => [name, one.title])) }, "auto", draw);
  const filter = el("input", { type: "search", id: freshId("filter"), placeholder: "Part of a name" });
  const filterField = el("div", { class: "field", hidden: true }, el("label", { for: filter.id }, "Find runs"), filter);
  filter.addEventListener("input", () => showRuns());

  let runs = [];
  let chosen = several("r");
  const known = new Map();
  let timer = 0;
  let shown = false;
  let drawn = "";

  panel.append(filterField, boxes,
    el("div", { class: "row" }, labelled("Horizontal axis", x), labelled("Scale", logX), labelled("Vertical axis", y)),
    error.element, el("div", { class: "panel" }, legend, chart.element, note),
    el("details", {}, el("summary", {}, "The newest values as a table"), el("div", { class: "scroll" }, table)));

  function showRuns() {
    const wanted = filter.value.toLowerCase();
    const listed = runs.filter((run) => run.state !== "unreadable" && (chosen.includes(run.name) || run.name.toLowerCase().includes(wanted)));
    filterField.hidden = runs.length <= 12;
    const signature = JSON.stringify([listed.map((run) => [run.name, run.state]), chosen]);
    if (signature === drawn) return;
    drawn = signature;
    const focused = document.activeElement?.value;
    boxes.replaceChildren(el("legend", {}, "Runs"), ...listed.map((run) => {
      const box = el("input", { type: "checkbox", id: freshId("run"), value: run.name });
      box.checked = chosen.includes(run.name);
      box.addEventListener("change", () => {
        chosen = box.checked ? [...chosen, run.name] : chosen.filter((name) => name !== run.name);
        keep("r", chosen);
        drawn = "";
        refresh();
      });
      return el("span", { class: "chip" }, box, el("label", { for: box.id }, run.name,
        run.state === "training" ? el("span", { class: "tag live" }, "in training") : null));
    }));
    if (focused) [...boxes.querySelectorAll("input")].find((box) => box.value === focused)?.focus();
  }

  async function refresh() {
    clearTimeout(timer);
    try {
      runs = (await get("/playground/runs")).runs;
      chosen ??= firstChoice(runs);
      showRuns();
      await Promise.all(chosen.map(loadCurves));
      error.show(null);
    } catch (failed) {
      if (!(failed instanceof Problem)) throw failed;
      error.show(failed.message);
    }
    draw();
    clearTimeout(timer);
    if (shown) timer = setTimeout(poll, EVERY);
  }
  function poll() {
    if (document.visibilityState === "visible") refresh();
    else timer = setTimeout(poll, EVERY);
  }

  async function loadCurves(name) {
    const entry = runs.find((run) => run.name === name);
    const before = known.get(name);
    if (before?.state === "finished" && entry?.state === "finished") return;
    known.set(name, await get("/playground/curves", { run: name }));
  }

  function draw() {
    const curves = (chosen ?? []).map((name) => known.get(name)).filter(Boolean);
    const measure = y.value !== "auto" ? y.value : curves[0]?.unit ?? "token";
    const has = (curve) => (measure === "accuracy" ? curve.looks.some((look) => look.accuracy !== null) : curve.unit === measure);
    const fitting = curves.filter(has);
    const lines = fitting.flatMap((curve) => {
      const colour = `line-${(chosen.indexOf(curve.run) % COLOURS) + 1}`;
      const points = (what) => curve.looks.map((look) => ({ x: look[x.value], y: look[what] }));
      if (measure === "accuracy") return [{ name: curve.run, className: colour, points: points("accuracy") }];
      return [{ name: `${curve.run}, train`, className: `${colour} train`, points: points("train") },
        { name: `${curve.run}, dev`, className: colour, points: points("dev") }];
    });
    const sayX = x.value === "seconds" ? duration : (place) => `${x.value === "epoch" ? fixed(place) : grouped(place)} ${XS[x.value]}`;
    chart.show({ lines, xLabel: XS[x.value], yLabel: YS[measure].title, logX: logX.value === "log", sayX, sayY: YS[measure].say,
      tickY: measure === "accuracy" ? (tick) => `${Number((100 * tick).toPrecision(4))} %` : undefined });
    legend.replaceChildren(...lines.filter((line) => line.points.some((point) => point.y !== null)).map((line) =>
      el("li", {}, el("span", { class: `key ${line.className}`, "aria-hidden": "true" }), line.name)));
    const others = curves.filter((curve) => !has(curve)).map((curve) => curve.run);
    note.textContent = curves.length === 0 ? "Choose runs above."
      : others.length > 0 ? `Not drawn, as they have no such values: ${others.join(", ")}.` : "";
    table.replaceChildren(...newestValues(curves));
  }

  return {
    show() { shown = true; refresh(); },
    hide() { shown = false; clearTimeout(timer); },
  };
}

/** Runs in training, or else the first few that were trained step by step. */
function firstChoice(runs) {
  const live = runs.filter((run) => run.state === "training");
  const trained = runs.filter((run) => (run.steps ?? 0) > 0 && run.kind === runs[0]?.kind);
  return (live.length > 0 ? live : trained).slice(0, 3).map((run) => run.name);
}

function newestValues(curves) {
  const head = ["Run", "State", "Steps", "Train", "Dev", "Accuracy"];
  return [el("thead", {}, el("tr", {}, head.map((name, place) => el("th", { scope: "col", class: place > 1 ? "number" : null }, name)))),
    el("tbody", {}, curves.map((curve) => {
      const look = curve.looks.at(-1);
      const cells = look ? [grouped(look.step), ...[look.train, look.dev].map((one) => (one === null ? "–" : fixed(one, 4))),
        look.accuracy === null ? "–" : percent(look.accuracy)] : ["–", "–", "–", "–"];
      return el("tr", {}, el("th", { scope: "row" }, curve.run), el("td", {}, curve.state), cells.map((cell) => el("td", { class: "number" }, cell)));
    }))];
}
