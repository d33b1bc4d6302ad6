/** Classifiers: classify(text) gives the log-probability of each label (see batches/bags.py). */

const WORD = (1n << 64n) - 1n;
const [MULTIPLIER, MIXER] = [0x9E3779B97F4A7C15n, 0xBF58476D1CE4E5B9n];
const CHARACTER_SALT = 0x94D049BB133111EBn;
const END_OF_TEXT = 0x110000;
const MOST_RUNS = 1 << 18;

/** What finds the rows of a text's features; runs that were hashed before are not hashed again. */
class Features {
  constructor(spec, pack, tokenizer) {
    this.tokenizer = tokenizer;
    this.ids = spec.ids;
    this.options = spec.bags;
    let feature = 0;
    this.kept = Int32Array.from(pack.array(spec.gaps).data, (gap) => { feature += gap; return feature; });
    this.known = new Map();
  }

  /** Return the row of a feature; -1 if it has none. */
  row(feature) {
    let [low, high] = [0, this.kept.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.kept[middle] < feature) low = middle + 1;
      else high = middle;
    }
    return this.kept[low] === feature ? low : -1;
  }

  rows(text) {
    const normal = this.tokenizer.normal(text);
    const ids = this.tokenizer.encode(normal).flatMap((piece) => piece.ids);
    const found = ids.map((id) => this.row(id));
    const bounded = (symbols, end) => [end, ...symbols, end];
    const lengths = Array.from({ length: this.options.ngrams - 1 }, (_, i) => i + 2);
    this.runs(bounded(ids, this.tokenizer.boundary), lengths, "t", (id) => BigInt(id + 1), found);
    if (this.options.characters.length) {
      const points = Array.from(normal, (char) => char.codePointAt(0));
      const symbol = (point) => (BigInt(point) * CHARACTER_SALT) & WORD;
      this.runs(bounded(points, END_OF_TEXT), this.options.characters, "c", symbol, found);
    }
    return found.filter((row) => row >= 0);
  }

  /** Add the rows of all runs of the given lengths, the two ends included. */
  runs(symbols, lengths, kind, symbol, found) {
    for (const length of lengths) {
      for (let at = 0; at + length <= symbols.length; at++) {
        if (length === 1 && (at === 0 || at === symbols.length - 1)) continue;
        const run = symbols.slice(at, at + length);
        const key = kind + run.join(" ");
        let row = this.known.get(key);
        if (row === undefined) {
          row = this.row(this.ids + this.bucket(run.map(symbol)));
          if (this.known.size > MOST_RUNS) this.known.clear();
          this.known.set(key, row);
        }
        found.push(row);
      }
    }
  }

  bucket(run) {
    let state = run[0];
    for (const next of run.slice(1)) state = ((state ^ (state >> 32n)) * MULTIPLIER + next) & WORD;
    if (run.length > 1) state ^= state >> 29n;
    const mixed = ((state * MIXER) & WORD) >> 32n;
    return Number((mixed * BigInt(this.options.buckets)) >> 32n);
  }
}

/** Return weights W (out, in) times x plus b. */
function layer(weights, bias, x) {
  return Float64Array.from(bias.data, (b, j) => b + dot(weights.data, j * x.length, x, 0, x.length));
}

class Averaging {
  constructor(spec, pack, tokenizer) {
    this.features = new Features(spec, pack, tokenizer);
    this.layers = spec.layers;
    this.arrays = arraysOf(spec, pack);
    this.multilabel = pack.header.multilabel;
  }

  classify(text) {
    const rows = this.features.rows(text);
    const { data, shape: [size, count] } = this.arrays.embeddings;
    let hidden = filled(size, (_, column) => {
      let sum = 0;
      for (const row of rows) sum += data[column * count + row];
      return sum / Math.max(rows.length, 1);
    });
    for (let i = 0; i < this.layers; i++) {
      const name = `hidden.${i}`;
      hidden = layer(this.arrays[`${name}.weight`], this.arrays[`${name}.bias`], hidden).map((x) => Math.max(x, 0));
    }
    return logProbsOf(layer(this.arrays["output.weight"], this.arrays["output.bias"], hidden), this.multilabel);
  }
}

class Linear {
  constructor(spec, pack, tokenizer) {
    this.features = new Features(spec, pack, tokenizer);
    this.weighting = spec.weighting;
    this.arrays = arraysOf(spec, pack);
    this.labels = pack.header.labels;
    this.multilabel = pack.header.multilabel;
  }

  classify(text) {
    const counts = new Map();
    for (const row of this.features.rows(text)) counts.set(row, (counts.get(row) ?? 0) + 1);
    const { data, shape: [columns, count] } = this.arrays.weights;
    const isBinary = this.weighting === "binary";
    const value = (row, times) => (isBinary ? 1 : (1 + Math.log(times)) * this.arrays.idf.data[row]);
    const logits = Float64Array.from(this.arrays.bias.data);
    let squares = 0;
    for (const [row, times] of counts) squares += value(row, times) ** 2;
    const scale = 1 / Math.sqrt(squares || 1);
    for (const [row, times] of counts) {
      for (let i = 0; i < columns; i++) logits[i] += value(row, times) * scale * data[i * count + row];
    }
    const isDifference = columns === 1 && !this.multilabel;
    return logProbsOf(isDifference ? Float64Array.of(0, logits[0]) : logits, this.multilabel);
  }
}

class Ensemble {
  constructor(spec, pack, tokenizer) {
    this.members = spec.members.map((member) => modelOf(member, pack, tokenizer));
    this.weights = spec.weights;
  }

  classify(text) {
    const found = this.members.map((member) => member.classify(text));
    const average = (_, label) => logSumExp(found.map((part, i) => part[label] + Math.log(this.weights[i])));
    return found[0].map((_, label) => Math.min(average(_, label), 0));
  }
}

function arraysOf(spec, pack) {
  return Object.fromEntries(Object.entries(spec.arrays).map(([part, name]) => [part, pack.array(name)]));
}

/** Return log-probabilities: of a softmax, or of a yes to each label. */
function logProbsOf(logits, multilabel) {
  if (multilabel) return logits.map((x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))));
  const all = logSumExp(logits);
  return logits.map((x) => x - all);
}

const [MOST_PARTS, FEWEST_PARTS, MOST_CHARACTERS, LARGEST_ODDS] = [400, 20, 1 << 24, 100];

/** Return the log-odds of a label. */
function logOdds(logProbs, label, multilabel) {
  const no = multilabel ? Math.log(-Math.expm1(logProbs[label]))
    : logSumExp(logProbs.filter((_, i) => i !== label));
  return Math.min(Math.max(logProbs[label] - no, -LARGEST_ODDS), LARGEST_ODDS);
}

/** Return the parts {start, end} of a text, runs of them where there are very many. */
function partsOf(text, pattern) {
  const whole = Array.from(text.matchAll(pattern), ({ 0: part, index }) => [index, index + part.length]);
  const most = Math.max(FEWEST_PARTS, Math.min(MOST_PARTS, Math.floor(MOST_CHARACTERS / Math.max(text.length, 1))));
  const size = Math.ceil(whole.length / most);
  const parts = [];
  for (let at = 0; at < whole.length; at += size) {
    const run = whole.slice(at, at + size);
    parts.push({ start: run[0][0], end: run.at(-1)[1] });
  }
  return parts;
}

/** Return a text without a part and the white space after it; words never grow together. */
function without(text, { start, end }, keepsSpace) {
  const [before, after] = [text.slice(0, start), text.slice(end)];
  if (keepsSpace) return before + after;
  const rest = after.replace(SPACES_AT_BEGIN, "");
  return before && rest && !SPACE_AT_END.test(before) ? `${before} ${rest}` : before + rest;
}

Object.assign(MODELS, { averaging: Averaging, linear: Linear, ensemble: Ensemble });
