/** Lines as they are drawn: smoothed, and no denser than a screen shows. */

/**
 * Return points whose values are means over those before them, the nearer the heavier.
 * @param {{x: number, y: number}[]} points
 * @param {number} weight Of all before a point, 0 (as they are) to below 1.
 */
export function smoothed(points, weight) {
  if (weight === 0) return points;
  let sum = 0;
  let mass = 0;
  return points.map((point) => {
    if (point.y === null || point.y === undefined) return point;
    // Divided by the mass so far, the first points are not drawn to zero (as in Adam).
    sum = weight * sum + (1 - weight) * point.y;
    mass = weight * mass + (1 - weight);
    return { ...point, y: sum / mass };
  });
}
