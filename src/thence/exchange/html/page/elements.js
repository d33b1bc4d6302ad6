/** Elements of the page: text and attributes only, so that no symbol can become markup. */

/** Return an element; ``on`` has listeners, ``vars`` custom properties, all else is an attribute. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") Object.entries(value).forEach(([event, listener]) => element.addEventListener(event, listener));
    else if (name === "vars") Object.entries(value).forEach(([key, to]) => element.style.setProperty(key, to));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const button = (text, listener, more = {}) => el("button", { type: "button", on: { click: listener }, ...more }, text);

/** Return a probability in per cent with a fitting number of digits. */
function percent(probability) {
  const value = probability * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "< 0.01 %";
  if (value < 1) return `${value.toFixed(2)} %`;
  return value > 99.95 && value < 100 ? "> 99.9 %" : `${value.toFixed(1)} %`;
}

const fixed = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : "∞");

/** Let the browser draw and listen; a timer would wait for four milliseconds more. */
function pause() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => { port1.close(); resolve(); };
    port2.postMessage(null);
  });
}

/** Return the field that a text is typed into, and its label. */
function textField(label, placeholder, onInput) {
  const field = el("textarea", {
    id: "text", rows: 4, dir: "auto", spellcheck: "false", autocapitalize: "off", autocomplete: "off", placeholder,
    on: { input: onInput },
  });
  return [el("label", { for: "text" }, label), field];
}

/** Return a slider from a number to another in steps, and the element that names it and its value. */
function slider(name, [min, max, step], value, show, onInput) {
  const shown = el("output", { for: name }, show(value));
  const input = el("input", { id: name, type: "range", min, max, step, value, on: { input: () => {
    shown.textContent = show(Number(input.value));
    onInput();
  } } });
  return { input, element: el("div", { class: "slider" }, el("label", { for: name }, name), input, shown) };
}

/** Return the bar of a share of the largest one. */
const track = (share) => el("span", { class: "track" }, el("span", { class: "fill", vars: { "--share": `${100 * share}%` } }));

/** Return the text that the address of the page ends in, after a #. */
function addressed() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
}

/** Call the function that builds the page with what is unpacked, after it was painted once. */
function begin(build) {
  requestAnimationFrame(() => setTimeout(async () => {
    const main = document.getElementById("main");
    try {
      const pack = await unpack(document.getElementById("model").textContent);
      const made = build(pack);
      main.replaceChildren(...made.elements);
      globalThis.thence = made;
      const fromAddress = () => made.change(addressed());
      addEventListener("hashchange", fromAddress);
      fromAddress();
    } catch (error) {
      const old = typeof DecompressionStream === "undefined";
      main.replaceChildren(el("p", { class: "problem", role: "alert" },
        old ? "This browser is too old to unpack the model: it takes one of 2023 or later." : String(error.message)));
      throw error;
    }
  }));
}
