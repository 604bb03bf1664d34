// A state as text in parts, and back. The same parts in every language (guest/README.md).

import { compareTexts, dictionary, has } from "./texts.js";

const FORMAT = "indelible-view 1";
const RUN = 2_000;
const PART_BYTES = 1 << 20;
const MOST_BYTES = 16 << 20;
const UTF8 = new TextEncoder();

/** The state has something in it that JSON does not give back as it was. */
export class NotKeepable extends Error {}

/** Give the parts of a state one by one: the host gives each the fuel of one batch. */
export function* parts(state, folded) {
  yield JSON.stringify({ format: FORMAT, folded });
  for (const name of Object.keys(state).sort(compareTexts)) {
    const value = state[name];
    if (Array.isArray(value)) yield* list(name, value);
    else if (value !== null && typeof value === "object") yield* dict(name, value);
    else yield write(name, "value", value);
  }
}

function* list(name, items) {
  yield write(name, "list", []);
  for (let at = 0; at < items.length; at += RUN) yield* run(name, "list", items.slice(at, at + RUN));
}

function* dict(name, value) {
  yield write(name, "dict", {});
  check(name, value);
  const items = Object.entries(value);
  for (let at = 0; at < items.length; at += RUN) yield* run(name, "dict", items.slice(at, at + RUN));
}

function* run(name, kind, items) {
  const text = write(name, kind, kind === "list" ? items : dictionary(items));
  const size = UTF8.encode(text).length;
  if (size <= PART_BYTES || items.length === 1) {
    if (size > MOST_BYTES) throw new NotKeepable(`one item of ${name} takes more than 16 MiB`);
    yield text;
    return;
  }
  const half = Math.floor(items.length / 2);
  yield* run(name, kind, items.slice(0, half));
  yield* run(name, kind, items.slice(half));
}

function write(name, kind, value) {
  check(name, value);
  return JSON.stringify({ name, [kind]: value });
}

/** Refuse what JSON would drop or change in silence. */
function check(name, value) {
  if (value === null || typeof value === "boolean") return;
  if (typeof value === "string" && value.isWellFormed()) return;
  if (typeof value === "number" && Number.isFinite(value)) return;
  if (Array.isArray(value)) return value.forEach((each) => check(name, each));
  const plain = value !== undefined && typeof value === "object";
  const prototype = plain ? Object.getPrototypeOf(value) : undefined;
  if (plain && (prototype === null || prototype === Object.prototype)) {
    return Object.entries(value).forEach(([key, each]) => check(name, key) ?? check(name, each));
  }
  throw new NotKeepable(`${name} has a ${value?.constructor?.name ?? typeof value} in it`);
}

/** Puts parts together again. Objects come back without a prototype, so that any text is a name in them. */
export class Restoring {
  state = dictionary();
  folded = [0, null, null, 0];
  #next = 0;

  /** Take the next part; throws where it is none. */
  add(part, text) {
    if (part !== this.#next) throw new Error("the parts are not in their order");
    this.#next++;
    let members;
    try {
      members = JSON.parse(text, bare);
      if (part > 0) this.#put(members);
      else this.#begin(members);
    } catch {
      throw new Error("not a snapshot of this kind");
    }
  }

  #begin({ format, folded }) {
    if (format !== FORMAT || folded.length !== 4) throw new Error();
    this.folded = folded;
  }

  #put(members) {
    const { name } = members;
    if (typeof name !== "string") throw new Error();
    if (has(members, "list")) this.#list(name).push(...members.list);
    else if (has(members, "dict")) Object.assign((this.state[name] ??= dictionary()), members.dict);
    else if (has(members, "value")) this.state[name] = members.value;
    else throw new Error();
  }

  #list(name) {
    return (this.state[name] ??= []);
  }
}

function bare(_, value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return dictionary(Object.entries(value));
}
