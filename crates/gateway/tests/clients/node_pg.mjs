// node-postgres, by its documentation: https://node-postgres.com/apis/client
import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const modules = process.env.COUNTERSIGN_NODE_MODULES;
if (!modules) throw new Error('COUNTERSIGN_NODE_MODULES names the directory that holds node_modules');
const { Client } = createRequire(`${modules}/`)('pg');

const [scenario, given] = process.argv.slice(2);
const many = Array.from({ length: 300 }, (_, at) => `the order of round ${at} `.repeat(at % 50 === 0 ? 40 : 1));
const sql = {
  read: 'SELECT 1 AS one',
  refused: 'DELETE FROM customers',
  write: 'UPDATE customers SET credit_limit = credit_limit + $1 WHERE id = $2',
  'write-many': `UPDATE customers SET credit_limit = credit_limit + 1 WHERE id = 3 AND name <> ALL (ARRAY[${many.map((_, at) => `$${at + 1}`)}]::text[])`,
};
const parameters = { write: [1, 3], 'write-many': many };

const result = { ok: false, rows: null, sqlstate: null, message: null, notices: [], usable_after: false };
// `require` of libpq: encrypted, the certificate is not checked.
const client = new Client({ ssl: { rejectUnauthorized: false } });
client.on('notice', (notice) => {
  result.notices.push(notice.message);
  const file = process.env.COUNTERSIGN_NOTICE_FILE;
  if (file) appendFileSync(file, `${notice.message} ${notice.detail} ${notice.hint}\n`);
});
client.on('error', () => {});
await client.connect();
try {
  const values = given ? undefined : parameters[scenario];
  const answer = await client.query({ text: given ?? sql[scenario], values, rowMode: 'array' });
  result.rows = answer.fields.length > 0 ? answer.rows : answer.rowCount;
  result.ok = true;
} catch (error) {
  result.sqlstate = error.code ?? null;
  result.message = error.message;
}
try {
  result.usable_after = (await client.query('SELECT 1 AS one')).rows[0].one === 1;
} catch {
  // said by `usable_after`
}
await client.end();
console.log(JSON.stringify(result));
