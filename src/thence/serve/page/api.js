/** Requests to the server: JSON, streams, the token, and errors as sentences. */

const KEY = "thence-token";
const BROKEN = "The connection to the server broke.";

/** An error as a sentence for people. */
export class Problem extends Error {
  /**
   * @param {string} message
   * @param {number} status Of HTTP; 0: the server was not reached.
   */
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

let asking = null;

/** Ask the user for the token once, and keep it for this tab. */
function askForToken(wrong) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token-dialog");
    const field = document.getElementById("token-field");
    document.getElementById("token-wrong").hidden = !wrong;
    field.value = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      asking = null;
      if (field.value) sessionStorage.setItem(KEY, field.value.trim());
      resolve(field.value !== "");
    }, { once: true });
  });
  return asking;
}

/** Send a request, with the token if there is one. */
export async function ask(path, options) {
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const headers = { ...options.headers };
    if (token) headers.Authorization = `Bearer ${encodeToken(token)}`;
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("The server does not answer. Is thence serve still running?");
    }
    if (response.status !== 401) return response;
    if (sessionStorage.getItem(KEY) !== token) continue; // Somebody was told it meanwhile.
    if (!(await askForToken(token !== null))) throw new Problem("The server asks for its token.", 401);
  }
}

/** A header holds bytes: encode characters beyond Latin-1 as UTF-8. */
function encodeToken(token) {
  return Array.from(new TextEncoder().encode(token), (byte) => String.fromCharCode(byte)).join("");
}

async function refusal(response) {
  let sentence = `The server answered with status ${response.status}.`;
  try {
    const { message, code } = (await response.json()).error;
    sentence = message;
    // The server was restarted with other models than this page knows.
    if (code === "model_not_found") sentence += " Load this page again to see them.";
  } catch {
    // Not JSON: show the status instead.
  }
  return new Problem(sentence, response.status);
}

async function content(response) {
  if (!response.ok) throw await refusal(response);
  try {
    return await response.json();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem(BROKEN);
  }
}

/** Get JSON. */
export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams(parameters).toString();
  return content(await ask(query ? `${path}?${query}` : path, { signal }));
}

function posted(given, signal) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given), signal };
}

/** Send JSON and get JSON. */
export async function post(path, given, signal = undefined) {
  return content(await ask(path, posted(given, signal)));
}

/** Send JSON and yield the events of the stream that answers. */
export async function* stream(path, given, signal) {
  const response = await ask(path, posted(given, signal));
  if (!response.ok) throw await refusal(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(BROKEN);
    }
    if (piece.done) return;
    const events = (held + piece.value).split("\n\n");
    held = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const found = JSON.parse(data);
      if (found.error) throw new Problem(found.error.message);
      yield found;
    }
  }
}

/**
 * Return a function that runs only the newest query: an older one is aborted, and its answer is never
 * shown. A query equal to the one in progress is not repeated.
 * @param {(signal: AbortSignal, ...given: any[]) => Promise<any>} question
 * @param {(answer: any, ...given: any[]) => void} onAnswer
 * @param {(problem: Problem) => void} onProblem
 * @param {(...given: any[]) => string|null} keyOf What tells questions apart; null: each is another.
 */
export function newest(question, onAnswer, onProblem, keyOf = () => null) {
  let current = null;
  return async (...given) => {
    const key = keyOf(...given);
    if (key !== null && current?.key === key) return;
    current?.control.abort();
    const mine = { key, control: new AbortController() };
    current = mine;
    let [answer, problem] = [null, null];
    try {
      answer = await question(mine.control.signal, ...given);
    } catch (error) {
      problem = error;
    }
    if (current !== mine) return;
    current = null;
    if (problem === null) onAnswer(answer, ...given);
    else if (problem instanceof Problem) onProblem(problem);
    else if (problem.name !== "AbortError") throw problem;
  };
}
