// The view "tally" in JavaScript. `../README.md` says what every tally answers, byte for byte.

const DESCRIPTION = {
  description: "Counts events by their type.",
  parameters: {
    additionalProperties: false,
    properties: { type: { items: { type: "string" }, type: "array" } },
    type: "object",
  },
  title: "Tally",
};
const CONFIG = "config takes only fail-at and trap-at, each a whole number";
const NO_SNAPSHOT = "not a snapshot of a tally";
const KNOWN = "boom, echo, type";
const ROWS_A_PART = 100;
const BIG = 100 << 20;
const UTF8 = new TextEncoder();

/** Ends the instance: an `Error` without a payload does. */
function trap() {
  throw new Error("told to trap");
}

/** Order of code points, which is that of UTF-8; the language's own is that of UTF-16. */
function byCodePoint([a], [b]) {
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  const x = a.charCodeAt(at);
  const y = b.charCodeAt(at);
  if (Number.isNaN(x) || Number.isNaN(y)) return a.length - b.length;
  const astral = (unit) => unit >= 0xd800 && unit < 0xe000;
  return astral(x) === astral(y) ? x - y : astral(x) ? 1 : -1;
}

const sorted = (rows) => [...rows].sort(byCodePoint);
const rowsText = (rows) => `{${sorted(rows).map(([name, count]) => `${JSON.stringify(name)}:${count}`)}}`;
const placeText = (place) => (place ? `{"sequence":${place[0]},"time":${place[1]}}` : "null");

/** Empty text, or a JSON object of `fail-at` and `trap-at`; 0 is nowhere. */
function parseConfig(text) {
  const config = { "fail-at": 0, "trap-at": 0 };
  if (text === "") return config;
  let members;
  try {
    members = JSON.parse(text);
  } catch {
    throw CONFIG;
  }
  if (members === null || typeof members !== "object" || Array.isArray(members)) throw CONFIG;
  for (const [name, value] of Object.entries(members)) {
    if (!Object.hasOwn(config, name) || !Number.isSafeInteger(value) || value < 0) throw CONFIG;
    config[name] = value;
  }
  return config;
}

/** Fails or traps when the batch holds the event that it was told of; the earlier one decides. */
function checkConfig(config, first, count) {
  const fail = config["fail-at"];
  const boom = config["trap-at"];
  const holds = (at) => first <= at && BigInt(at) < first + BigInt(count);
  if (holds(boom) && !(holds(fail) && fail <= boom)) trap();
  if (holds(fail)) throw `told to fail at ${fail}`;
}

/** What was folded. Counts are ordinary numbers; sequences and times are BigInt. */
class State {
  bytes = 0;
  erased = 0;
  events = 0;
  unreadable = 0;
  untyped = 0;
  first = null;
  last = null;
  types = new Map();
  writers = new Map();
  partsRestored = 0;

  fold({ firstSequence, times, payloads, forms, writers, writerOf }) {
    const count = payloads.length;
    if (count === 0) return;
    this.first ??= [firstSequence, times[0]];
    this.last = [firstSequence + BigInt(count - 1), times[count - 1]];
    this.events += count;
    this.bytes += UTF8.encode(payloads.join("")).length;
    if (forms.length === 0) {
      for (let i = 0; i < count; i++) this.foldText(payloads[i]);
    } else {
      for (let i = 0; i < count; i++) this.foldForm(payloads[i], forms[i]);
    }
    if (writerOf.length === 0) {
      this.writers.set(writers[0], (this.writers.get(writers[0]) ?? 0) + count);
    }
    for (const writer of writerOf) {
      this.writers.set(writers[writer], (this.writers.get(writers[writer]) ?? 0) + 1);
    }
  }

  foldForm(payload, form) {
    if (form === "text") this.foldText(payload);
    else if (form === "erased") this.erased++;
    else this.unreadable++;
  }

  foldText(payload) {
    let event;
    try {
      event = JSON.parse(payload);
    } catch {
      this.unreadable++;
      return;
    }
    if (event === null || typeof event !== "object" || Array.isArray(event)) {
      this.unreadable++;
      return;
    }
    const name = event.type;
    const count = this.types.get(name);
    if (count !== undefined) this.types.set(name, count + 1);
    else if (typeof name !== "string") this.untyped++;
    else if (name.isWellFormed()) this.types.set(name, 1);
    else this.unreadable++;
  }

  /** The report without its closing brace; with `only`, the counts of those types, 0 included. */
  report(only) {
    const counts = only.length ? new Map(only.map((name) => [name, this.types.get(name) ?? 0])) : this.types;
    return (
      `{"bytes":${this.bytes},"counts":${rowsText(counts)},"erased":${this.erased},"events":${this.events},` +
      `"first":${placeText(this.first)},"last":${placeText(this.last)},"unreadable":${this.unreadable},` +
      `"untyped":${this.untyped},"writers":${rowsText(this.writers)}`
    );
  }

  /** Part 0 holds the numbers; each later part a hundred rows: types, then writers. */
  part(part) {
    if (part === 0) {
      const places = [...(this.first ?? [0, 0]), ...(this.last ?? [0, 0])];
      const numbers = [this.bytes, this.erased, this.events, this.unreadable, this.untyped, ...places];
      return `tally 1 ${numbers.join(" ")}\n`;
    }
    const kinds = [
      ["t", this.types],
      ["w", this.writers],
    ];
    const rows = kinds.flatMap(([kind, rows]) => sorted(rows).map(([name, count]) => [kind, count, name]));
    const some = rows.slice((part - 1) * ROWS_A_PART, part * ROWS_A_PART);
    return some.map(([kind, count, name]) => `${kind} ${count} ${JSON.stringify(name)}\n`).join("") || undefined;
  }

  restoreNumbers(text) {
    const found = /^tally 1((?: [0-9]+){9})\n$/.exec(text);
    if (!found) throw NO_SNAPSHOT;
    const numbers = found[1].trim().split(" ");
    [this.bytes, this.erased, this.events, this.unreadable, this.untyped] = numbers.slice(0, 5).map(Number);
    if (this.events > 0) {
      const places = numbers.slice(5).map(BigInt);
      this.first = places.slice(0, 2);
      this.last = places.slice(2);
    }
  }

  restoreRows(text) {
    for (const line of text.replace(/\n$/, "").split("\n")) {
      const found = /^([tw]) ([0-9]+) (".*")$/.exec(line);
      if (!found) throw NO_SNAPSHOT;
      (found[1] === "t" ? this.types : this.writers).set(JSON.parse(found[3]), Number(found[2]));
    }
  }
}

let config = parseConfig("");
let configText = "";
let initFacts = [];
let state = new State();

function echo(request) {
  const asked = {
    body: request.body,
    config: configText,
    facts: request.facts,
    init: initFacts,
    params: request.params,
  };
  return `,"~echo":${JSON.stringify(asked)}`;
}

function boom(how) {
  if (how === "trap") trap();
  if (how === "big") return { contentType: "application/json", body: "x".repeat(BIG) };
  if (how === "fail") throw { tag: "failed", val: "told to fail" };
  while (how === "loop");
  throw { tag: "invalid", val: "boom takes big, fail, loop or trap" };
}

export const view = {
  describe() {
    return JSON.stringify(DESCRIPTION);
  },

  init(text, facts) {
    config = parseConfig(text);
    configText = text;
    initFacts = facts;
    state = new State();
  },

  append(events) {
    checkConfig(config, events.firstSequence, events.payloads.length);
    state.fold(events);
  },

  query(request) {
    const only = [];
    let echoes = false;
    for (const [name, value] of request.params) {
      if (name === "type") only.push(value);
      else if (name === "echo") echoes = true;
      else if (name === "boom") return boom(value);
      else throw { tag: "invalid", val: `unknown parameter ${name}; known: ${KNOWN}` };
    }
    const body = state.report(only) + (echoes ? echo(request) : "") + "}";
    return { contentType: "application/json", body };
  },

  snapshot(part) {
    return state.part(part);
  },

  restore(part, text, last) {
    if (part === 0) state = new State();
    else if (part !== state.partsRestored) throw NO_SNAPSHOT;
    if (part === 0) state.restoreNumbers(text);
    else state.restoreRows(text);
    state.partsRestored = part + 1;
  },
};
