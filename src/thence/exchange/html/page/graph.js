/** Networks as graphs of ONNX operators, for one symbol at a time; tensors are {data, shape}. */

const sizeOf = (shape) => shape.reduce((product, n) => product * n, 1);
const tensor = (data, shape) => ({ data, shape });
const each = (f) => (x) => tensor(Float64Array.from(x.data).map(f), x.shape);

/** Return an operator on two tensors of one shape, or of which one is the end of the other's. */
function pairwise(f) {
  return (a, b) => {
    const [n, m] = [a.data.length, b.data.length];
    const shape = n === m && b.shape.length > a.shape.length ? b.shape : n < m ? b.shape : a.shape;
    const data = new Float64Array(Math.max(n, m));
    for (let i = 0, j = 0, k = 0; i < data.length; i++) {
      data[i] = f(a.data[j], b.data[k]);
      if (++j === n) j = 0;
      if (++k === m) k = 0;
    }
    return tensor(data, shape);
  };
}

/** Return the outer size, the size and the inner size of an axis. */
function around(shape, axis) {
  const at = axis < 0 ? axis + shape.length : axis;
  return [sizeOf(shape.slice(0, at)), shape[at], sizeOf(shape.slice(at + 1)), at];
}

/** Return the product of matrices; of the second one the rows may be its columns (``turned``). */
function matmul(a, b) {
  const k = a.shape.at(-1);
  const m = b.shape.at(-1);
  const n = a.data.length / k;
  const rows = b.shape.length > 2 ? a.shape.at(-2) : n; // Of one matrix of a batch.
  const data = new Float64Array(n * m);
  for (let row = 0; row < n; row++) {
    const base = Math.floor(row / rows) * k * m;
    if (b.turned) {
      for (let j = 0; j < m; j++) data[row * m + j] = dot(b.data, base + j * k, a.data, row * k, k);
      continue;
    }
    for (let i = 0; i < k; i++) {
      const x = a.data[row * k + i];
      for (let j = 0; j < m; j++) data[row * m + j] += x * b.data[base + i * m + j];
    }
  }
  return tensor(data, [...a.shape.slice(0, -1), m]);
}

function gather(values, places, { axis = 0 } = {}) {
  const [outer, size, inner, at] = around(values.shape, axis);
  const count = places.data.length;
  const data = new Float64Array(outer * count * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < count; i++) {
      const from = (o * size + Number(places.data[i])) * inner;
      data.set(values.data.subarray(from, from + inner), (o * count + i) * inner);
    }
  }
  return tensor(data, [...values.shape.slice(0, at), ...places.shape, ...values.shape.slice(at + 1)]);
}

function concat(...parts) {
  const { axis } = parts.pop();
  const at = axis < 0 ? axis + parts[0].shape.length : axis;
  const sizes = parts.map((part) => sizeOf(part.shape.slice(at)));
  const shape = [...parts[0].shape];
  shape[at] = parts.reduce((sum, part) => sum + part.shape[at], 0);
  const outer = sizeOf(shape.slice(0, at));
  const data = new Float64Array(sizeOf(shape));
  let to = 0;
  for (let o = 0; o < outer; o++) {
    parts.forEach((part, i) => {
      data.set(part.data.subarray(o * sizes[i], (o + 1) * sizes[i]), to);
      to += sizes[i];
    });
  }
  return tensor(data, shape);
}

function slice(values, start, end, axes) {
  const [outer, size, inner, at] = around(values.shape, axes.data[0]);
  const bound = (place) => Math.min(Math.max(place < 0 ? place + size : place, 0), size);
  const [first, last] = [bound(start.data[0]), bound(end.data[0])];
  const count = Math.max(last - first, 0);
  const data = new Float64Array(outer * count * inner);
  for (let o = 0; o < outer; o++) {
    const from = (o * size + first) * inner;
    data.set(values.data.subarray(from, from + count * inner), o * count * inner);
  }
  const shape = [...values.shape];
  shape[at] = count;
  return tensor(data, shape);
}

function transpose(values, { perm }) {
  const { shape } = values;
  const steps = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const turned = perm.map((axis) => shape[axis]);
  const moved = perm.filter((axis) => shape[axis] > 1);
  if (moved.every((axis, i) => i === 0 || axis > moved[i - 1])) return tensor(values.data, turned);
  const data = new Float64Array(values.data.length);
  const place = turned.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    let from = 0;
    for (let axis = 0; axis < perm.length; axis++) from += place[axis] * steps[perm[axis]];
    data[i] = values.data[from];
    for (let axis = perm.length - 1; axis >= 0 && ++place[axis] === turned[axis]; axis--) place[axis] = 0;
  }
  return tensor(data, turned);
}

/** Return an operator that works on each row along the last axis, in place of a copy. */
function byRow(f) {
  return (values, ...others) => {
    const data = Float64Array.from(values.data);
    const width = values.shape.at(-1);
    for (let from = 0; from < data.length; from += width) f(data.subarray(from, from + width), ...others);
    return tensor(data, values.shape);
  };
}

function normRow(row, scale, shift, { epsilon }) {
  const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
  const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
  const by = 1 / Math.sqrt(variance + epsilon);
  for (let i = 0; i < row.length; i++) row[i] = (row[i] - mean) * by * scale.data[i] + shift.data[i];
}

/** Return the error function (W. Press et al. 1992, "Numerical recipes in C", section 6.2). */
function erf(x) {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const series = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806,
    0.09678418, 0.37409196, 1.00002368, -1.26551223].reduce((sum, c) => sum * t + c, 0);
  return Math.sign(x) * (1 - t * Math.exp(series - x * x));
}

/** Return the operator of a recurrent layer, for one symbol of one text. */
function recurrent(gates, cell) {
  return (inputs, weights, recall, biases, _, hidden, cells) => {
    const size = hidden.data.length;
    const inner = inputs.data.length;
    const read = new Float64Array(gates * size);
    const recalled = new Float64Array(gates * size);
    for (let j = 0; j < gates * size; j++) {
      read[j] = dot(weights.data, j * inner, inputs.data, 0, inner) + biases.data[j];
      recalled[j] = dot(recall.data, j * size, hidden.data, 0, size) + biases.data[gates * size + j];
    }
    const after = cell(read, recalled, hidden.data, cells?.data).map((data) => tensor(data, hidden.shape));
    return [tensor(after[0].data, [1, 1, 1, size]), ...after];
  };
}

const rnnCell = (read, recalled) => [read.map((x, i) => Math.tanh(x + recalled[i]))];

/** ONNX's order: input, output and forget gate, candidate. */
function lstmCell(read, recalled, hidden, cells) {
  const n = hidden.length;
  const sum = (gate, i) => read[gate * n + i] + recalled[gate * n + i];
  const after = filled(n, (_, i) => sigmoid(sum(2, i)) * cells[i] + sigmoid(sum(0, i)) * Math.tanh(sum(3, i)));
  return [filled(n, (_, i) => sigmoid(sum(1, i)) * Math.tanh(after[i])), after];
}

/** ONNX's order: update and reset gate, candidate. */
function gruCell(read, recalled, hidden) {
  const n = hidden.length;
  return [filled(n, (_, i) => {
    const update = sigmoid(read[i] + recalled[i]);
    const reset = sigmoid(read[n + i] + recalled[n + i]);
    const candidate = Math.tanh(read[2 * n + i] + reset * recalled[2 * n + i]);
    return candidate + update * (hidden[i] - candidate);
  })];
}

/** Return a matrix, or a batch of them, whose rows are read as columns by the product it is for. */
const turn = ({ data, shape }) => ({ data, shape: [...shape.slice(0, -2), shape.at(-1), shape.at(-2)], turned: true });

/** Return whether a node swaps the last two axes of what only products read, as second factor. */
function isForProduct([operator, , [output], { perm }], nodes) {
  if (operator !== "Transpose" || perm.some((axis, i) => i < perm.length - 2 && axis !== i)) return false;
  const readers = nodes.filter(([, inputs]) => inputs.includes(output));
  return perm.at(-1) === perm.length - 2 && readers.every(([name, inputs]) => name === "MatMul" && inputs[0] !== output);
}

const OPERATORS = {
  Add: pairwise((x, y) => x + y),
  Concat: concat,
  Cos: each(Math.cos),
  Erf: each(erf),
  GRU: recurrent(3, gruCell),
  Gather: gather,
  Identity: (x) => x,
  LSTM: recurrent(4, lstmCell),
  LayerNormalization: byRow(normRow),
  LogSoftmax: byRow((row) => {
    const all = logSumExp(row);
    for (let i = 0; i < row.length; i++) row[i] -= all;
  }),
  MatMul: matmul,
  Mod: pairwise((x, y) => x % y),
  Mul: pairwise((x, y) => x * y),
  RNN: recurrent(1, rnnCell),
  Relu: each((x) => Math.max(x, 0)),
  Reshape: (x, shape) => tensor(x.data, Array.from(shape.data)),
  Sigmoid: each(sigmoid),
  Sin: each(Math.sin),
  Slice: slice,
  Softmax: byRow((row) => {
    const all = logSumExp(row);
    for (let i = 0; i < row.length; i++) row[i] = Math.exp(row[i] - all);
  }),
  Squeeze: (x, axes) => tensor(x.data, x.shape.filter((_, axis) => !axes.data.includes(axis))),
  Sub: pairwise((x, y) => x - y),
  Tanh: each(Math.tanh),
  Transpose: transpose,
};

/** A network that reads one id after another; its state is a list of tensors. */
class Network {
  constructor(spec, pack) {
    this.spec = spec;
    this.boundary = pack.header.boundary;
    this.names = new Map();
    this.constants = spec.constants.map((name) => [this.slot(name), pack.array(spec.weights + name)]);
    const weights = new Map(this.constants);
    this.nodes = [];
    for (const node of spec.nodes) {
      const [operator, inputs, outputs, attributes] = node;
      const read = inputs.map((name) => (name ? this.slot(name) : -1));
      const made = outputs.map((name) => this.slot(name));
      const isTurned = isForProduct(node, spec.nodes);
      if (isTurned && weights.has(read[0])) this.constants.push([made[0], turn(weights.get(read[0]))]);
      else this.nodes.push([isTurned ? turn : OPERATORS[operator], read, made, attributes]);
    }
    this.answer = this.slot(spec.answer);
  }

  slot(name) {
    if (!this.names.has(name)) this.names.set(name, this.names.size);
    return this.names.get(name);
  }

  start() {
    return this.spec.state.map(([, kind, rest]) => {
      const shape = [1, ...rest];
      return tensor(filled(sizeOf(shape), () => (kind === "int64" ? this.boundary : 0)), shape);
    });
  }

  /** Return the log-probabilities of what follows an id, and the state after it. */
  step(id, state) {
    const values = [];
    for (const [slot, value] of this.constants) values[slot] = value;
    values[this.slot("ids")] = tensor(Float64Array.of(id), [1, 1]);
    this.spec.state.forEach(([name], i) => { values[this.slot(name)] = state[i]; });
    for (const [operator, read, made, attributes] of this.nodes) {
      const found = operator(...read.map((slot) => values[slot]), attributes);
      if (made.length === 1) values[made[0]] = Array.isArray(found) ? found[0] : found;
      else made.forEach((slot, i) => { values[slot] = found[i]; });
    }
    return [values[this.answer].data, this.spec.new_state.map((name) => values[this.slot(name)])];
  }
}

MODELS.network = Network;
