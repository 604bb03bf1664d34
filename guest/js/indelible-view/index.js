// What a view in JavaScript is written with: a class that extends AuditView, and exportView with it.
// docs/views.md shows it from the first line on.

export { Event } from "./events.js";
export { Choice, Flag, Parameter, Text, Whole } from "./parameters.js";
export { Answer, Question, Window } from "./question.js";
export { compareTexts, dictionary } from "./texts.js";
export { toIso } from "./times.js";
export { Refusal } from "./refusal.js";
export { AuditView, exportView } from "./view.js";
