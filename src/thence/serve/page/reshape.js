/** Temperature, top-k and top-p applied to a distribution, as in the server's sampling. */

/** Smallest temperature that is not taken as "always the most probable". */
const GREEDY = 0.005;

/**
 * Reshape a distribution: temperature first, then the k most probable, then those of mass p.
 * @param {Object} distribution Of /playground/strips: `tokens`, most probable first, and `tail`.
 * @param {{temperature: number, top_k: number, top_p: number}} settings `top_k` 0 keeps all.
 * @returns {Map<Object, number>} The new probability of each listed token; 0: it is cut.
 */
export function reshape(distribution, settings) {
  const groups = [
    ...distribution.tokens.map((token) => ({ token, probability: token.probability, count: 1 })),
    ...distribution.tail.map(([probability, count]) => ({ token: null, probability, count })),
  ].sort((left, right) => right.probability - left.probability);
  const largest = groups[0]?.probability ?? 0;
  if (largest === 0) return new Map(distribution.tokens.map((token) => [token, 0]));
  const greedy = settings.temperature < GREEDY;
  const power = greedy ? 1 : 1 / settings.temperature;
  // Divide by the largest first, so that powers of small numbers do not underflow.
  const weights = groups.map((group) => (group.probability / largest) ** power);
  let left = greedy ? 1 : settings.top_k || Infinity;
  const kept = groups.map((group) => {
    const count = Math.min(left, group.count);
    left -= count;
    return count;
  });
  cutMass(weights, kept, greedy ? 1 : settings.top_p);
  const total = weights.reduce((sum, weight, place) => sum + weight * kept[place], 0);
  const found = new Map();
  groups.forEach((group, place) => {
    if (group.token !== null) found.set(group.token, kept[place] > 0 ? weights[place] / total : 0);
  });
  return found;
}

/** Keep the most probable that together reach a share of what is left; the one that reaches it too. */
function cutMass(weights, kept, share) {
  if (share >= 1) return;
  const total = weights.reduce((sum, weight, place) => sum + weight * kept[place], 0);
  let before = 0;
  weights.forEach((weight, place) => {
    const room = share * total - before;
    const most = room <= 0 ? 0 : Math.ceil(room / weight);
    before += weight * kept[place];
    kept[place] = Math.min(kept[place], place === 0 ? Math.max(1, most) : most);
  });
}
