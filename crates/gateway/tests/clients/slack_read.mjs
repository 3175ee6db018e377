// What Slack's own client reads of a conversation: its messages, the newest first, each with what stands beneath it.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { WebClient } = require("@slack/web-api");

const [, , slackApiUrl, name] = process.argv;
const slack = new WebClient(process.env.SLACK_TOKEN, { slackApiUrl, retryConfig: { retries: 0 } });
const { channels } = await slack.conversations.list();
const { id: channel } = channels.find((one) => one.name === name);
const { messages } = await slack.conversations.history({ channel });
for (const message of messages) {
  const { messages: thread } = await slack.conversations.replies({ channel, ts: message.ts });
  message.replies = thread.slice(1);
}
console.log(JSON.stringify(messages));
