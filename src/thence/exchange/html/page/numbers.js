/** What models of all kinds compute with; each file of models adds its classes to MODELS. */

const MODELS = {};

/** Return the model of a kind that the page holds. */
function modelOf(spec, pack, tokenizer) {
  return new MODELS[spec.kind](spec, pack, tokenizer);
}

/** Return numbers that a function makes of nothing and of their places. */
function filled(size, value) {
  const data = new Float64Array(size);
  for (let i = 0; i < size; i++) data[i] = value(undefined, i);
  return data;
}

/** Return the sum of products of a row of a matrix and a vector. */
function dot(matrix, from, vector, at, length) {
  let a = 0, b = 0, c = 0, d = 0, i = 0;
  for (; i + 3 < length; i += 4) {
    a += matrix[from + i] * vector[at + i];
    b += matrix[from + i + 1] * vector[at + i + 1];
    c += matrix[from + i + 2] * vector[at + i + 2];
    d += matrix[from + i + 3] * vector[at + i + 3];
  }
  for (; i < length; i++) a += matrix[from + i] * vector[at + i];
  return a + b + c + d;
}

/** Return the mean of some columns of a matrix; zeros of none. */
function meanOf({ data, shape: [size, count] }, columns) {
  return filled(size, (_, row) => {
    let sum = 0;
    for (const column of columns) sum += data[row * count + column];
    return sum / Math.max(columns.length, 1);
  });
}

function logSumExp(row) {
  let most = -Infinity;
  for (let i = 0; i < row.length; i++) if (row[i] > most) most = row[i];
  if (most === -Infinity) return most;
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i] - most);
  return most + Math.log(sum);
}

/** Return log-probabilities: of a softmax, or of a yes to each label. */
function logProbsOf(logits, multilabel) {
  if (multilabel) return logits.map((x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))));
  const all = logSumExp(logits);
  return logits.map((x) => x - all);
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
