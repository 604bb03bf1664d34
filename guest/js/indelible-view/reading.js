// Reading an event's JSON so that every language reads the same of it, and no event uses up the fuel of a batch: what
// looks at every character is left to the engine's own functions, since a loop here costs thousands of steps for each.

const MAX_DEPTH = 100;
const MAX_BRACKETS = 10_000;
const MAY_BE_BEYOND_A_DOUBLE = /[eE]\+?\d{3}|\d{200}/;
const MAY_BE_HALF_A_PAIR = /\\u[dD][89a-fA-F]/;
const HALF_A_PAIR = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/; // as JSON.stringify writes it

/**
 * Read JSON (RFC 8259). Undefined where it is none, is nested deeper than 100 levels or has more than 10,000 opening
 * brackets, a number beyond a double, or a string with half a surrogate pair.
 */
export function read(text) {
  const brackets = 2 * text.length - text.replaceAll("[", "").length - text.replaceAll("{", "").length;
  if (brackets > MAX_BRACKETS) return undefined;
  try {
    const value = JSON.parse(text);
    if ((brackets > MAX_DEPTH || MAY_BE_BEYOND_A_DOUBLE.test(text)) && isStrange(value)) return undefined;
    return MAY_BE_HALF_A_PAIR.test(text) && HALF_A_PAIR.test(JSON.stringify(value)) ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Whether a value is nested too deep, or has a number beyond a double. */
function isStrange(value) {
  let level = [[value]];
  for (let depth = 0; level.length > 0; depth++) {
    const next = [];
    for (const values of level) {
      for (let at = 0; at < values.length; at++) {
        const each = values[at];
        if (each === Infinity || each === -Infinity) return true;
        if (each !== null && typeof each === "object") next.push(Array.isArray(each) ? each : Object.values(each));
      }
    }
    if (depth === MAX_DEPTH && next.length > 0) return true;
    level = next;
  }
  return false;
}
