// Texts and dictionaries that are the same in every language.

/** Compare by code points, as Python and Rust do; the language's own order is that of UTF-16. */
export function compareTexts(a, b) {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    if (a[at] !== b[at]) return a.codePointAt(at) - b.codePointAt(at);
  }
  return a.length - b.length;
}

/** An object without a prototype: any text is a name in it, `__proto__` and `constructor` too. */
export function dictionary(entries = []) {
  const made = Object.create(null);
  for (const [name, value] of entries) made[name] = value;
  return made;
}

/** Whether a value is a JSON object. */
export function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** Whether an object has a member of its own. */
export function has(object, name) {
  return Object.hasOwn(object, name);
}
