/** Language models: start() gives a state, step(id, state) log-probabilities and the next state. */

/** A back-off model; its state has the number of the n-gram of each order that ends here, or -1. */
class NGrams {
  constructor(spec, pack) {
    this.orders = spec.orders.map((names) => {
      const order = {};
      for (const [part, name] of Object.entries(names)) order[part] = pack.array(name).data;
      if (order.followers) {
        order.starts = new Int32Array(order.followers.length + 1);
        order.followers.forEach((count, i) => { order.starts[i + 1] = order.starts[i] + count; });
      }
      return order;
    });
  }

  start() {
    return new Int32Array(this.orders.length - 1).fill(-1);
  }

  /** Return the number of an n-gram of a length, given that of its context; -1: not seen. */
  find(level, context, word) {
    if (context < 0) return -1;
    const { starts, words } = this.orders[level];
    let low = starts[context];
    let high = starts[context + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (words[middle] < word) low = middle + 1;
      else high = middle;
    }
    return low < starts[context + 1] && words[low] === word ? low : -1;
  }

  step(id, state) {
    const next = state.map((_, level) => (level ? this.find(level, state[level - 1], id) : id));
    const logProbs = Float64Array.from(this.orders[0].log_probs);
    next.forEach((context, level) => {
      if (context < 0) return;
      const left = this.orders[level].log_backoffs[context];
      for (let i = 0; i < logProbs.length; i++) logProbs[i] += left;
      const { starts, words, log_probs: known } = this.orders[level + 1];
      for (let at = starts[context]; at < starts[context + 1]; at++) logProbs[words[at]] = known[at];
    });
    return [logProbs, next];
  }

  followers(level, context) {
    const { starts } = this.orders[level + 1];
    return context < 0 ? 0 : starts[context + 1] - starts[context];
  }
}

/** N-grams of word classes: the class of the next word, times the word's share of its class. */
class ClassNGrams {
  constructor(spec, pack) {
    this.classes = pack.array(spec.classes).data;
    this.logShares = pack.array(spec.shares).data;
    this.ngrams = new NGrams(spec.ngrams, pack);
  }

  start() {
    return this.ngrams.start();
  }

  step(id, state) {
    const [ofClasses, next] = this.ngrams.step(this.classes[id], state);
    return [Float64Array.from(this.logShares).map((share, word) => share + ofClasses[this.classes[word]]), next];
  }
}

/** A weighted average; its state has those of the members, and the place in the document. */
class Mixture {
  constructor(spec, pack) {
    this.spec = spec;
    this.members = spec.members.map((member) => modelOf(member, pack));
    const { data, shape } = pack.array(spec.weights);
    this.weights = Array.from({ length: shape[0] }, (_, row) => data.subarray(row * shape[1], (row + 1) * shape[1]));
    this.judge = spec.judge === null ? null : this.members[spec.judge];
  }

  start() {
    return [...this.members.map((member) => member.start()), -1];
  }

  step(id, state) {
    const steps = this.members.map((member, i) => member.step(id, state[i]));
    const states = steps.map((step) => step[1]);
    const place = state.at(-1) + 1;
    const weights = this.logWeights(states, place);
    const parts = new Float64Array(this.members.length);
    const mixed = new Float64Array(steps[0][0].length);
    for (let word = 0; word < mixed.length; word++) {
      for (let i = 0; i < parts.length; i++) parts[i] = steps[i][0][word] + weights[i];
      mixed[word] = logSumExp(parts);
    }
    return [mixed, [...states, place]];
  }

  /** Return the members' names and weights, given the state that they answer from. */
  shares(state) {
    const weights = this.logWeights(state, state.at(-1));
    return this.spec.names.map((name, i) => [name, Math.exp(weights[i])]);
  }

  logWeights(states, place) {
    const contexts = this.judge ? states[this.spec.judge] : [];
    if (this.spec.by !== "gated") return this.weights[this.bucket(contexts)].map(Math.log);
    const sums = new Float64Array(this.members.length);
    const add = (feature, value) => this.weights[feature].forEach((weight, i) => { sums[i] += value * weight; });
    add(0, 1);
    if (place < this.spec.places) add(1 + place, 1);
    const first = 1 + this.spec.places;
    contexts.forEach((context, level) => {
      const followers = this.judge.followers(level, context);
      if (!followers) return;
      const left = this.judge.orders[level].log_backoffs[context];
      add(first + 3 * level, 1);
      add(first + 3 * level + 1, Math.log(followers));
      add(first + 3 * level + 2, Math.max(left, this.spec.least_backoff));
    });
    const all = logSumExp(sums);
    return sums.map((sum) => sum - all);
  }

  /** Return what kind of context this is: the longest that is known, and what it has seen. */
  bucket(contexts) {
    let found = 0;
    contexts.forEach((context, level) => {
      const followers = this.judge.followers(level, context);
      const power = Math.min(Math.floor(Math.log2(followers)), this.spec.buckets - 1);
      if (followers) found = 1 + level * this.spec.buckets + power;
    });
    return found;
  }
}

Object.assign(MODELS, { ngrams: NGrams, classes: ClassNGrams, mixture: Mixture });
