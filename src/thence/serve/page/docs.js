/** The documentation: /openapi.json made readable, with a box to try each route. */

import { ask, get, Problem } from "./api.js";
import { el, freshId } from "./dom.js";

const main = document.getElementById("main");
const EXAMPLES = { prompt: "An", text: "An", input: "A text to label", max_tokens: 16, tokens: [0] };
const BLANKS = { text: "An___" };

let schemas = {};

/** Follow a reference to a schema. */
function resolve(schema) {
  return schema?.$ref ? schemas[schema.$ref.split("/").at(-1)] : schema;
}

/** Say what values a schema allows, in a few words. */
function kindOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return [...new Set(schema.anyOf.map(kindOf))].join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.type === "array") return `list of ${schema.items ? kindOf(schema.items) : "anything"}`;
  if (schema.type === "object" && schema.additionalProperties) return "object";
  return schema.type ?? "anything";
}

/** Return a sentence in which ``…`` is code. */
function sentence(text) {
  return text.split("``").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

/** Say what bounds a schema sets. */
function boundsOf(schema) {
  const names = { minimum: "at least", maximum: "at most", exclusiveMinimum: "above", exclusiveMaximum: "below",
    minLength: "shortest:", maxLength: "longest:", minItems: "fewest:", maxItems: "most:" };
  const bounds = [schema, ...(schema.anyOf ?? [])].flatMap((one) => Object.entries(names)
    .filter(([name]) => one[name] !== undefined).map(([name, words]) => `${words} ${one[name]}`)).join(", ");
  return bounds === "" ? "" : `${bounds[0].toUpperCase()}${bounds.slice(1)}.`;
}

function fieldRows(fields, required) {
  return fields.map(([name, schema]) => {
    const standing = schema.default === undefined || schema.default === null ? "" : JSON.stringify(schema.default);
    return el("tr", {}, el("th", { scope: "row" }, el("code", {}, name), required.includes(name) ? el("span", { class: "tag" }, "needed") : null),
      el("td", {}, kindOf(schema)), el("td", {}, el("code", {}, standing)),
      el("td", {}, sentence([schema.description, boundsOf(schema)].filter(Boolean).join(" "))));
  });
}

function fieldTable(caption, fields, required = []) {
  if (fields.length === 0) return null;
  return el("div", { class: "scroll" }, el("table", { class: "table fields" }, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ["Name", "Kind", "Default", "What it is"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, fieldRows(fields, required))));
}

/** The fields of an answer, and beneath them those of the schemas that they name. */
function answerTables(schema, seen = new Set()) {
  const name = schema?.$ref?.split("/").at(-1);
  const found = resolve(schema);
  if (!found?.properties || seen.has(name)) return [];
  seen.add(name);
  const inner = JSON.stringify(found.properties).match(/#\/components\/schemas\/\w+/g) ?? [];
  return [fieldTable(name, Object.entries(found.properties)), ...[...new Set(inner)].flatMap((one) => answerTables({ $ref: one }, seen))];
}

/** An example of a request: what is needed, and what makes it interesting. */
function exampleOf(path, schema, models) {
  const found = resolve(schema);
  const wanted = path.includes("classify") ? "classifier" : "language model";
  const example = {};
  for (const [name, field] of Object.entries(found.properties ?? {})) {
    if (name === "model") {
      const model = models.find((one) => one.kind === wanted);
      if (model) example.model = model.id;
    } else if (found.required?.includes(name) || name in EXAMPLES) {
      example[name] = (path.endsWith("/fill") ? BLANKS : EXAMPLES)[name] ?? EXAMPLES[name] ?? field.default ?? "";
    }
  }
  return example;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curl(method, path, body) {
  const parts = [`curl ${quoted(location.origin + path)}`];
  if (sessionStorage.getItem("thence-token")) parts.push('-H "Authorization: Bearer $THENCE_TOKEN"');
  if (method === "POST") parts.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
  return parts.join(" \\\n  ");
}

function section(path, method, operation, models) {
  const id = freshId("route");
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const parameters = operation.parameters ?? [];
  const answer = operation.responses["200"]?.content?.["application/json"]?.schema;
  return el("article", { class: "card route", "aria-labelledby": id, "data-path": path },
    el("h2", { id }, el("span", { class: `method ${method}` }, method.toUpperCase()), " ", el("code", {}, path)),
    el("p", {}, sentence(operation.description ?? operation.summary ?? "")),
    parameters.length === 0 ? null : fieldTable("Parameters",
      parameters.map((one) => [one.name, { description: one.description, ...one.schema }]),
      parameters.filter((one) => one.required).map((one) => one.name)),
    schema ? fieldTable("Request", Object.entries(resolve(schema).properties ?? {}), resolve(schema).required) : null,
    answer ? el("details", {}, el("summary", {}, "Answer"), ...answerTables(answer)) : null,
    trying(path, method.toUpperCase(), parameters, schema ? exampleOf(path, schema, models) : null, models));
}

/** A box in which the route can be tried, and the same as a command. */
function trying(path, method, parameters, example, models) {
  const fields = parameters.map((parameter) => {
    const input = el("input", { type: "text", id: freshId("parameter") });
    const isModel = ["model", "name", "run"].includes(parameter.name);
    input.value = parameter.schema?.default ?? (isModel ? models[0]?.id ?? "" : "");
    return { parameter, input, element: el("div", { class: "field" }, el("label", { for: input.id }, parameter.name), input) };
  });
  const body = el("textarea", { id: freshId("body"), rows: 6, spellcheck: "false" });
  if (example) body.value = JSON.stringify(example, null, 2);
  const command = el("pre", {});
  const result = el("pre", { class: "result", tabindex: 0, hidden: true, "aria-label": "The answer" });
  const send = el("button", { class: "primary" }, "Send");

  function address() {
    let filled = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") {
        filled = filled.replace(new RegExp(`\\{${parameter.name}(:path)?\\}`), input.value.split("/").map(encodeURIComponent).join("/"));
      } else if (input.value !== "") query.set(parameter.name, input.value);
    }
    return query.size > 0 ? `${filled}?${query}` : filled;
  }
  const tell = () => { command.textContent = curl(method, address(), body.value); };
  const form = el("form", { class: "trying" }, fields.map((field) => field.element),
    example ? el("div", { class: "field" }, el("label", { for: body.id }, "Request"), body) : null,
    command, el("div", { class: "buttons" }, send), result);
  form.addEventListener("input", tell);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    result.hidden = false;
    result.textContent = "…";
    try {
      const options = method === "POST" ? { method, body: body.value, headers: { "Content-Type": "application/json" } } : { method };
      const response = await ask(address(), options);
      const text = await response.text();
      const isJson = response.headers.get("content-type")?.startsWith("application/json");
      result.textContent = `${response.status}\n${isJson ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      result.textContent = error.message;
    }
    send.disabled = false;
  });
  tell();
  return el("details", { class: "try" }, el("summary", {}, "Try it"), form);
}

async function start() {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  try {
    const [description, models] = await Promise.all([get("/openapi.json"), get("/v1/models")]);
    schemas = description.components?.schemas ?? {};
    const routes = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => section(path, method, operation, models.data)));
    main.append(el("div", { class: "intro" },
      el("p", {}, `${description.info.title} ${description.info.version}. ${description.info.summary ?? ""}`),
      el("p", {}, "Any client of OpenAI's completions API can use this server: its base address is ", el("code", {}, `${location.origin}/v1`),
        ". Errors have the shape ", el("code", {}, '{"error": {"message": …}}'), ". The machine-readable description is ",
        el("a", { href: "/openapi.json" }, "/openapi.json"), ".")),
    el("div", { class: "stack" }, routes));
  } catch (error) {
    const banner = document.getElementById("banner");
    banner.textContent = error.message;
    banner.hidden = false;
    if (!(error instanceof Problem)) throw error;
  }
}

start();
