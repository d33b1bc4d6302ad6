/** Lenses: further views of each token by a model. One is chosen at a time. */

import { newest, post } from "./api.js";
import { el, errorLine } from "./dom.js";
import { drawBackoff, drawCache, drawExamples, drawMixture } from "./lens-counts.js";
import { drawLearning, drawMixing, drawShapes, drawTracking } from "./lens-more.js";
import { drawAttention, drawLayers, drawWhy } from "./lens-tokens.js";
import { drawFlow, drawUnits } from "./lens-units.js";
import { drawNeighbours, loadNeighbours } from "./neighbours.js";
import { tokenAt } from "./readings.js";
import { rankLegend, rankShade, shade, surprisalLegend } from "./shades.js";
import { keep, value } from "./state.js";

/** Number of tokens of a long text that a lens is requested for: those around the chosen one. */
const AROUND = 60;
const EMPTY = "The text is empty: write something to look into.";
/** Milliseconds without typing before a lens is requested; it may take longer than the bars. */
const PATIENCE = 150;

/**
 * The lenses, in the order of the switch. `lens` is its name in /playground/look; `draw(look, scene)`
 * returns elements, and `colour(look, index)` the class of a token in the strip. One with `load` asks
 * for something else, about the chosen token alone.
 */
const LENSES = [
  { id: "surprise", title: "surprise", lens: null },
  { id: "rank", title: "rank", lens: "following", colour: (look, index) => rankShade(look.tokens[index]?.rank), legend: rankLegend },
  { id: "backoff", title: "back-off", lens: "backoff", draw: drawBackoff, colour: backoffColour },
  { id: "mixture", title: "mixture", lens: "mixture", draw: drawMixture },
  { id: "cache", title: "cache", lens: "cache", draw: drawCache },
  { id: "learning", title: "learning", lens: "learning", draw: drawLearning },
  { id: "mixing", title: "mixing", lens: "mixing", draw: drawMixing },
  { id: "gates", title: "gates", lens: "gates", draw: (look, scene) => drawUnits(look.lenses.gates, scene) },
  { id: "units", title: "units", lens: "activations", draw: (look, scene) => drawUnits(look.lenses.activations, scene) },
  { id: "attention", title: "attention", lens: "attention", draw: drawAttention },
  { id: "why", title: "why", lens: "why", draw: drawWhy },
  { id: "occlusion", title: "occlusion", lens: "occlusion", draw: drawWhy },
  { id: "layers", title: "layers", lens: "layers", draw: drawLayers },
  { id: "flow", title: "gradient flow", lens: "flow", draw: drawFlow },
  { id: "tracking", title: "what units track", lens: "units", draw: drawTracking },
  { id: "shapes", title: "shapes", lens: "shapes", draw: drawShapes },
  { id: "neighbours", title: "neighbours", lens: "neighbours", load: loadNeighbours, draw: drawNeighbours },
  { id: "examples", title: "in train", lens: "examples", draw: drawExamples },
];

/** Whether a model has a lens. */
function suits(model, lens) {
  return lens.id === "neighbours" ? model.has_embeddings : model.lenses.includes(lens.lens);
}

function backoffColour(look, index) {
  const stack = look.lenses.backoff[index - look.places[0]];
  return stack ? `o${Math.min(stack.order, 6)}` : "";
}

/** Return the first token that an answer shows, and the one after the last: a lens may show fewer than were asked for. */
function shownIn(look, lens) {
  return look.lenses?.[lens.lens]?.places ?? look.places ?? [0, Infinity];
}

export class Lens {
  /**
   * @param {() => Object} scene Returns `{chosen, strips, text, place}`: the models, their answers.
   * @param {(place: number) => void} choose
   * @param {() => void} onColours Called when the strips have other colours.
   */
  constructor(scene, choose, onColours) {
    this.scene = scene;
    this.choose = choose;
    this.onColours = onColours;
    this.id = value("lens", "surprise");
    this.model = value("lens_model");
    this.look = null;
    this.memory = {}; // What the reader chose within lenses: a layer, a head, a unit.
    this.switch = el("div", { class: "lenses", role: "group", "aria-label": "Lens" });
    this.legend = el("div", {});
    this.error = errorLine();
    this.content = el("div", { class: "lens-content" }, el("p", { class: "hint" }, "Looking …"));
    this.models = el("div", { class: "lens-models" });
    this.panel = el("section", { class: "lens-panel", "aria-label": "Lens", hidden: true }, this.models, this.error.element, this.content);
    this.asking = newest(
      (signal, asked) => (asked.lens.load ? asked.lens.load(asked, signal) : post("/playground/look", asked.body, signal)),
      (look, asked) => this.take(look, asked),
      (problem) => { this.error.show(problem.message); this.content.replaceChildren(); },
      ({ lens, body, strip, chosen }) => JSON.stringify([lens.id, body, lens.load ? strip.ids[chosen] : null]),
    );
    this.timer = 0;
  }

  get lens() {
    return LENSES.find((one) => one.id === this.id && this.has(one)) ?? LENSES[0];
  }

  has(lens) {
    return lens.lens === null || this.scene().chosen.some((model) => suits(model, lens));
  }

  /** The models that have the lens, and the one whose is shown. */
  subject(lens = this.lens) {
    const having = this.scene().chosen.filter((model) => suits(model, lens));
    return { having, model: having.find((one) => one.id === this.model) ?? having[0] ?? null };
  }

  pick(id) {
    this.id = id;
    keep("lens", id === "surprise" ? null : id);
    this.forget();
    this.update(0);
    this.onColours();
  }

  /** Discard the shown answer, which is of another lens or model. */
  forget() {
    this.look = null;
    this.error.show(null);
    this.content.replaceChildren(el("p", { class: "hint" }, "Looking …"));
  }

  /** Open the lens of units at one of them; its layer may be a gate, named after it. */
  openUnit({ layer, unit }) {
    Object.assign(this.memory, { unit, wanted: layer });
    const { model } = this.subject();
    this.pick(/ (input|forget|output|update|reset|candidate|cell|hidden)$/.test(layer) && model.lenses.includes("gates") ? "gates" : "units");
  }

  /** Show the switch, and request the lens if the text, the place or the models have changed. */
  update(wait = PATIENCE) {
    const shown = LENSES.filter((lens) => this.has(lens));
    const lens = this.lens;
    const names = shown.map((one) => one.id).join();
    if (this.switch.dataset.names !== names) {
      this.switch.dataset.names = names;
      this.switch.replaceChildren(...shown.map((one) => el("button", { type: "button", "data-lens": one.id, on: { click: () => this.pick(one.id) } }, one.title)));
    }
    for (const button of this.switch.children) button.setAttribute("aria-pressed", String(button.dataset.lens === lens.id));
    this.scrollTo([...this.switch.children].find((button) => button.dataset.lens === lens.id));
    this.legend.replaceChildren(lens.legend ? lens.legend() : lens.colour ? orderLegend(this.look) : surprisalLegend());
    const { chosen, strips } = this.scene();
    this.panel.hidden = !lens.draw || chosen.every((model) => strips.get(model.id)?.problem);
    this.panel.setAttribute("aria-label", `Lens: ${lens.title}`);
    clearTimeout(this.timer);
    if (lens.lens === null) {
      this.look = null;
      return;
    }
    const { having, model } = this.subject(lens);
    this.chooseModel(having, model);
    if (this.fits(lens, model)) this.draw();
    else this.timer = setTimeout(() => this.ask(lens, model), wait);
  }

  /** Bring the button of the chosen lens into sight, once: on a telephone the switch scrolls. */
  scrollTo(button) {
    if (this.seen === button || this.switch.clientWidth === 0) return;
    this.seen = button;
    const [inner, outer] = [button.getBoundingClientRect(), this.switch.getBoundingClientRect()];
    if (inner.left < outer.left || inner.right > outer.right) this.switch.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
  }

  chooseModel(having, model) {
    this.models.hidden = having.length < 2;
    this.models.replaceChildren(...having.map((one) => el("button", {
      type: "button", class: `chip-button c${this.scene().chosen.indexOf(one) + 1}`, "aria-pressed": String(one === model),
      on: { click: () => { this.model = one.id; keep("lens_model", one.id); this.forget(); this.update(0); } },
    }, el("span", { class: "swatch-dot" }), one.id)));
  }

  strip(model) {
    const { strips, text } = this.scene();
    const strip = strips.get(model.id);
    return strip && !strip.problem && strip.text === text ? strip : null;
  }

  /** Whether the known answer is for this text and includes the tokens around the chosen one. */
  fits(lens, model) {
    const strip = this.strip(model);
    if (this.look === null || strip === null || this.look.text !== strip.text || this.look.run !== model.id || this.look.lens !== lens.id) return false;
    const at = tokenAt(strip, this.scene().place) ?? strip.ids.length - 1;
    if (lens.draw === drawWhy && this.look.against !== (this.memory.against ?? null)) return false;
    if (lens.load) return this.look.token === strip.ids[at];
    const [first, stop] = shownIn(this.look, lens);
    return strip.ids.length === 0 || stop <= first || (at >= first && at < stop);
  }

  ask(lens, model) {
    const strip = model === null ? null : this.strip(model);
    if (strip === null) return; // Asked again when the strip has come.
    const at = tokenAt(strip, this.scene().place) ?? strip.ids.length - 1;
    const first = Math.max(0, at - AROUND); // A lens with a lower limit shows the first of them.
    this.panel.classList.toggle("stale", this.look !== null);
    if (lens.load && at < 0) {
      this.content.replaceChildren(el("p", { class: "hint" }, EMPTY));
      return;
    }
    const body = { model: model.id, text: strip.text, lenses: [lens.lens], top: 5, places: [first, Math.min(strip.ids.length, Math.max(at, 0) + AROUND)] };
    if (lens.draw === drawWhy && this.memory.against) body.against = this.memory.against;
    this.asking({ lens, model, strip, chosen: at, body });
  }

  take(look, asked) {
    // By name: the list of models is read again now and then, and has other objects then.
    if (asked.lens !== this.lens || asked.model.id !== this.subject().model?.id) return; // The newer one is asked for.
    const [first, stop] = shownIn(look, asked.lens);
    if (asked.chosen >= stop && stop > first) { // The lens has a lower limit: request fewer tokens, up to the chosen one.
      const places = [Math.max(0, asked.chosen + 1 - Math.ceil((stop - first) / 2)), asked.chosen + 1];
      this.asking({ ...asked, body: { ...asked.body, places } });
      return;
    }
    this.error.show(null);
    this.look = { ...look, text: asked.strip.text, run: asked.model.id, lens: asked.lens.id, against: asked.body.against ?? null };
    this.onColours(); // Draws the lens too, or asks again where the text is another by now.
  }

  draw() {
    const lens = this.lens;
    const model = this.scene().chosen.find((one) => one.id === this.look.run);
    const strip = model && this.strip(model);
    this.panel.classList.remove("stale");
    if (!lens.draw || !strip) return;
    if (strip.ids.length === 0) {
      this.content.replaceChildren(el("p", { class: "hint" }, EMPTY));
      return;
    }
    const chosen = tokenAt(strip, this.scene().place) ?? strip.ids.length - 1;
    this.content.replaceChildren(...lens.draw(this.look, {
      strip, model, chosen, memory: this.memory, places: this.look.places,
      choose: (index) => this.choose(strip.starts[index]),
      redraw: () => this.draw(),
      ask: () => this.update(0),
      open: (unit) => this.openUnit(unit),
      word: (index) => wordOf(strip, index),
    }));
  }

  /** Return the class of a token's colour in the strip of a model. */
  colour(strip, index) {
    const lens = this.lens;
    if (lens.colour && this.look && this.look.run === strip.model && this.look.text === strip.text) return lens.colour(this.look, index);
    return shade(strip.bits[index]);
  }

  /** A key of all that the colours depend on, for caches of drawn elements. */
  get colours() {
    return this.lens.colour ? `${this.lens.id} ${this.look?.run}` : "surprise";
  }
}

function orderLegend(look) {
  const most = Math.min(6, Math.max(1, ...(look?.lenses?.backoff ?? []).map((stack) => stack.longest)));
  return el("p", { class: "legend" }, "Which order answered: ",
    Array.from({ length: most }, (_, number) => number + 1).map((order) => el("span", { class: `swatch o${order}` }, `${order}${order === 6 ? " and more" : ""}`)));
}

/** Return a token's text as it is shown by itself. */
function wordOf(strip, index) {
  if (index < 0) return "⊢";
  if (strip.ids[index] === strip.boundary) return "■";
  const text = strip.text.slice(strip.starts[index], strip.ends[index]);
  return text.trim() === "" ? (text === "" ? "·" : "␣") : text.trim();
}

