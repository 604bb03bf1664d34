// node build.mjs OUTPUT: makes the component, without any WASI import. `indelible view build` calls it.

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { componentize } from "@bytecodealliance/componentize-js";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const { component } = await componentize({
  sourcePath: here("app.js"),
  witPath: here("wit/view.wit"),
  worldName: "audit-view",
  disableFeatures: ["random", "stdio", "clocks", "http", "fetch-event"],
});
await writeFile(process.argv[2], component);
