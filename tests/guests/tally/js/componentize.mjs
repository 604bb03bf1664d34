// node componentize.mjs SOURCE WIT OUTPUT: makes the component, without any WASI import.
// Run as a copy beside the node_modules of componentize-js, which live outside this tree. Paths are absolute.

import { writeFile } from "node:fs/promises";

import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, witPath, output] = process.argv.slice(2);
const { component } = await componentize({
  sourcePath,
  witPath,
  worldName: "audit-view",
  disableFeatures: ["random", "stdio", "clocks", "http", "fetch-event"],
});
await writeFile(output, component);
