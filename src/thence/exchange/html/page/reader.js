/** Reading a text and writing on: whatever of the text was read before is not read again. */

const MOST_BYTES = 1 << 26;
const PATIENCE = 12;

function numbersIn(state) {
  if (Array.isArray(state)) return state.reduce((sum, part) => sum + numbersIn(part), 0);
  return state?.data?.length ?? state?.length ?? 1;
}

class Reader {
  constructor(model, boundary) {
    this.model = model;
    const [logProbs, state] = model.step(boundary, model.start());
    this.ids = [];
    this.nats = [];
    /** States after so many ids: after every ``stride``-th, as far as there is room. */
    this.states = new Map([[0, state]]);
    this.stride = 1;
    this.first = logProbs;
    this.last = [0, logProbs, state];
    this.turn = 0;
  }

  /** Read ids; return whether it came to the end, which it does not if others are read meanwhile. */
  async read(ids) {
    const turn = ++this.turn;
    let known = 0;
    while (known < ids.length && known < this.ids.length && ids[known] === this.ids[known]) known++;
    this.cut(known);
    let [at, logProbs, state] = this.last;
    let began = performance.now();
    while (at < ids.length) {
      this.nats.push(-logProbs[ids[at]]);
      this.ids.push(ids[at]);
      [logProbs, state] = this.model.step(ids[at], state);
      at += 1;
      this.last = [at, logProbs, state];
      if (at % this.stride === 0) this.keep(at, state);
      if (performance.now() - began > PATIENCE) {
        await pause();
        if (turn !== this.turn) return false;
        began = performance.now();
      }
    }
    return true;
  }

  /** Return how many ids were read, the log-probabilities of what follows them, and the state. */
  after(count) {
    if (this.last[0] === count) return this.last;
    if (count === 0) return [0, this.first, this.states.get(0)];
    let at = count - 1;
    while (!this.states.has(at)) at -= 1;
    let state = this.states.get(at);
    let logProbs = null;
    for (; at < count; at++) [logProbs, state] = this.model.step(this.ids[at], state);
    return [count, logProbs, state];
  }

  cut(count) {
    this.last = this.after(count);
    for (let at = this.ids.length; at > count; at--) this.states.delete(at);
    this.ids.length = count;
    this.nats.length = count;
  }

  keep(at, state) {
    this.states.set(at, state);
    if (this.states.size * numbersIn(state) * 8 < MOST_BYTES || this.states.size < 8) return;
    this.stride *= 2;
    for (const place of this.states.keys()) if (place % this.stride) this.states.delete(place);
  }
}

/** Return probabilities after temperature, then the k likeliest, then the fewest that reach p. */
function filtered(logProbs, { temperature = 1, topK = 0, topP = 1 } = {}) {
  let most = -Infinity;
  for (const x of logProbs) most = Math.max(most, x);
  const weights = Float64Array.from(logProbs).map((x) => (x === -Infinity ? 0 : Math.exp((x - most) / temperature)));
  const order = (topK || topP < 1) && Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a] || a - b);
  if (topK) order.slice(topK).forEach((id) => { weights[id] = 0; });
  const scale = () => {
    const sum = weights.reduce((total, x) => total + x, 0) || 1; // 0 where nothing is possible.
    for (let id = 0; id < weights.length; id++) weights[id] /= sum;
  };
  scale();
  if (topP < 1) {
    let before = 0;
    for (const id of order) {
      const share = weights[id];
      if (before >= topP) weights[id] = 0;
      before += share;
    }
    scale();
  }
  return weights;
}

/** Return the ids of the most probable tokens; of equal ones the lower ids first. */
function likeliest(probs, count) {
  const found = [];
  for (let id = 0; id < probs.length; id++) {
    if (found.length === count && probs[id] <= probs[found[count - 1]]) continue;
    let at = found.length;
    while (at > 0 && probs[found[at - 1]] < probs[id]) at -= 1;
    found.splice(at, 0, id);
    if (found.length > count) found.pop();
  }
  return found;
}

/** Return an id drawn from probabilities, by a number from 0 to below 1. */
function drawn(probs, uniform) {
  let [sum, last] = [0, 0];
  for (let id = 0; id < probs.length; id++) {
    if (probs[id] > 0) last = id;
    sum += probs[id];
    if (sum > uniform) return id;
  }
  return last;
}
