/** The compare tab: which of two texts is likelier, and where the difference lies. */

import { newest, post } from "./api.js";
import { Cards, cardFrame, modelChips } from "./model-cards.js";
import { debounced, el, freshId } from "./dom.js";
import { keep, value } from "./state.js";
import { surprisalLegend, Tokens } from "./tokens.js";
import { END, fixed, grouped, logLikelihood, minus, times, tokenText } from "./format.js";

const SIDES = ["first", "second"];
const MOST_ALIGNED = 1200;

/** Fill the tab. */
export function compareTab(panel, app) {
  const fields = SIDES.map((side) => {
    const field = el("textarea", { id: freshId(side), rows: 2, spellcheck: "false", autocapitalize: "off" });
    field.value = value(side, "");
    field.addEventListener("input", () => {
      keep(side, field.value);
      soon();
    });
    return field;
  });
  const cards = new Cards(compareCard);
  const chips = modelChips(app.languageModels, "m", 2, readAll);

  function readAll() {
    for (const card of cards.show(chips.chosen())) card.read(...fields.map((field) => field.value));
  }
  const soon = debounced(200, readAll);
  panel.append(
    el("div", { class: "row" }, fields.map((field, place) => el("div", { class: "field wide" },
      el("label", { for: field.id }, `The ${SIDES[place]} text`), field))),
    el("p", { class: "hint" }, "Both are scored as whole documents, their ends included."),
    chips.element, surprisalLegend(), cards.element);
  return { show: readAll };
}

function compareCard(model) {
  const verdict = el("p", { class: "verdict" });
  const lists = SIDES.map((side) => new Tokens(`The ${side} text as ${model.id} reads it`));
  const table = el("table", { class: "table" });
  const details = el("details", {}, el("summary", {}, "Token by token"), el("div", { class: "scroll" }));
  const body = el("div", { class: "stack tight" }, lists.map((list, place) => el("div", {},
    el("h3", {}, `The ${SIDES[place]} text`), list.element)), el("div", { class: "scroll" }, table), details);
  const frame = cardFrame(model, verdict, body);

  const ask = newest(
    (signal, ...texts) => Promise.all(texts.map((text) => post("/playground/read",
      { model: model.id, text, alternatives: 3, next: 0 }, signal))),
    (answers) => {
      frame.warn(null);
      body.hidden = false;
      const ends = answers.map(endOf);
      verdict.textContent = sentence(model.id, answers);
      answers.forEach((answer, place) => lists[place].show(answer.tokens, ends[place]));
      table.replaceChildren(...figures(answers));
      details.lastChild.replaceChildren(aligned(answers.map((answer, place) => [...answer.tokens, ends[place]])));
    },
    (problem) => frame.warn(problem.message),
  );
  return {
    element: frame.element,
    read(...texts) {
      if (texts.every((text) => text !== "")) {
        ask(...texts);
        return;
      }
      frame.warn(null);
      body.hidden = true;
      verdict.textContent = "Enter both texts to see which is more probable.";
    },
  };
}

/** The end of a document as one more token. */
function endOf(answer) {
  const known = answer.nats_with_end !== null && answer.nats !== null;
  const nats = known ? answer.nats_with_end - answer.nats : null;
  return { id: -1, name: "<boundary>", text: "", is_boundary: true, is_unknown: false, alternatives: [],
    nats, surprisal: nats === null ? null : nats / Math.LN2, probability: nats === null ? 0 : Math.exp(-nats),
    perplexity: known ? Math.exp(answer.nats_with_end / (answer.tokens.length + 1)) : null };
}

function sentence(name, answers) {
  const [first, second] = answers.map((answer) => answer.nats_with_end);
  if (first === null && second === null) return `${name} gives both probability 0.`;
  if (first === null) return `${name} gives only the first probability 0.`;
  if (second === null) return `${name} gives only the second probability 0.`;
  const difference = second - first;
  if (Math.abs(difference) < 0.0005) return `For ${name} both are equally likely.`;
  const [likelier, other] = difference > 0 ? SIDES : [...SIDES].reverse();
  return `For ${name} the ${likelier} is ${times(Math.abs(difference))} as likely as the ${other}.`;
}

function figures(answers) {
  const counts = answers.map((answer) => answer.tokens.length + 1);
  const nats = answers.map((answer) => answer.nats_with_end);
  const both = nats.every((one) => one !== null);
  const rows = [
    ["Log-likelihood (nats)", nats.map(logLikelihood),
      both ? minus(fixed(nats[1] - nats[0])) : "–"],
    ["Tokens, with the end", counts.map(grouped), ""],
    ["Nats per token", nats.map((one, place) => fixed(one === null ? null : one / counts[place], 3)),
      both ? minus(fixed(nats[0] / counts[0] - nats[1] / counts[1], 3)) : "–"],
  ];
  return [
    el("thead", {}, el("tr", {}, el("td", {}), ["First", "Second", "First − second"].map((name) =>
      el("th", { scope: "col", class: "number" }, name)))),
    el("tbody", {}, rows.map(([name, cells, difference]) => el("tr", {}, el("th", { scope: "row" }, name),
      [...cells, difference].map((cell) => el("td", { class: "number" }, cell))))),
  ];
}

/** A table of both texts' tokens, equal ones side by side, and how their surprisals differ. */
function aligned([first, second]) {
  if (first.length * second.length > MOST_ALIGNED ** 2) return el("p", { class: "hint" }, "The texts are too long for this table.");
  const rows = align(first, second).map(([left, right]) => {
    const known = left?.surprisal != null && right?.surprisal != null;
    const difference = known ? left.surprisal - right.surprisal : null;
    const strength = Math.min(Math.abs(difference ?? 0) / 6, 1);
    return el("tr", {}, [left, right].flatMap((token) => [
      el("td", { class: "mono" }, token ? shown(token) : ""),
      el("td", { class: "number" }, token ? fixed(token.surprisal) : "")]),
    el("td", { class: `number lean ${(difference ?? 0) > 0 ? "against" : "for"}`, vars: { "--strength": `${strength * 60}%` } },
      known ? minus(fixed(difference)) : ""));
  });
  const names = ["First", "bits", "Second", "bits", "Difference"];
  return el("table", { class: "table" }, el("thead", {}, el("tr", {}, names.map((name, place) =>
    el("th", { scope: "col", class: place % 2 || place === 4 ? "number" : null }, name)))), el("tbody", {}, rows));
}

const shown = (token) => (tokenText(token) === END ? `${END} end` : tokenText(token));

/** Pair the tokens of a longest common subsequence; those between stand side by side. */
function align(first, second) {
  const same = (left, right) => first[left].name === second[right].name;
  const length = Array.from({ length: first.length + 1 }, () => new Uint16Array(second.length + 1));
  for (let left = first.length - 1; left >= 0; left -= 1) {
    for (let right = second.length - 1; right >= 0; right -= 1) {
      length[left][right] = same(left, right) ? length[left + 1][right + 1] + 1
        : Math.max(length[left + 1][right], length[left][right + 1]);
    }
  }
  const rows = [];
  let [left, right] = [0, 0];
  let waiting = [[], []];
  const flush = () => {
    const most = Math.max(waiting[0].length, waiting[1].length);
    for (let place = 0; place < most; place += 1) rows.push([waiting[0][place], waiting[1][place]]);
    waiting = [[], []];
  };
  while (left < first.length || right < second.length) {
    if (left < first.length && right < second.length && same(left, right)) {
      flush();
      rows.push([first[left], second[right]]);
      left += 1;
      right += 1;
    } else if (right >= second.length || (left < first.length && length[left + 1][right] >= length[left][right + 1])) {
      waiting[0].push(first[left]);
      left += 1;
    } else {
      waiting[1].push(second[right]);
      right += 1;
    }
  }
  flush();
  return rows;
}
