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
    let hidden = meanOf(this.arrays.embeddings, this.features.rows(text));
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

function arraysOf(spec, pack) {
  return Object.fromEntries(Object.entries(spec.arrays).map(([part, name]) => [part, pack.array(name)]));
}

Object.assign(MODELS, { averaging: Averaging, linear: Linear });
