/** The page: its three places, made when they are first opened. */

import { get } from "./api.js";
import { el } from "./dom.js";
import { enter, reread, value } from "./state.js";
import { lookPlace } from "./look.js";
import { runsPlace } from "./runs.js";
import { trainPlace } from "./train.js";

/**
 * A place has an id, a title, and how to fill it: `fill(panel, app)` puts its elements into the
 * panel, and returns what to do when it is shown and hidden (`{show, hide}`, both optional).
 * `app` has `waiting` (whether baselines are still computed), `models`, `languageModels` and `classifiers` (of /playground/models) and `go(id)`, which opens
 * another place; what that is to show stands in the address by then (`keep` of state.js).
 */
const PLACES = [
  { id: "look", title: "Look", fill: lookPlace },
  { id: "train", title: "Train", fill: trainPlace },
  { id: "runs", title: "Runs", fill: runsPlace },
];

/** Places that had another id in links of version 0.1. */
const RENAMED = {
  text: "look", blanks: "look", infill: "look", compare: "look", classify: "look", embeddings: "look", "heat-map": "look", curves: "train",
};

const bar = document.getElementById("tabs");
const main = document.getElementById("main");
const banner = document.getElementById("banner");
let app = null;
let opened = new Map();
let current = null;

/** Show an error at the top of the page, or none. */
function warn(sentence) {
  banner.textContent = sentence ?? "";
  banner.hidden = !sentence;
}

function makeTabs() {
  bar.replaceChildren(...PLACES.map((tab) => el("button", {
    role: "tab", id: `tab-${tab.id}`, "aria-controls": `panel-${tab.id}`, type: "button",
    on: { click: () => { enter("tab", tab.id); open(tab.id); } },
  }, tab.title)));
  main.replaceChildren(...PLACES.map((tab) => el("section", {
    role: "tabpanel", id: `panel-${tab.id}`, "aria-labelledby": `tab-${tab.id}`, hidden: true,
  })));
  opened = new Map();
  current = null;
}

/** Scroll the bar of tabs; scrollIntoView would also move where the Tab key begins. */
function bringIntoBar(button) {
  const end = button.offsetLeft + button.offsetWidth;
  if (button.offsetLeft < bar.scrollLeft) bar.scrollLeft = button.offsetLeft;
  if (end > bar.scrollLeft + bar.clientWidth) bar.scrollLeft = end - bar.clientWidth;
}

function open(wanted) {
  const id = RENAMED[wanted] ?? wanted;
  const tab = PLACES.find((one) => one.id === id) ?? PLACES[0];
  if (current !== null && current !== tab.id) opened.get(current)?.hide?.();
  for (const one of PLACES) {
    const chosen = one === tab;
    const button = document.getElementById(`tab-${one.id}`);
    button.setAttribute("aria-selected", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
    document.getElementById(`panel-${one.id}`).hidden = !chosen;
    if (chosen) bringIntoBar(button);
  }
  current = tab.id;
  document.title = `${tab.title}: thence`;
  if (!opened.has(tab.id)) opened.set(tab.id, tab.fill(document.getElementById(`panel-${tab.id}`), app) ?? {});
  opened.get(tab.id).show?.();
}

/** Open a tab from elsewhere in the page. */
function go(id) {
  enter("tab", id);
  opened.delete(id);
  document.getElementById(`panel-${id}`).replaceChildren();
  open(id);
  document.getElementById(`tab-${id}`).focus();
}

bar.addEventListener("keydown", (event) => {
  const tabs = [...bar.children];
  const place = tabs.indexOf(document.activeElement);
  const moves = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 };
  if (!(event.key in moves) || place < 0) return;
  event.preventDefault();
  const next = tabs[(moves[event.key] + tabs.length) % tabs.length];
  next.focus();
  next.click();
});

async function start() {
  try {
    const { models, waiting } = await get("/playground/models");
    app = {
      models,
      waiting,
      languageModels: models.filter((model) => model.kind === "language model"),
      classifiers: models.filter((model) => model.kind === "classifier"),
      go,
    };
    warn(null);
  } catch (error) {
    warn(error.message);
    banner.append(" ", el("button", { type: "button", on: { click: start } }, "Try again"));
    return;
  }
  makeTabs();
  open(value("tab", "look"));
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // The address holds the state of the page, and no places in it.
  main.focus();
});

window.addEventListener("popstate", () => {
  reread();
  if (app === null) return;
  if (current !== null) opened.get(current)?.hide?.();
  makeTabs();
  open(value("tab", "look"));
});

start();
