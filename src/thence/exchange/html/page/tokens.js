/** Tokenizers: text to pieces {text, start, end, ids} and back. */

const utf8 = new TextEncoder();
const decodeUtf8 = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const MARKS = { " ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽" };
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zs}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]/u;
/** White space as Python has it (str.isspace), at the end and at the beginning of a text. */
const [SPACE_AT_END, SPACES_AT_BEGIN] = [/[\p{White_Space}\x1c-\x1f]$/u, /^[\p{White_Space}\x1c-\x1f]+/u];
const GPT2 = new RegExp("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+"
  + "|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+", "gu");

/** Return text in which white space and control characters can be seen. */
function visible(text) {
  const code = (char) => `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  return Array.from(text, (char) => MARKS[char] ?? (INVISIBLE.test(char) ? code(char) : char)).join("");
}

/** Return the text of bytes; null if they are no whole characters. */
function wholeText(bytes) {
  try {
    return strict.decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}

class Tokenizer {
  constructor(about, header) {
    Object.assign(this, about);
    this.boundary = header.boundary;
    this.size = this.symbols.length;
    this.unknown = this.rule === "symbol" ? this.size : null;
    this.firstByte = this.rule === "bytes" ? this.size : null;
    this.table = new Map(this.symbols.map((symbol, id) => [symbol, id]));
    if (this.unknown !== null) this.table.set("<unk>", this.unknown);
    if (this.kind === "words") this.pattern = new RegExp(this.pattern, "gu");
    if (this.kind === "subwords") {
      this.ranks = new Map(this.merges.map((pair, rank) => [pair, rank]));
      this.alphabet = Array.from(this.alphabet);
      this.bytes = new Map(this.alphabet.map((char, byte) => [char, byte]));
    }
  }

  normal(text) {
    const small = this.lowercase ? text.toLowerCase() : text;
    return this.nfc ? small.normalize("NFC") : small;
  }

  /** Return the pieces of a text, which is normalised already. */
  encode(text) {
    const pieces = [];
    const add = (part, start, ids) => pieces.push({ text: part, start, end: start + part.length, ids });
    if (this.kind === "words") {
      for (const { 0: word, index } of text.matchAll(this.pattern)) add(word, index, this.symbol(word, " "));
    } else if (this.kind === "subwords") {
      for (const { 0: word, index } of text.matchAll(GPT2)) this.subwords(word, index, add);
    } else {
      let start = 0;
      for (const char of text) {
        add(char, start, this.symbol(char, ""));
        start += char.length;
      }
    }
    return pieces;
  }

  /** Return the ids of a symbol; the bytes of an unknown word end in a space. */
  symbol(symbol, end) {
    const id = this.table.get(symbol);
    if (id !== undefined) return [id];
    if (this.unknown !== null) return [this.unknown];
    if (this.firstByte !== null) return Array.from(utf8.encode(symbol + end), (byte) => this.firstByte + byte);
    throw new RangeError(`The model has no “${visible(symbol)}”: its vocabulary is closed.`);
  }

  /** Merge the bytes of a word pair by pair, the most frequent pairs first; add whole characters. */
  subwords(word, start, add) {
    let parts = Array.from(utf8.encode(word), (byte) => this.alphabet[byte]);
    for (;;) {
      let [best, at] = [Infinity, -1];
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Infinity;
        if (rank < best) [best, at] = [rank, i];
      }
      if (at < 0) break;
      const [left, right] = [parts[at], parts[at + 1]];
      const merged = [];
      for (let i = 0; i < parts.length; i++) {
        const isPair = parts[i] === left && parts[i + 1] === right;
        merged.push(isPair ? left + right : parts[i]);
        if (isPair) i++;
      }
      parts = merged;
    }
    let [ids, bytes] = [[], []];
    for (const part of parts) {
      ids.push(this.table.get(part));
      bytes.push(...Array.from(part, (char) => this.bytes.get(char)));
      const text = wholeText(bytes);
      if (text !== null) {
        add(text, start, ids);
        start += text.length;
        [ids, bytes] = [[], []];
      }
    }
  }

  /** Return the bytes that an id stands for; null for one that stands for none. */
  spelling(id) {
    if (id === this.boundary || id === this.unknown) return null;
    if (id >= this.size) return [id - this.firstByte];
    if (this.kind === "subwords") return Array.from(this.symbols[id], (char) => this.bytes.get(char));
    return Array.from(utf8.encode(this.symbols[id]));
  }

  isByte(id) {
    return this.firstByte !== null && id >= this.firstByte && id < this.boundary;
  }

  /** Return what to show for an id. */
  name(id) {
    if (id === this.boundary) return "end";
    if (id === this.unknown) return "unknown";
    const bytes = this.spelling(id);
    const text = wholeText(bytes);
    return text !== null ? visible(text) : bytes.map((byte) => `0x${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(" ");
  }

  /** Return a text with an id after it; null for one that cannot be appended by itself. */
  append(text, id) {
    const bytes = this.spelling(id);
    if (!bytes || (this.kind === "words" && this.isByte(id))) return null;
    const added = wholeText(bytes);
    if (added === null) return null;
    return this.kind === "words" ? this.joined(text, added) : text + added;
  }

  /** Return a text with a word after it; marks stand against the word before. */
  joined(text, word) {
    const isApart = this.split === "punctuation";
    const isMark = isApart && (/^[.,;:!?%)\]}’”]$/.test(word) || /[([{“]$/.test(text));
    const ends = text === "" || (isApart ? SPACE_AT_END : /[ \t\n\v\f\r]$/).test(text);
    return text + (ends || isMark ? "" : " ") + word;
  }

  /** Return a text with several ids after it. */
  written(text, ids) {
    let bytes = [];
    const flush = () => {
      if (bytes.length && this.kind === "words") text = this.joined(text, decodeUtf8(bytes).replace(/ $/, ""));
      else text += decodeUtf8(bytes);
      bytes = [];
    };
    for (const id of ids) {
      if (this.kind !== "words") {
        bytes.push(...(this.spelling(id) ?? utf8.encode("\ufffd")));
      } else if (this.isByte(id)) {
        bytes.push(id - this.firstByte);
        if (bytes.at(-1) === 32) flush();
      } else {
        if (bytes.length) flush();
        text = this.joined(text, this.symbols[id] ?? "<unk>");
      }
    }
    flush();
    return text;
  }
}
