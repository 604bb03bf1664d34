// The class that a view's author writes, and the life that the host gives it.

import { Event } from "./events.js";
import { NotKeepable, Restoring, parts } from "./keeping.js";
import { describeAll, readAll } from "./parameters.js";
import { Question } from "./question.js";
import { Refusal } from "./refusal.js";
import { isObject } from "./texts.js";

/**
 * A view: a fold over a log's events, and answers to questions about them.
 *
 * What `init` and `append` put into fields is the state. It is snapshotted and restored by itself, if it is what JSON
 * has: plain objects, arrays, texts, numbers, booleans and null. Fields that begin with `_`, and private ones, are not
 * kept: set them in `init`, from the configuration alone, or in `restored`. Use `dictionary()` for objects whose names
 * come from events.
 */
export class AuditView {
  static title = "";
  static description = "";
  static parameters = [];
  /** Whether a question may have a body; one that comes all the same is refused. */
  static takesBody = false;

  /** Start from nothing. `config` is the JSON object of the deployment, empty where none was given. */
  init(config) {}

  /** Fold an event into the state. It must not matter what was asked, or where batches end. */
  append(event) {}

  /** Answer a question. Must not change the state. */
  query(question) {}

  /** Bring fields that begin with `_` back, after the state was restored. */
  restored() {}
}

/** Return what a build exports, under the name `view`: the functions of wit/view.wit. */
export function exportView(kind) {
  const life = new Life(kind);
  return {
    describe: () => life.describe(),
    init: (config, facts) => said(() => life.init(config, facts)),
    append: (batch) => said(() => life.append(batch)),
    query: (request) => life.query(request),
    snapshot: (part) => life.snapshot(part),
    restore: (part, text, last) => said(() => life.restore(part, text, last)),
  };
}

/** Throw what goes wrong as the text that the contract can say; anything else would be a mute trap. */
function said(call) {
  try {
    return call();
  } catch (error) {
    throw told(error);
  }
}

function told(error) {
  if (error instanceof Refusal) return error.message;
  const place = /[\w-]+\.js:\d+/.exec(error?.stack ?? "");
  return `${error}${place ? ` (${place[0]})` : ""}`;
}

class Life {
  #kind;
  #view = null;
  #facts = new Map();
  #folded = [0, null, null, 0]; // events, first, last, unreadable
  #parts = null;
  #nextPart = 0;
  #why = "";
  #restoring = new Restoring();

  constructor(kind) {
    this.#kind = kind;
  }

  describe() {
    const { title, description, parameters } = this.#kind;
    return JSON.stringify({ description, parameters: describeAll(parameters), title });
  }

  init(config, facts) {
    let settings = {};
    try {
      if (config.trim() !== "") settings = JSON.parse(config);
    } catch {
      settings = null;
    }
    if (!isObject(settings)) throw new Refusal("the configuration must be a JSON object");
    this.#facts = new Map(facts);
    this.#view = this.#fresh();
    this.#view.init(settings);
    this.#folded = [0, null, null, 0];
  }

  /** A new view, which knows its log under a name that is not kept. */
  #fresh() {
    const view = new this.#kind();
    const fact = (name) => this.#facts.get(name) ?? "";
    const log = Object.freeze({ id: fact("log-id"), name: fact("log-name"), origin: fact("origin") });
    Object.defineProperty(view, "log", { value: log, enumerable: false });
    return view;
  }

  append({ firstSequence, times, payloads, forms, writers, writerOf }) {
    const first = Number(firstSequence);
    const folded = this.#folded;
    const view = this.#view;
    for (let at = 0; at < payloads.length; at++) {
      const writer = writers[writerOf.length ? writerOf[at] : 0];
      const event = new Event(first + at, Number(times[at]), writer, payloads[at], forms.length ? forms[at] : "text");
      try {
        view.append(event);
      } catch (error) {
        throw error instanceof Refusal ? error : new Refusal(`event ${event.sequence}: ${told(error)}`);
      }
      folded[0] += 1;
      folded[1] ??= event.sequence;
      folded[2] = event.sequence;
      folded[3] += event.readable ? 0 : 1;
    }
  }

  query({ params, body, facts }) {
    const { parameters, takesBody, title } = this.#kind;
    try {
      const values = readAll(parameters, params);
      if (body !== "" && !takesBody) throw new Refusal("this view takes no body: ask with parameters in the URL");
      return this.#view.query(new Question(values, body, facts, this.#folded, title));
    } catch (error) {
      throw { tag: error instanceof Refusal ? "invalid" : "failed", val: told(error) };
    }
  }

  snapshot(part) {
    if (part === 0) {
      this.#parts = parts(this.#kept(), this.#folded);
      this.#nextPart = 0;
      this.#why = "";
    }
    if (this.#parts === null || part !== this.#nextPart) return undefined;
    this.#nextPart++;
    const text = this.#nextText();
    if (text === undefined) this.#parts = null;
    return text;
  }

  #nextText() {
    try {
      return this.#parts.next().value;
    } catch (error) {
      if (!(error instanceof NotKeepable)) throw error;
      this.#why = `the state cannot be kept, only replayed: ${error.message}`;
      return undefined;
    }
  }

  restore(part, text, last) {
    if (this.#why !== "") throw new Refusal(this.#why);
    if (part === 0) this.#restoring = new Restoring();
    try {
      this.#restoring.add(part, text);
    } catch (error) {
      throw new Refusal(error.message);
    }
    if (!last) return;
    for (const name of Object.keys(this.#kept())) delete this.#view[name];
    Object.assign(this.#view, this.#restoring.state);
    this.#folded = this.#restoring.folded;
    this.#restoring = new Restoring();
    this.#view.restored();
  }

  #kept() {
    return Object.fromEntries(Object.entries(this.#view).filter(([name]) => !name.startsWith("_")));
  }
}
