// A view's own parameters: declared once, described as JSON Schema, read with refusals that name them.

import { Refusal } from "./refusal.js";
import { dictionary } from "./texts.js";

const WHOLE = /^-?[0-9]{1,15}$/;

/**
 * A parameter of the URL; a subclass says what its text means. Settings: `description`, `default`, and `repeated` for
 * one that may be given several times and is read to an array, empty when none is given.
 */
export class Parameter {
  constructor(name, settings = {}) {
    this.name = name;
    this.description = settings.description ?? "";
    this.default = settings.default ?? null;
    this.repeated = settings.repeated ?? false;
  }

  /** Its JSON Schema. */
  describe() {
    const about = this.description ? { description: this.description } : {};
    if (this.repeated) return { ...about, items: this.schema(), type: "array" };
    return { ...about, ...(this.default === null ? {} : { default: this.default }), ...this.schema() };
  }
}

/** Any text but the empty one. */
export class Text extends Parameter {
  read(text) {
    return text;
  }

  schema() {
    return { type: "string" };
  }
}

/** A whole number from `least` to `most`. */
export class Whole extends Parameter {
  constructor(name, least, most, settings) {
    super(name, settings);
    this.least = least;
    this.most = most;
  }

  read(text) {
    const number = WHOLE.test(text) ? Number(text) : NaN;
    if (!(this.least <= number && number <= this.most)) {
      throw new Refusal(`${this.name} is a whole number from ${this.least} to ${this.most}`);
    }
    return number === 0 ? 0 : number; // no negative zero
  }

  schema() {
    return { maximum: this.most, minimum: this.least, type: "integer" };
  }
}

/** One of `values`. */
export class Choice extends Parameter {
  constructor(name, values, settings) {
    super(name, settings);
    this.values = values;
  }

  read(text) {
    if (!this.values.includes(text)) throw new Refusal(`${this.name} is one of: ${this.values.join(", ")}`);
    return text;
  }

  schema() {
    return { enum: this.values, type: "string" };
  }
}

/** `true` or `false`. */
export class Flag extends Parameter {
  read(text) {
    if (text !== "true" && text !== "false") throw new Refusal(`${this.name} is true or false`);
    return text === "true";
  }

  schema() {
    return { type: "boolean" };
  }
}

/** The JSON Schema of all parameters as one object. */
export function describeAll(parameters) {
  const properties = dictionary(parameters.map((each) => [each.name, each.describe()]));
  return { additionalProperties: false, properties, type: "object" };
}

/** Read what was given. No parameter is ignored: a filter that is dropped silently makes a wrong report. */
export function readAll(parameters, given) {
  const known = new Map(parameters.map((each) => [each.name, each]));
  const found = new Map(parameters.map((each) => [each.name, []]));
  for (const [name, text] of given) {
    const parameter = known.get(name);
    if (parameter === undefined) {
      const names = [...known.keys()].join(", ") || "none";
      throw new Refusal(`${name} is no parameter of this view, which takes: ${names}`);
    }
    if (text === "") throw new Refusal(`${name} is empty: leave it out, or give it a value`);
    const values = found.get(name);
    if (values.length > 0 && !parameter.repeated) throw new Refusal(`give ${name} once`);
    values.push(parameter.read(text));
  }
  return dictionary(
    [...found].map(([name, values]) => {
      const { repeated, default: otherwise } = known.get(name);
      return [name, repeated ? values : values.length > 0 ? values[0] : otherwise];
    }),
  );
}
