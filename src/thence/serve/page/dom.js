/** Making elements. Text always becomes text nodes and attributes, never markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Set attributes, listeners and children of an element.
 * @param {Element} element
 * @param {Object} settings Attributes; `on` holds listeners, `vars` custom properties of CSS.
 * @param {Array<Node|string|null>} children
 */
function furnish(element, settings, children) {
  for (const [name, value] of Object.entries(settings)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "vars") {
      for (const [property, given] of Object.entries(value)) element.style.setProperty(property, given);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Make an element of HTML. */
export function el(tag, settings = {}, ...children) {
  return furnish(document.createElement(tag), settings, children.flat());
}

/** Make an element of SVG. */
export function svg(tag, settings = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), settings, children.flat());
}

/** Call a function when nothing has happened for some milliseconds. */
export function debounced(wait, action) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), wait);
  };
}

let serial = 0;
/** Return a unique id. */
export function freshId(prefix) {
  serial += 1;
  return `${prefix}-${serial}`;
}

/** Announce a text to screen readers. */
export function announce(sentence) {
  document.getElementById("status").textContent = sentence;
}

/** Make a labelled field: the label above, the control below. */
export function labelled(text, control, hint = null) {
  control.id ||= freshId("field");
  return el("div", { class: "field" }, el("label", { for: control.id }, text), control,
    hint === null ? null : el("p", { class: "hint" }, hint));
}

/** A place for an error message; `show(null)` hides it. */
export function errorLine() {
  const element = el("p", { class: "problem", role: "alert", hidden: true });
  return {
    element,
    show(sentence) {
      element.textContent = sentence ?? "";
      element.hidden = !sentence;
    },
  };
}
