/** The lenses of counts and mixtures: where a probability comes from, in parts that add up. */

import { el } from "./dom.js";
import { fixed, grouped, percent, visible } from "./format.js";

const context = (text) => (text === "" ? "∅" : text.replaceAll(/<boundary>|<bos>/g, "⊢"));

/** A row of small cells, one per token, each a way to choose it. */
export function tokenRow(scene, cellOf, label) {
  const [first, stop] = scene.places;
  const cells = [];
  for (let index = first; index < stop; index += 1) {
    const { text, ...settings } = cellOf(index);
    cells.push(el("button", {
      type: "button", tabindex: index === scene.chosen ? 0 : -1, "aria-pressed": String(index === scene.chosen), "data-token": index,
      on: { click: () => scene.choose(index) }, ...settings, class: `cell ${settings.class ?? ""}${index === scene.chosen ? " on" : ""}`,
    }, text));
  }
  const element = el("div", { class: "token-row", dir: "auto", role: "group", "aria-label": label, on: { keydown: (event) => rove(event, element) } }, cells);
  return element;
}

function rove(event, element) {
  const cells = [...element.querySelectorAll("button")];
  const place = cells.indexOf(event.target);
  const right = getComputedStyle(element).direction === "rtl" ? -1 : 1;
  const step = { ArrowRight: right, ArrowLeft: -right }[event.key];
  if (step === undefined || place < 0) return;
  event.preventDefault();
  cells[Math.min(Math.max(place + step, 0), cells.length - 1)].click();
  // The row may have been redrawn.
  document.querySelector(`.lens-panel .token-row .cell.on`)?.focus();
}

/** A bar in parts whose widths are shares of one. */
function stackedBar(parts, label) {
  return el("div", { class: "stack-bar", role: "img", "aria-label": label },
    parts.filter((part) => part.share > 0).map((part) => el("span", { class: part.class, vars: { "--share": `${(100 * part.share).toFixed(3)}%` }, title: part.title },
      part.share > 0.12 ? part.name : "")));
}

/** Which order of an n-gram answered, and by which counts. */
export function drawBackoff(look, scene) {
  const stack = look.lenses.backoff[scene.chosen - scene.places[0]];
  if (!stack) return [el("p", { class: "hint" }, "This token is not shown.")];
  const word = scene.word(scene.chosen);
  const total = stack.terms.reduce((sum, term) => sum + term.share, 0);
  const parts = stack.terms.map((term) => ({
    name: orderName(term), share: total > 0 ? term.share / total : 0, class: `o${Math.min(term.order, 6)}`,
    title: `${orderName(term)}: ${percent(total > 0 ? term.share / total : 0)} of the probability`,
  }));
  const rows = stack.terms.map((term) => el("tr", {},
    el("th", { scope: "row" }, el("span", { class: `swatch o${Math.min(term.order, 6)}` }, orderName(term))),
    el("td", { class: "number" }, percent(term.share)),
    el("td", { class: "mono" }, term.order === 0 ? "every token alike" : [el("bdi", {}, context(term.context)), " → ", el("bdi", {}, word)]),
    el("td", { class: "number" }, counted(term)),
    el("td", { class: "number" }, fixed(term.weight, 4)),
    el("td", { class: "number" }, term.discount === null ? "–" : fixed(term.discount, 3)),
    el("td", { class: "number" }, term.followers === null ? "–" : grouped(term.followers))));
  return [
    tokenRow(scene, (index) => {
      const one = look.lenses.backoff[index - scene.places[0]];
      return { text: `${scene.word(index)}`, class: `o${Math.min(one.order, 6)}`, title: `order ${one.order} of ${one.longest}` };
    }, "Tokens by the order that answered"),
    el("p", {}, "Where ", el("strong", {}, percent(total)), " for ", el("strong", { class: "mono", dir: "auto" }, word), stack.member ? ` by the member ${stack.member}` : null, " comes from:"),
    stackedBar(parts, `Shares of the orders: ${parts.map((part) => `${part.name} ${percent(part.share)}`).join(", ")}`),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Counts" }, el("table", { class: "table count-table" },
      el("thead", {}, el("tr", {}, ["order", "share", "context → token", "count of all", "weight", "discount", "followers"].map((name, place) =>
        el("th", { scope: "col", class: place !== 0 && place !== 2 ? "number" : null, title: HINTS[name] ?? null }, name)))), el("tbody", {}, rows))),
    stack.terms.some((term) => term.is_continuation) ? el("p", { class: "hint" },
      "Below the longest order Kneser-Ney counts different contexts in place of occurrences: a token that follows much is likelier in a new place.") : null,
  ].filter(Boolean);
}

const HINTS = {
  "count of all": "How often the token follows the context, of all that follows it",
  discount: "What is taken from the count, for what was never seen",
  followers: "How many different tokens follow the context",
  weight: "How much of the probability is left to this order",
  share: "What this order adds to the probability",
};

function orderName(term) {
  return term.order === 0 ? "uniform" : `order ${term.order}`;
}

function counted(term) {
  if (term.count === null || term.context_count === null) return "–";
  const counts = `${grouped(term.count)} of ${grouped(term.context_count)}`;
  return term.is_continuation ? `${counts} contexts` : counts;
}

/** Weight and share of each member of a mixture. */
export function drawMixture(look, scene) {
  const { members, tokens, families } = look.lenses.mixture;
  const token = tokens[scene.chosen - scene.places[0]];
  const name = (number) => (members[number] === families?.[number] || !families ? members[number] : `${members[number]}`);
  const columns = [];
  for (let index = scene.places[0]; index < scene.places[1]; index += 1) {
    const one = tokens[index - scene.places[0]];
    columns.push(el("button", {
      type: "button", class: index === scene.chosen ? "ribbon-column on" : "ribbon-column", tabindex: index === scene.chosen ? 0 : -1,
      "aria-pressed": String(index === scene.chosen), "aria-label": `${scene.word(index)}: ${members.map((_, number) => `${name(number)} ${percent(one.weights[number])}`).join(", ")}`,
      on: { click: () => scene.choose(index) },
    }, el("span", { class: "ribbon" }, one.weights.map((weight, number) => el("span", { class: `m${number % 8}`, vars: { "--share": `${(100 * weight).toFixed(2)}%` } }))),
    el("span", { class: "mono", dir: "auto" }, scene.word(index))));
  }
  const ribbon = el("div", { class: "token-row ribbons", role: "group", "aria-label": "Weights of the members at each token", on: { keydown: (event) => rove(event, ribbon) } }, columns);
  return [
    el("p", { class: "legend" }, "Weight of each member: ", members.map((_, number) => el("span", { class: `swatch m${number % 8}` }, name(number)))),
    ribbon,
    token ? el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Members" }, el("table", { class: "table" },
      el("thead", {}, el("tr", {}, ["member", "weight", `says of ${scene.word(scene.chosen)}`, "share of the probability"].map((title, place) =>
        el("th", { scope: "col", class: place > 0 ? "number" : null }, title)))),
      el("tbody", {}, members.map((_, number) => el("tr", {}, el("th", { scope: "row" }, el("span", { class: `swatch m${number % 8}` }, name(number))),
        [token.weights, token.probabilities, token.shares].map((list) => el("td", { class: "number" }, percent(list[number]))))))))
      : el("p", { class: "hint" }, "This token is not shown."),
  ];
}

/** The matches of caches. */
export function drawCache(look, scene) {
  return look.lenses.cache.flatMap((cache) => {
    const of = (index) => cache.tokens[index - scene.places[0]];
    const token = of(scene.chosen);
    const row = tokenRow(scene, (index) => {
      const one = of(index);
      const share = (one?.weight ?? 0) * (one?.probability ?? 0);
      return { text: scene.word(index), class: "heat", vars: { "--strength": `${(72 * Math.min(1, share)).toFixed(1)}%` }, title: `${percent(one?.probability ?? 0)} by the cache` };
    }, `Tokens by what ${cache.name} says of them`);
    if (!token) return [row, el("p", { class: "hint" }, "This token is not shown.")];
    const about = el("p", {}, `${cache.name} has weight ${percent(token.weight)} here, and gives `, el("strong", { class: "mono", dir: "auto" }, scene.word(scene.chosen)), ` ${percent(token.probability)}.`);
    if (token.remembered.length === 0) return [row, about, el("p", { class: "hint" }, "It remembers nothing that fits here.")];
    return [row, about, el("table", { class: "table" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "remembered"), el("th", { scope: "col", class: "number" }, "share"), el("th", { scope: "col", class: "number" }, "tokens ago"))),
      el("tbody", {}, token.remembered.map((one) => el("tr", {}, el("th", { scope: "row", class: "mono", dir: "auto" }, visible(one.text).replaceAll("␣", " ").trim() || "␣"),
        el("td", { class: "number" }, percent(one.share)), el("td", { class: "number" }, grouped(one.ago))))))];
  });
}

/** The longest matches in the train text. */
export function drawExamples(look, scene) {
  const found = look.lenses.examples[scene.chosen - scene.places[0]];
  const row = tokenRow(scene, (index) => {
    const one = look.lenses.examples[index - scene.places[0]];
    return { text: scene.word(index), class: `o${Math.min(one.order, 6)}`, title: `${one.order} tokens, ${grouped(one.count)} times` };
  }, "Tokens by how long a match ends there");
  if (!found || found.order === 0) return [row, el("p", {}, "The train text does not have this token.")];
  const matched = Array.from({ length: found.order }, (_, number) => scene.word(found.first + number)).join(look.lenses.examples.words ? " " : "");
  return [row, el("p", {}, "The train text has ", el("strong", { class: "mono", dir: "auto" }, matched), ` ${grouped(found.count)} ${found.count === 1 ? "time" : "times"}: the longest match that ends here, ${found.order} ${found.order === 1 ? "token" : "tokens"}.`),
    el("ul", { class: "train-lines" }, found.lines.map((line) => {
      const characters = Array.from(line.text);
      return el("li", { class: "mono", dir: "auto" }, characters.slice(0, line.start).join(""), el("mark", {}, characters.slice(line.start, line.end).join("")), characters.slice(line.end).join(""));
    }))];
}
