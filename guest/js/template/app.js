// Who did what: how many actions each actor took, within a window of time.

import { AuditView, Text, Whole, compareTexts, exportView, toIso } from "./indelible-view/index.js";

/** Keeps a row for each event, and counts those that a question asks for. */
class WhoDidWhat extends AuditView {
  static title = "Who did what";
  static description = "Actions by actor, the busiest first.";
  static parameters = [
    new Text("actor", { description: "only this actor", repeated: true }),
    new Whole("limit", 1, 10_000, { default: 1_000, description: "the most rows" }),
  ];

  /** Start from nothing: fields are the state, and are kept by themselves. */
  init(config) {
    this.rows = [];
  }

  /** Keep who did it, and when. What is no JSON object is counted by itself, and skipped here. */
  append(event) {
    if (event.readable) this.rows.push([event.mark, event.id("actor")]);
  }

  /** Count the events inside the window, by actor. */
  query(question) {
    const wanted = question.get("actor");
    const found = new Map(); // actions, first and last time of receipt
    for (const [mark, actor] of this.rows) {
      if ((wanted.length === 0 || wanted.includes(actor)) && question.matches(mark)) {
        if (!found.has(actor)) found.set(actor, [0, mark[1], mark[1]]);
        const count = found.get(actor);
        count[0] += 1;
        count[2] = mark[1];
      }
    }
    const busiest = [...found].sort((a, b) => b[1][0] - a[1][0] || compareTexts(a[0] ?? "", b[0] ?? ""));
    const rows = busiest.map(([actor, [count, first, last]]) => [actor, count, toIso(first), toIso(last)]);
    return question.table(["actor", "actions", "first", "last"], rows, question.get("limit"));
  }
}

export const view = exportView(WhoDidWhat); // the name that the contract looks for
