/** The page of a classifier: the label of a text, and which words speak for it. */

const MOST_LABELS = 20;

begin((pack) => {
  const { header } = pack;
  const { labels, multilabel } = header;
  const tokenizer = new Tokenizer(header.tokenizer, header);
  const classifier = modelOf(header.model, pack, tokenizer);
  const keepsSpace = ["characters", "bytes"].includes(tokenizer.kind);
  const pattern = keepsSpace ? /[\s\S]/gu : new RegExp(header.tokenizer.pattern, "gu");
  const [label, field] = textField("Text", "Type or paste a text", () => show());
  const bars = el("ol", { class: "bars" });
  const why = el("h2", {});
  const coloured = el("div", { class: "tokens", dir: "auto" });
  const scale = el("p", { class: "legend" });
  const rest = el("p", { class: "hint" }, labels.length > MOST_LABELS ? `and ${labels.length - MOST_LABELS} others` : "");
  const unsure = el("p", { class: "hint", role: "status" });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const clear = button("Clear", () => { change(""); field.focus(); }, { class: "quiet" });
  let [chosen, turn] = [null, 0];

  function change(text) {
    field.value = text;
    return show();
  }

  /** Classify the text, then find what each word does, a few words at a time. */
  async function show() {
    const mine = ++turn;
    let logProbs;
    try {
      logProbs = classifier.classify(field.value);
      problem.hidden = true;
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      return;
    }
    const order = Array.from(logProbs.keys()).sort((a, b) => logProbs[b] - logProbs[a] || a - b);
    const explained = chosen ?? order[0];
    bars.replaceChildren(...order.slice(0, MOST_LABELS).map((i) => el("li", {}, el("button", {
      type: "button", class: "bar", "data-id": i, "aria-pressed": String(i === explained),
      on: { click: () => { chosen = i; show(); } },
    }, el("bdi", { class: "name" }, labels[i]), track(Math.exp(logProbs[i])), el("span", { class: "number" }, percent(Math.exp(logProbs[i])))))));
    unsure.textContent = field.value.trim() === "" ? "The text is empty: this is what the classifier says of nothing."
      : isUnknown(field.value) ? "The train text has none of these words: the label says little of them." : "";
    const weights = await explain(field.value, explained, logProbs, () => mine !== turn);
    if (weights !== null) draw(field.value, weights, explained);
  }

  /** Return whether nothing in a text is known from the train text. */
  function isUnknown(text) {
    if (classifier.isUnknown) return classifier.isUnknown(text);
    const pieces = tokenizer.encode(tokenizer.normal(text));
    return tokenizer.kind !== "bytes" && pieces.every((piece) => piece.ids.every((id) => id >= tokenizer.size));
  }

  /** Return the parts of a text with what leaving each out takes from a label's log-odds. */
  async function explain(text, index, logProbs, isStale) {
    const whole = logOdds(logProbs, index, multilabel);
    const parts = partsOf(text, pattern);
    let began = performance.now();
    for (const part of parts) {
      const rest = classifier.classify(without(text, part, keepsSpace));
      part.weight = whole - logOdds(rest, index, multilabel);
      if (performance.now() - began > 12) {
        await pause();
        if (isStale()) return null;
        began = performance.now();
      }
    }
    return parts;
  }

  function draw(text, parts, index) {
    const largest = Math.max(...parts.map((part) => Math.abs(part.weight)), 1e-9);
    const shown = [];
    let end = 0;
    for (const part of parts) {
      shown.push(text.slice(end, part.start), el("span", {
        class: `part ${part.weight > 0 ? "for" : "against"}`, vars: { "--amount": `${Math.round(100 * Math.abs(part.weight) / largest)}%` },
        title: `${part.weight > 0 ? "+" : "−"}${fixed(Math.abs(part.weight))} nats`,
      }, text.slice(part.start, part.end)));
      end = part.end;
    }
    coloured.replaceChildren(...shown, text.slice(end));
    coloured.hidden = parts.length === 0;
    why.replaceChildren(...(parts.length ? ["Why ", el("bdi", {}, labels[index])] : []));
    scale.replaceChildren(...(parts.length ? [
      el("span", { class: "swatch for", vars: { "--amount": "80%" } }, "speaks for it"),
      el("span", { class: "swatch against", vars: { "--amount": "80%" } }, "speaks against it"),
    ] : []));
  }

  const elements = [
    el("section", { class: "text" }, label, field, el("div", { class: "row" }, clear), problem),
    el("section", { class: "next" }, el("h2", {}, multilabel ? "Labels, each by itself" : "Label"), bars, rest, unsure),
    el("section", { class: "why" }, why, coloured, scale),
  ];
  return { elements, change, classifier, explain, tokenizer };
});
