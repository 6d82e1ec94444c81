// Prints the Khronos glTF validator's report on each file named on the command line, as one JSON array.
import { readFile } from "node:fs/promises";
import { validateBytes } from "gltf-validator";

const reports = await Promise.all(
  process.argv.slice(2).map(async (file) => validateBytes(new Uint8Array(await readFile(file)), { uri: file })),
);
console.log(JSON.stringify(reports));
