/** One tooltip for the whole page: on hover, and on the focus of the keyboard. */

const box = document.getElementById("tooltip");
let owner = null;

/**
 * Let an element show something beside it.
 * @param {Element} element
 * @param {() => (Node|string)[]} content Made when it is shown.
 */
export function tip(element, content) {
  const show = () => {
    owner = element;
    box.replaceChildren(...content());
    box.hidden = false;
    element.setAttribute("aria-describedby", "tooltip");
    place(element);
  };
  element.addEventListener("pointerenter", show);
  element.addEventListener("focus", show);
  element.addEventListener("pointerleave", () => hide(element));
  element.addEventListener("blur", () => hide(element));
}

/** Hide the tooltip, if it is that of an element. */
export function hide(element = owner) {
  if (element === null || element !== owner) return;
  element.removeAttribute("aria-describedby");
  box.hidden = true;
  owner = null;
}

/** Forget an owner that is no longer in the page. */
export function hideIfGone() {
  if (owner !== null && !owner.isConnected) hide(owner);
}

function place(element) {
  const of = element.getBoundingClientRect();
  const own = box.getBoundingClientRect();
  const left = Math.min(Math.max(8, of.left), Math.max(8, document.documentElement.clientWidth - own.width - 8));
  const below = of.bottom + own.height + 10 < window.innerHeight;
  const top = below ? of.bottom + 6 : Math.max(4, of.top - own.height - 6);
  box.style.setProperty("left", `${left}px`);
  box.style.setProperty("top", `${top}px`);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hide();
});
window.addEventListener("scroll", () => hide(), { passive: true });
