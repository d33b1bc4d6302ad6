/** One tab stop for many: the arrow keys move among the children of an element. */

/** Let the arrow keys move among what a selector finds in an element. */
export function roving(element, selector) {
  element.addEventListener("keydown", (event) => {
    const stops = [...element.querySelectorAll(selector)];
    const place = stops.indexOf(document.activeElement);
    const forward = getComputedStyle(element).direction === "rtl" ? -1 : 1;
    const moves = { ArrowRight: place + forward, ArrowLeft: place - forward, Home: 0, End: stops.length - 1 };
    if (place < 0 || !(event.key in moves)) return;
    event.preventDefault();
    const next = stops[Math.min(Math.max(moves[event.key], 0), stops.length - 1)];
    stops[place].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
