/** The page of a language model: what may come next, how surprising each token is, and writing on. */

const FEW = 10;
/** Where one colour ends and the next begins, in bits. */
const STEPS = [1, 2, 3, 4.5, 6, 8, 10];
/** Pieces that are shown at most: those at the end. */
const MOST_SHOWN = 3000;
const LONGEST = 200;

begin((pack) => {
  const { header } = pack;
  const tokenizer = new Tokenizer(header.tokenizer, header);
  const reader = new Reader(modelOf(header.model, pack), header.boundary);
  const [label, field] = textField("Text", "Type the beginning of a document", () => { stop(); show(); });
  const coloured = el("div", { class: "tokens", role: "listbox", tabindex: 0, dir: "auto", "aria-label": "Surprisal of each token" });
  const figures = el("p", { class: "figures" });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const bars = el("ol", { class: "bars" });
  const heading = el("h2", {}, "Next token");
  const about = el("p", { class: "hint" });
  const shares = el("p", { class: "hint" });
  const rest = el("p", { class: "hint" });
  const more = button("Show more", () => { all = !all; drawBars(); }, { class: "quiet" });
  const status = el("p", { class: "hint", role: "status" });
  let [all, chosen, pieces, writing, undo] = [false, null, [], false, null];

  const most = Math.min(header.boundary, 50);
  const temperature = slider("Temperature", [0.1, 2, 0.05], 1, (value) => value.toFixed(2), drawBars);
  const topK = slider("Top-k", [0, most, 1], 0, (value) => (value ? String(value) : "all"), drawBars);
  const topP = slider("Top-p", [0.05, 1, 0.05], 1, (value) => value.toFixed(2), drawBars);
  const options = () => ({
    temperature: Number(temperature.input.value), topK: Number(topK.input.value), topP: Number(topP.input.value),
  });

  const write = button("Generate", () => (writing ? stop() : writeOn()));
  const back = button("Undo", () => { if (undo !== null) change(undo); undo = null; back.disabled = true; }, { class: "quiet", disabled: true });
  const clear = button("Clear", () => { remember(); change(""); field.focus(); }, { class: "quiet" });

  function remember() {
    undo = field.value;
    back.disabled = false;
  }

  function change(text) {
    stop();
    field.value = text;
    return show();
  }

  /** Read the text and draw everything; return whether nothing else was to be read meanwhile. */
  async function show() {
    const text = tokenizer.normal(field.value);
    let found;
    try {
      found = tokenizer.encode(text);
      problem.hidden = true;
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      return false;
    }
    chosen = null;
    const ids = found.flatMap((piece) => piece.ids);
    const waiting = setInterval(() => {
      status.textContent = `Reading … ${Math.round((100 * reader.ids.length) / ids.length)} %`;
    }, 200);
    const isWhole = await reader.read(ids);
    clearInterval(waiting);
    if (!isWhole) return false;
    status.textContent = "";
    pieces = found;
    let at = 0;
    for (const piece of pieces) {
      piece.at = at;
      piece.bits = piece.ids.reduce((sum, _, i) => sum + reader.nats[at + i], 0) / Math.LN2;
      at += piece.ids.length;
    }
    drawTokens(text);
    drawBars();
    return true;
  }

  function drawTokens(text) {
    const first = Math.max(0, pieces.length - MOST_SHOWN);
    const shown = [];
    let end = first ? pieces[first].start : 0;
    for (const [i, piece] of pieces.entries()) {
      if (i < first) continue;
      if (piece.start > end) shown.push(text.slice(end, piece.start));
      const step = STEPS.findIndex((bits) => piece.bits < bits);
      const unknown = piece.ids.includes(tokenizer.unknown);
      shown.push(el("span", {
        role: "option", id: `t${i}`, class: `token s${step < 0 ? STEPS.length : step}${unknown ? " unknown" : ""}`, "aria-selected": "false",
        title: `${visible(piece.text)}: ${fixed(piece.bits)} bits${unknown ? ", unknown to the model" : ""}`,
      }, /^[\n\r]$/.test(piece.text) ? "⏎\n" : piece.text));
      end = piece.end;
    }
    coloured.replaceChildren(...shown);
    coloured.hidden = pieces.length === 0;
    coloured.removeAttribute("aria-activedescendant");
    figures.textContent = summary(first > 0);
  }

  /** Return how surprising the text is, in words. */
  function summary(isCut) {
    const nats = reader.nats.reduce((sum, x) => sum + x, 0);
    const count = reader.nats.length;
    if (count === 0) return "The text is empty: this is how documents begin.";
    return [`${count.toLocaleString("en-US")} token${count > 1 ? "s" : ""}`, `${fixed(nats / Math.LN2 / count)} bits per token`,
      `perplexity ${fixed(Math.exp(nats / count))}`, ...(isCut ? [`the last ${MOST_SHOWN} are shown`] : [])].join(" · ");
  }

  /** Choose a token of the text, to see what else might have stood there; null: the end. */
  function choose(place) {
    chosen = place === null || !pieces[place] ? null : place;
    for (const old of coloured.querySelectorAll("[aria-selected=true]")) old.setAttribute("aria-selected", "false");
    const token = chosen === null ? null : document.getElementById(`t${chosen}`);
    token?.setAttribute("aria-selected", "true");
    if (token) coloured.setAttribute("aria-activedescendant", token.id);
    else coloured.removeAttribute("aria-activedescendant");
    drawBars();
  }
  coloured.addEventListener("click", (event) => {
    const token = event.target.closest(".token");
    const place = token ? Number(token.id.slice(1)) : null;
    choose(place === chosen ? null : place);
  });
  coloured.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: 1, ArrowLeft: -1 };
    const isRightToLeft = getComputedStyle(coloured).direction === "rtl";
    if (event.key === "Escape") choose(null);
    else if (event.key in moves) {
      const by = moves[event.key] * (isRightToLeft ? -1 : 1);
      choose(Math.min(Math.max(chosen === null ? (by > 0 ? 0 : pieces.length - 1) : chosen + by, 0), pieces.length - 1));
      document.getElementById(`t${chosen}`)?.scrollIntoView({ block: "nearest" });
    } else return;
    event.preventDefault();
  });

  function drawBars() {
    const at = chosen === null ? reader.ids.length : pieces[chosen].at;
    if (at > reader.ids.length) return; // Another text is being read.
    const actual = chosen === null ? null : reader.ids[at];
    const [, logProbs, state] = reader.after(at);
    const probs = filtered(logProbs, options());
    const possible = Array.from(probs.keys()).filter((id) => probs[id] > 0);
    const shown = likeliest(probs, all ? 5 * FEW : FEW);
    if (actual !== null && !shown.includes(actual)) shown.push(actual);
    heading.textContent = chosen === null ? "Next token" : `In place of ${visible(pieces[chosen].text)}`;
    about.textContent = chosen === null ? "" : standing(pieces[chosen], logProbs);
    shares.textContent = reader.model.shares
      ? `Weights here: ${reader.model.shares(state).map(([name, share]) => `${percent(share)} ${name}`).join(", ")}` : "";
    const largest = Math.max(probs[shown[0]], 1e-9);
    const focused = [...bars.querySelectorAll("button")].indexOf(document.activeElement);
    bars.replaceChildren(...shown.map((id) => bar(id, probs[id], largest, id === actual)));
    if (focused >= 0) [...bars.querySelectorAll("button:not(:disabled)")].at(Math.min(focused, bars.children.length - 1))?.focus();
    const left = shown.reduce((sum, id) => sum - probs[id], 1);
    const others = possible.length - shown.filter((id) => probs[id] > 0).length;
    rest.textContent = others > 0 ? `${percent(Math.max(left, 0))} for ${others.toLocaleString("en-US")} others` : "";
    more.hidden = probs.length <= FEW;
    more.textContent = all ? "Show fewer" : "Show more";
  }

  /** Return how probable a piece is, and how many tokens are more so, in words. */
  function standing({ bits, ids }, logProbs) {
    if (ids.length > 1) return `${fixed(bits)} bits; its ${ids.length} tokens together`;
    const own = logProbs[ids[0]];
    const better = logProbs.reduce((count, other) => count + (other > own), 0);
    return `${fixed(bits)} bits; ${percent(Math.exp(own))}, number ${better + 1} of ${logProbs.length}`;
  }

  function bar(id, probability, largest, isActual) {
    const isEnd = id === header.boundary;
    const text = chosen === null ? field.value : tokenizer.normal(field.value);
    const [start, end] = chosen === null ? [text.length, text.length] : [pieces[chosen].start, pieces[chosen].end];
    const written = tokenizer.append(text.slice(0, start), id);
    const after = written === null ? null : written + text.slice(end);
    const name = isEnd ? "■ end" : tokenizer.name(id);
    const does = isEnd ? "the document ends" : after === null ? "cannot be written by itself" : chosen === null ? "append" : "put in its place";
    return el("li", {}, el("button", {
      type: "button", class: `bar${isEnd ? " special" : ""}${isActual ? " actual" : ""}`, disabled: after === null,
      "data-id": id, "aria-label": `${name}, ${percent(probability)}: ${does}`,
      on: { click: () => { remember(); change(after); } },
    }, el("bdi", { class: "name" }, name), track(probability / largest), el("span", { class: "number" }, percent(probability))));
  }

  /** Write tokens drawn from the model until the document ends. */
  async function writeOn() {
    if (!(await show())) return;
    remember();
    [writing, write.textContent] = [true, "Stop"];
    const start = field.value;
    const ids = [];
    let [, logProbs, state] = reader.last;
    let began = performance.now();
    while (writing && ids.length < LONGEST) {
      const id = drawn(filtered(logProbs, options()), Math.random());
      if (id === header.boundary) break;
      ids.push(id);
      [logProbs, state] = reader.model.step(id, state);
      if (performance.now() - began > 50) {
        const text = tokenizer.written(start, ids);
        field.value = text;
        await pause();
        if (field.value !== text) return; // Somebody typed.
        began = performance.now();
      }
    }
    const isEnd = writing && ids.length < LONGEST;
    await change(tokenizer.written(start, ids));
    status.textContent = isEnd ? "The document ends here." : "";
  }

  function stop() {
    [writing, write.textContent] = [false, "Generate"];
  }

  const legend = el("p", { class: "legend" }, "Bits: ", ...[0, ...STEPS].map((from, i) => el("span", { class: `swatch s${i}` }, `${from}${i === STEPS.length ? "+" : ""}`)));
  const elements = [
    el("section", { class: "text" }, label, field, el("div", { class: "row" }, write, back, clear), status, problem, coloured, figures, legend),
    el("section", { class: "next" }, heading, about, bars, rest, shares, more,
      el("details", { open: true }, el("summary", {}, "Sampling"), temperature.element, topK.element, topP.element)),
  ];
  return { elements, change, tokenizer, reader };
});
