// One call by GitHub's own client: `octokit.mjs BASE_URL NAMESPACE.METHOD PARAMETERS`, with `GITHUB_TOKEN`. Prints what came of it.
// With `RETRY` set, its own plugin sends again what may come to another end.
import { pathToFileURL } from "node:url";

const from = (name) => import(pathToFileURL(`${process.env.NODE_MODULES}/node_modules/@octokit/${name}/dist-src/index.js`));
const [{ Octokit: Plain }, { retry }] = [await from("rest"), await from("plugin-retry")];
const Octokit = process.env.RETRY ? Plain.plugin(retry) : Plain;

const [, , baseUrl, call, parameters] = process.argv;
const octokit = new Octokit({ auth: process.env.GITHUB_TOKEN, baseUrl, log: { debug() {}, info() {}, warn() {}, error() {} } });
const [namespace, method] = call.split(".");
try {
  const { status, data } = await octokit.rest[namespace][method](JSON.parse(parameters));
  console.log(JSON.stringify({ ok: true, status, data }));
} catch (error) {
  console.log(JSON.stringify({ ok: false, status: error.status, message: error.message, data: error.response?.data, headers: error.response?.headers }));
}
