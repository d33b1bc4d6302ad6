/** Classifiers in fastText's format (see models/fasttext/features.py and predictions.py). */

const [ADDED, LARGEST_SCORE, TABLE_STEPS] = [1e-5, 8, 512];
const [FNV, FNV_PRIME, RUN] = [2166136261, 16777619, 116049371n];
const [END, LABEL] = ["</s>", "__label__"];

/** Return fastText's hash of a string, in which bytes from 128 on are negative. */
function fnvHash(text) {
  let hash = FNV;
  for (const byte of utf8.encode(text)) hash = Math.imul(hash ^ ((byte << 24) >> 24), FNV_PRIME);
  return hash >>> 0;
}

class FastText {
  constructor(spec, pack, tokenizer) {
    this.spec = spec;
    this.tokenizer = tokenizer;
    this.words = new Map(spec.words.map((word, id) => [word, id]));
    [this.input, this.output] = [pack.array(spec.input), pack.array(spec.output)];
    this.pruned = null;
    if (spec.pruned) {
      const { data } = pack.array(spec.pruned);
      this.pruned = new Map(Array.from({ length: data.length / 2 }, (_, i) => [data[2 * i], data[2 * i + 1]]));
    }
  }

  /** Return the row of a bucket; none if it was left out. */
  bucketRow(bucket) {
    const place = this.pruned ? this.pruned.get(bucket) : bucket;
    return place === undefined ? [] : [this.words.size + place];
  }

  /** Return the words of a text, the mark of its end included; a mark in the text ends it. */
  wordsOf(text) {
    const words = this.tokenizer.normal(text).split(/[ \t\n\v\f\r\0]+/).filter((word) => word);
    words.push(END);
    return words.slice(0, words.indexOf(END) + 1).filter((word) => this.words.has(word) || !word.startsWith(LABEL));
  }

  rows(text) {
    const words = this.wordsOf(text);
    const found = words.flatMap((word) => [
      ...(this.words.has(word) ? [this.words.get(word)] : []), ...(word === END ? [] : this.subwords(word)),
    ]);
    const hashes = words.map((word) => BigInt.asUintN(64, BigInt(fnvHash(word) | 0)));
    hashes.forEach((hash, first) => {
      let run = hash;
      for (const next of hashes.slice(first + 1, first + this.spec.ngrams)) {
        run = BigInt.asUintN(64, run * RUN + next);
        found.push(...this.bucketRow(Number(run % BigInt(this.spec.buckets))));
      }
    });
    return found;
  }

  /** Return the rows of the runs of characters of a word. */
  subwords(word) {
    const { shortest, longest, buckets } = this.spec;
    const marked = ["<", ...word, ">"];
    const found = [];
    for (let first = 0; first < marked.length; first++) {
      for (let length = Math.max(shortest, 1); length <= longest && first + length <= marked.length; length++) {
        if (length === 1 && (first === 0 || first === marked.length - 1)) continue;
        found.push(...this.bucketRow(fnvHash(marked.slice(first, first + length).join("")) % buckets));
      }
    }
    return found;
  }

  /** Return whether the train text has none of the words. */
  isUnknown(text) {
    return this.rows(text).length <= (this.words.has(END) ? 1 : 0);
  }

  classify(text) {
    const hidden = meanOf(this.input, this.rows(text));
    const scores = filled(this.output.shape[0], (_, label) => dot(this.output.data, label * hidden.length, hidden, 0, hidden.length));
    const chances = this.spec.loss === "softmax" ? softmaxOf(scores) : this.spec.loss === "hs" ? this.onTree(scores)
      : scores.map(tableSigmoid);
    const found = new Float64Array(chances.length);
    chances.forEach((chance, label) => {
      found[this.spec.columns[label]] = Math.log(Math.min(Math.max(chance, 1e-37), 1));
    });
    return found;
  }

  /** Return the product of what is said on the path to each label, from the root down. */
  onTree(scores) {
    const labels = scores.length;
    const sums = new Float64Array(2 * labels - 1);
    for (const [nodes, lefts, rights] of this.spec.tree) {
      nodes.forEach((node, i) => {
        const right = sigmoid(scores[node - labels]);
        sums[lefts[i]] = sums[node] + Math.log(1 - right + ADDED);
        sums[rights[i]] = sums[node] + Math.log(right + ADDED);
      });
    }
    return sums.slice(0, labels).map(Math.exp);
  }
}

function softmaxOf(scores) {
  const all = logSumExp(scores);
  return scores.map((score) => Math.exp(score - all) + ADDED);
}

/** Return the sigmoid by fastText's table; from its ends on it is 0 and 1. */
function tableSigmoid(score) {
  if (Math.abs(score) > LARGEST_SCORE) return (score > 0 ? 1 : 0) + ADDED;
  const step = Math.floor(((score + LARGEST_SCORE) * TABLE_STEPS) / LARGEST_SCORE / 2);
  return sigmoid((step * 2 * LARGEST_SCORE) / TABLE_STEPS - LARGEST_SCORE) + ADDED;
}

MODELS.fasttext = FastText;
