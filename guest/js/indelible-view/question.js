// A question as a view gets it, and the answer that says what it covers.

import { Event } from "./events.js";
import { has } from "./texts.js";
import { toIso } from "./times.js";

/** What a view answers: a content type and a text. */
export class Answer {
  constructor(contentType, body) {
    this.contentType = contentType;
    this.body = body;
  }

  /** Write a value as JSON. */
  static of(value) {
    return new Answer("application/json", JSON.stringify(value));
  }
}

/**
 * The time that was asked about, as the host understood `after`, `before`, `tz` and `basis`. Microseconds since 1970:
 * `start` is inside, `end` is not, null is open. `basis` is "received", or "occurred" for the time that events claim.
 */
export class Window {
  #facts;

  constructor(facts) {
    const micros = (name) => (facts.has(name) ? Number(facts.get(name)) : null);
    this.start = micros("window-from");
    this.end = micros("window-to");
    this.basis = facts.get("basis") ?? "received";
    this.#facts = facts;
  }

  /** Whether an event, or the mark that was kept of it, is inside. */
  covers(event) {
    const time = this.timeOf(event);
    if (time === null) return false;
    return (this.start === null || this.start <= time) && (this.end === null || time < this.end);
  }

  /** The time that counts; null where an event claims none and that is what counts. */
  timeOf(event) {
    const mark = event instanceof Event ? event.mark : event;
    return this.basis === "occurred" ? mark[2] : mark[1];
  }

  /** The window as the cover of an answer has it. */
  describe() {
    return {
      after: this.#facts.get("window-text-after") ?? null,
      before: this.#facts.get("window-text-before") ?? null,
      from: this.start === null ? null : toIso(this.start),
      to: this.end === null ? null : toIso(this.end),
      tz: this.#facts.get("tz") ?? "UTC",
    };
  }
}

/** One question: parameters as they were declared, the window, and what the answer will say it covers. */
export class Question {
  #values;
  #folded;
  #title;
  #matched = 0;
  #first = null;
  #last = null;
  #withoutTime = 0;

  constructor(values, body, facts, folded, title) {
    this.body = body;
    /** What the host knows, a Map: `asked-at`, `at-sequence`, `log-name`, … */
    this.facts = new Map(facts);
    this.window = new Window(this.facts);
    this.#values = values;
    this.#folded = folded;
    this.#title = title;
  }

  /** A parameter's value: what was given, or its default; an array where it may be repeated. */
  get(name) {
    if (!has(this.#values, name)) throw new Error(`no parameter ${name} was declared`);
    return this.#values[name];
  }

  /**
   * Whether an event is inside the window; it is counted in the cover if so. Ask it last, after the view's own filters:
   * what it says yes to is what `cover.events_matched` counts.
   */
  matches(event) {
    if (!this.window.covers(event)) {
      if (this.window.timeOf(event) === null) this.#withoutTime++;
      return false;
    }
    const sequence = event instanceof Event ? event.sequence : event[0];
    this.#matched++;
    this.#first = this.#first === null ? sequence : Math.min(this.#first, sequence);
    this.#last = this.#last === null ? sequence : Math.max(this.#last, sequence);
    return true;
  }

  /** What the answer covers, as far as a view can know it. */
  cover() {
    const fact = (name) => this.facts.get(name) ?? null;
    const [events, first, last, unreadable] = this.#folded;
    return {
      view: { title: this.#title },
      log: { log_id: fact("log-id"), name: fact("log-name"), origin: fact("origin") },
      asked_at: fact("asked-at"),
      question: this.#values,
      basis: this.window.basis,
      window: this.window.describe(),
      events_folded: events,
      first_folded: first,
      last_folded: last,
      events_matched: this.#matched,
      first_matched: this.#first,
      last_matched: this.#last,
      unreadable,
      ...(this.window.basis === "occurred" ? { without_time: this.#withoutTime } : {}),
    };
  }

  /** Answer with a table and its cover; past `limit` rows it is cut, and the cover says so. */
  table(columns, rows, limit = rows.length) {
    const given = rows.slice(0, limit);
    const counts = { rows: rows.length, rows_given: given.length, truncated: given.length < rows.length };
    return Answer.of({ columns, rows: given, cover: { ...this.cover(), ...counts } });
  }
}
