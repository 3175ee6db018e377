// Whether what is sent to Slack is what Slack's own types say: every call in a file, each a method and its arguments, as a
// program in TypeScript that the compiler is asked about. Prints what it says; ends with 1 if that is anything.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const ts = require("typescript");
const modules = path.join(process.env.NODE_MODULES, "node_modules");

// `chat.postMessage` takes `ChatPostMessageArguments`
const type = (method) => `${method.split(".").map((part) => part[0].toUpperCase() + part.slice(1)).join("")}Arguments`;
const calls = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const lines = calls.map(({ method, arguments: said }, at) => `export const call${at}: api.${type(method)} = ${JSON.stringify(said, null, 1)};`);
const program = `${process.argv[2]}.ts`;
fs.writeFileSync(program, [`import type * as api from "@slack/web-api";`, ...lines].join("\n"));

const options = {
  strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler, paths: { "*": [`${modules}/*`] }, typeRoots: [path.join(modules, "@types")], types: ["node"],
};
const flaws = ts.getPreEmitDiagnostics(ts.createProgram([program], options)).map((one) => {
  const at = one.file ? one.file.text.slice(one.start, one.start + 60).replaceAll("\n", " ") : "";
  return `${ts.flattenDiagnosticMessageText(one.messageText, "\n")}\n  at: ${at}`;
});
for (const flaw of flaws) console.log(flaw);
console.log(`${calls.length} calls, ${flaws.length} flaws`);
process.exit(flaws.length === 0 && calls.length > 0 ? 0 : 1);
