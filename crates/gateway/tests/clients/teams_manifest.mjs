// Whether the manifest of the app for Teams is what Microsoft's schema of its version asks for. Prints what is wrong with it.
import fs from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const Ajv = require("ajv-draft-04");
const formats = require("ajv-formats");

const manifest = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const named = `teams/v${manifest.manifestVersion}/MicrosoftTeams.schema.json`;
if (manifest.$schema !== `https://developer.microsoft.com/en-us/json-schemas/${named}`) throw new Error(`it names ${manifest.$schema}`);
const ajv = new Ajv({ allErrors: true, strict: false });
formats(ajv);
const valid = ajv.compile(require(`@microsoft/app-manifest/build/json-schemas/${named}`));
if (!valid(manifest)) {
  for (const { instancePath, message } of valid.errors) console.log(`${instancePath} ${message}`);
  process.exit(1);
}
