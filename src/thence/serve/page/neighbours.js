/** The lens of embeddings: which tokens are most like the chosen one, and where they lie. */

import { get } from "./api.js";
import { el, svg } from "./dom.js";
import { fixed, visible } from "./format.js";

/** Side of the map, in its own units. */
const SIDE = 300;
/** Tokens on the map. */
const POINTS = 400;

const shown = (text) => visible(text).replaceAll("␣", " ").trim() || "␣";
const maps = new Map();

/** Ask for the neighbours of the chosen token, and once for the map. */
export async function loadNeighbours({ model, strip, chosen }, signal) {
  const id = strip.ids[chosen];
  if (!maps.has(model.id)) maps.set(model.id, await get("/playground/embedding", { model: model.id, limit: POINTS }, signal));
  return { ...await get("/playground/neighbours", { model: model.id, id, count: 12 }, signal), map: maps.get(model.id), token: id, text: strip.text, places: [0, strip.ids.length] };
}

export function drawNeighbours(found, scene) {
  const { neighbours, map } = found;
  const word = scene.word(scene.chosen);
  const untrained = neighbours.every((one) => one.cosine > 0.995);
  return [
    el("div", { class: "two-columns" },
      el("div", {}, el("p", {}, "Tokens whose embeddings are most like that of ", el("strong", { class: "mono", dir: "auto" }, word), ":"),
        untrained ? el("p", { class: "problem" }, "All embeddings are nearly alike: this model has hardly learned to tell its tokens apart.") : null,
        el("table", { class: "inspector-table neighbours" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "token"), el("th", { scope: "col" }, "cosine, 0 to 1"))),
          el("tbody", {}, neighbours.map((one) => el("tr", {}, el("th", { scope: "row", class: "mono", dir: "auto" }, shown(one.text)),
            el("td", {}, el("span", { class: "bar-cell", vars: { "--share": `${Math.max(0, one.cosine) * 100}%` } }, el("span", { class: "fill" }), el("span", { class: "number" }, fixed(one.cosine, 3))))))))),
      el("figure", { class: "embedding-map" }, drawMap(map, found.id, neighbours), el("figcaption", { class: "hint" },
        `The first ${map.points.length} of ${map.vocabulary} tokens, ${map.dimensions} dimensions `,
        map.shares === null ? "" : `in two: ${Math.round(100 * (map.shares[0] + map.shares[1]))} % of the variance.`))),
  ];
}

function drawMap(map, id, neighbours) {
  const near = new Set(neighbours.map((one) => one.id));
  const [xs, ys] = [map.points.map((point) => point.x), map.points.map((point) => point.y)];
  const scaled = (list) => {
    const [low, high] = [Math.min(...list), Math.max(...list)];
    return (value) => 14 + ((SIDE - 28) * (value - low)) / (high - low || 1);
  };
  const [x, y] = [scaled(xs), scaled(ys)];
  const few = map.points.length <= 60;
  const marks = map.points.map((point) => {
    const kind = point.id === id ? "it" : near.has(point.id) ? "near" : "";
    return { point, kind, mark: svg("g", { class: kind || null, "data-id": point.id }, svg("circle", { cx: x(point.x), cy: SIDE - y(point.y), r: kind ? 4 : few ? 2.5 : 1.8 }, svg("title", {}, shown(point.text))),
      kind || few ? svg("text", { x: x(point.x) + 5, y: SIDE - y(point.y) - 4 }, shown(point.text)) : null) };
  });
  marks.sort((left, right) => (left.kind !== "") - (right.kind !== ""));
  return svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img", "aria-label": `Map of embeddings around ${shown(neighbours[0]?.text ?? "")}` }, marks.map((one) => one.mark));
}
