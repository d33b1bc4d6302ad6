/** Classifiers of any kind: averages of several, and what each part of a text does to a label. */

class Ensemble {
  constructor(spec, pack, tokenizer) {
    this.members = spec.members.map((member) => modelOf(member, pack, tokenizer));
    Object.assign(this, { weights: spec.weights, temperature: spec.temperature });
    this.multilabel = pack.header.multilabel;
  }

  classify(text) {
    const found = this.members.map((member) => member.classify(text));
    const average = (_, label) => logSumExp(found.map((part, i) => part[label] + Math.log(this.weights[i])));
    const averaged = found[0].map((_, label) => Math.min(average(_, label), 0));
    if (this.temperature === 1) return averaged;
    // If multilabel, the logit of each label is its log-odds.
    const logit = (likely) => (this.multilabel ? likely - Math.log(-Math.expm1(Math.min(likely, LARGEST_LOG))) : likely);
    return logProbsOf(averaged.map((likely) => logit(likely) / this.temperature), this.multilabel);
  }
}

const LARGEST_LOG = -1e-30;
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

MODELS.ensemble = Ensemble;
