// An event as a view gets it.

import { read } from "./reading.js";
import { has, isObject } from "./texts.js";
import { parseInstant, toIso } from "./times.js";

/** Members that may hold the time which an event claims; the first that is an RFC 3339 instant counts. */
const CLAIMED = ["occurred_at", "time", "eventTime", "@timestamp"];

/**
 * One event. Reading any of it never throws, whatever the bytes are.
 *
 * Loops count and members are plain here: iterators and private fields cost an interpreter a multiple of the rest.
 */
export class Event {
  constructor(sequence, time, writer, text, form) {
    /** Its place in the log: 1, 2, 3… */
    this.sequence = sequence;
    /** When the server received it, microseconds since 1970; never less than that of the event before. */
    this.time = time;
    /** The UUID of the key that appended it. */
    this.writer = writer;
    /** The event's bytes: base64 of them where they are not UTF-8, empty where they were erased. */
    this.text = text;
    /** "text"; "base64" where the bytes are not UTF-8; "erased" where the payload is gone. */
    this.form = form;
    this._read = false;
    this._json = undefined;
  }

  /** The event as JSON; undefined where it is none. */
  get json() {
    if (!this._read) {
      this._json = this.form === "text" ? read(this.text) : undefined;
      this._read = true;
    }
    return this._json;
  }

  /** Whether the event is a JSON object. Those that are not are counted in `cover.unreadable`. */
  get readable() {
    return isObject(this.json ?? null);
  }

  /** What stands at a path of names, such as get("context", "ip"); null where nothing does. */
  get(...path) {
    let value = this.json ?? null;
    for (let at = 0; at < path.length; at++) {
      if (!isObject(value) || !has(value, path[at])) return null;
      value = value[path[at]];
    }
    return value;
  }

  /** The id at a path: a text that is not empty, or the member `id` of an object; else null. */
  id(...path) {
    let value = this.get(...path);
    if (isObject(value)) value = has(value, "id") ? value.id : null;
    return typeof value === "string" && value !== "" ? value : null;
  }

  /** The time that the event claims, microseconds since 1970; null where it claims no exact one. */
  get occurred() {
    if (!this.readable) return null;
    for (let at = 0; at < CLAIMED.length; at++) {
      const value = this._json[CLAIMED[at]]; // names that no object inherits
      const micros = typeof value === "string" ? parseInstant(value) : null;
      if (micros !== null) return micros;
    }
    return null;
  }

  /** What a state keeps to ask question.matches(mark) later: sequence, time, claimed time or null. */
  get mark() {
    return [this.sequence, this.time, this.occurred];
  }

  /** `time` as RFC 3339. */
  get iso() {
    return toIso(this.time);
  }
}
