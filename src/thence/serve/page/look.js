/** The place Look: one text as several models read it. */

import { get } from "./api.js";
import { Actions } from "./actions.js";
import { announce, el, errorLine } from "./dom.js";
import { Editor } from "./editor.js";
import { figures } from "./figures.js";
import { Inspector } from "./inspector.js";
import { Labels } from "./labels.js";
import { Lens } from "./lens.js";
import { Rail, stateOf } from "./rail.js";
import { neighbour, Reader, tokenAt } from "./readings.js";
import { keep, several, value } from "./state.js";
import { Strips } from "./strips.js";
import { unitChoice } from "./units.js";

/** Milliseconds between two requests of the models' states. */
const EVERY = 20000;
/** The same while baselines are being computed. */
const SOON = 1500;
/** Milliseconds after which an answer counts as missing. */
const PATIENCE = 250;

/** Fill the place. */
export function lookPlace(panel, app) {
  const strips = new Map(); // The newest answer of each model.
  const error = errorLine();
  const problems = el("div", { class: "problems" });
  const numbers = el("div", { class: "scroll on-ground", hidden: true, tabindex: 0, role: "region", "aria-label": "Figures" });
  let place = value("place") === "" ? null : Number(value("place"));
  let waiting = 0;

  const editor = new Editor("Text", value("text"), "Type the beginning of a document", (text) => {
    keep("text", text);
    if (place !== null) choose(null);
    else read();
  });
  const rail = new Rail(app.models, () => { drawAll(); read(); });
  const lens = new Lens(() => ({ chosen: rail.chosen, strips, text: editor.text, place }), (chosen) => choose(chosen), () => drawSoon());
  const labels = new Labels(() => ({ chosen: rail.chosen, text: editor.text }));
  const view = new Strips((chosen) => choose(chosen));
  view.place = place;
  const inspector = new Inspector({ take, move, leave: () => choose(null) });
  const actions = new Actions(() => ({ chosen: rail.chosen, strips, text: editor.text, editor, sampling: inspector.sampling }));
  const unit = unitChoice(() => { rail.draw(); drawAll(); });
  unit.hidden = true;
  const pairing = pairChoice(() => drawAll());
  const reader = new Reader((strip) => {
    strips.set(strip.model, strip);
    drawSoon();
  }, (problem) => error.show(problem));

  const clear = el("button", { type: "button", class: "quiet", on: { click: () => { editor.replace(0, editor.text.length, ""); editor.field.focus(); } } }, "Clear");
  const ofLanguage = el("div", { class: "of-language" }, lens.switch, view.element, lens.legend, lens.panel, actions.panel, pairing.element, view.sum, numbers, unit);
  const middle = el("div", { class: "middle" },
    el("div", { class: "text-field" }, el("div", { class: "label-row" }, editor.label, actions.bar, clear), editor.field),
    error.element, problems, ofLanguage, labels.element);
  panel.append(el("div", { class: "look" }, rail.element, middle, inspector.element, labels.aside));
  rail.element.open = !matchMedia("(max-width: 900px)").matches;

  function read() {
    const text = editor.text;
    if (classifies()) {
      labels.soon();
      return;
    }
    clearTimeout(waiting);
    waiting = setTimeout(() => middle.classList.toggle("stale", current().length + failures().length < rail.chosen.length), PATIENCE);
    reader.ask(rail.chosen.map((model) => model.id), text, place);
  }

  const classifies = () => rail.chosen[0]?.kind === "classifier";

  /** The answers to the text as it is now, in the order of the models. */
  function current() {
    return rail.chosen.map((model) => strips.get(model.id)).filter((strip) => strip && !strip.problem && strip.text === editor.text);
  }

  /** The answers that are errors. */
  function failures() {
    return rail.chosen.map((model) => strips.get(model.id)).filter((strip) => strip?.problem);
  }

  let frame = 0;
  function drawSoon() {
    frame ||= requestAnimationFrame(() => { frame = 0; drawAll(); });
  }

  function drawAll() {
    for (const part of [ofLanguage, actions.bar, inspector.element]) part.hidden = classifies();
    for (const part of [labels.element, labels.aside]) part.hidden = !classifies();
    if (classifies()) {
      labels.draw();
      return;
    }
    const read = current();
    drawInspector();
    const failed = failures();
    problems.replaceChildren(...failed.map((strip) => el("p", { class: "problem", role: "alert", "data-model": strip.model }, `${strip.model}: ${strip.problem}`)));
    lens.update();
    if (read.length + failed.length < rail.chosen.length) return; // Half of the strips would only flicker.
    middle.classList.remove("stale");
    view.show(read, { name: lens.colours, colour: (strip, index) => lens.colour(strip, index), pair: pairOf(read) });
    numbers.replaceChildren(figures(rail.chosen, read));
    numbers.hidden = unit.hidden = read.length === 0;
    actions.changed();
    panel.setAttribute("data-read", editor.text);
  }

  /** The two strips whose difference is shown: by default the first two models. */
  function pairOf(read) {
    const names = rail.chosen.map((model) => model.id);
    pairing.element.hidden = names.length < 2 || editor.text === "";
    if (pairing.element.hidden) return null;
    const found = pairing.of(names).map((name) => read.find((strip) => strip.model === name));
    return found.every(Boolean) ? found : null;
  }

  function drawInspector() {
    const columns = rail.chosen.map((model) => {
      const strip = strips.get(model.id);
      return { model, problem: strip?.problem, strip: strip && !strip.problem && strip.text === editor.text ? strip : null };
    });
    inspector.show(columns, editor.text, place);
  }

  /** Choose a token by its first unit; null: the end of the text. */
  function choose(chosen) {
    place = chosen;
    keep("place", place);
    view.choose(place);
    read();
  }

  /** Choose the token before or after the chosen one, as the first model cuts the text. */
  function move(step) {
    const [strip] = current();
    if (!strip || strip.ids.length === 0) return;
    const index = tokenAt(strip, place) ?? strip.ids.length;
    const next = Math.max(0, neighbour(strip, index, step));
    choose(next >= strip.ids.length ? null : strip.starts[next]);
  }

  /** Append a token, or put it in the place of the chosen one. */
  function take(token) {
    const [strip] = current();
    const index = strip ? tokenAt(strip, place) : null;
    if (token.text === null) {
      announce("The document ends here; this model has no text that says so.");
      return;
    }
    if (index === null) editor.replace(editor.text.length, editor.text.length, token.text);
    else {
      const [start, end] = [strip.starts[index], strip.ends[index]];
      const before = /\s$/.test(editor.text.slice(0, start)) || start === 0;
      editor.replace(start, end, before ? token.text.trimStart() || token.text : token.text);
    }
    announce(`${index === null ? "Appended" : "Put in"} ${token.name}`);
  }

  let [timer, soon, told] = [0, 0, ""];
  async function watch() {
    try {
      const { models, waiting: more } = await get("/playground/models");
      app.models = models;
      if (more) soon = setTimeout(watch, SOON);
      rail.update(models);
      const gone = rail.chosen.filter((model) => stateOf(model) !== null && model.on_disk !== "unchanged");
      const said = gone.map((model) => `${model.id} is ${stateOf(model)}; the server keeps what it loaded`).join(". ");
      if (said !== told) announce(said);
      told = said;
    } catch {
      // The next reading shows the error.
    }
  }
  const resized = new ResizeObserver(() => drawSoon());

  return {
    show() {
      read();
      resized.observe(view.element);
      timer = setInterval(watch, EVERY);
      if (app.waiting) soon = setTimeout(watch, SOON);
    },
    hide() {
      resized.disconnect();
      clearInterval(timer);
      clearTimeout(soon);
    },
  };
}

/** The choice of two models whose difference is shown. */
function pairChoice(onChange) {
  const [first, second] = ["second", "first"].map((which) => el("select", { "aria-label": `The ${which} model of the difference`, on: { change: () => {
    keep("minus", [first.value, second.value]);
    onChange();
  } } }));
  const element = el("p", { class: "pairing", hidden: true }, "Difference: ", first, " − ", second);
  return {
    element,
    /** Return the names of the two: what is subtracted first. */
    of(names) {
      const kept = several("minus") ?? [];
      const right = names.includes(kept[1]) ? kept[1] : names[0];
      const left = names.includes(kept[0]) && kept[0] !== right ? kept[0] : names.find((name) => name !== right);
      for (const [control, chosen] of [[first, left], [second, right]]) {
        if ([...control.options].map((one) => one.value).join() !== names.join()) control.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
        control.value = chosen;
      }
      return [right, left];
    },
  };
}
