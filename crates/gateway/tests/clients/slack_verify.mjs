// Which requests Bolt's own check takes for Slack's: a JSON list in, a list of booleans out.
import fs from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { verifySlackRequest } = require("@slack/bolt");

const verdicts = JSON.parse(fs.readFileSync(process.argv[2], "utf8")).map(({ secret, timestamp, signature, body }) => {
  const headers = { "x-slack-request-timestamp": Number.parseInt(timestamp, 10), "x-slack-signature": signature };
  try {
    verifySlackRequest({ signingSecret: secret, headers, body });
    return true;
  } catch {
    return false;
  }
});
console.log(JSON.stringify(verdicts));
