// A CI platform: the certified `oidc-provider` gives a job, by client credentials, a token with the claims of a file that is
// read anew each time, and keys of its own for each run. For attacks its tokens can be spoilt.
//
// usage: node ci.mjs PORT JOB.json
//
// JOB.json: {"claims": {…}, "spoil": "WAY"}
import { createHmac, createPublicKey, createSign, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const [port, file] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const told = () => JSON.parse(readFileSync(file, 'utf8'));
const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const { privateKey } = pair();
const jwk = { ...privateKey.export({ format: 'jwk' }), kid: `k${process.pid}`, use: 'sig', alg: 'RS256' };

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'job', client_secret: 'a-job-secret', redirect_uris: [], response_types: [], grant_types: ['client_credentials'],
  }],
  jwks: { keys: [jwk] },
  features: {
    devInteractions: { enabled: false }, clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true, useGrantedResource: () => true,
      getResourceServerInfo: (_, audience) => (
        { scope: 'deploy', audience, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'RS256' } } }),
    },
  },
  extraTokenClaims: () => told().claims,
});
provider.on('server_error', (_, error) => console.error(error));

const b64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signed = (header, claims, key = privateKey) => {
  const text = `${b64(header)}.${b64(claims)}`;
  return `${text}.${createSign('RSA-SHA256').update(text).sign(key).toString('base64url')}`;
};
// the public key as if it were a shared secret
const confused = (type, format) => (h, c) => {
  const text = `${b64({ ...h, alg: 'HS256' })}.${b64(c)}`;
  const secret = createPublicKey(privateKey).export({ type, format });
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
};
const ways = {
  issuer: (h, c) => signed(h, { ...c, iss: 'http://127.0.0.1:1' }),
  audience: (h, c) => signed(h, { ...c, aud: 'https://somebody-else.example' }),
  expired: (h, c) => signed(h, { ...c, exp: c.iat - 61 }),
  future: (h, c) => signed(h, { ...c, nbf: c.iat + 3600 }),
  signature: (h, c) => signed(h, c, pair().privateKey),
  key: (h, c) => signed({ ...h, kid: 'unknown' }, c),
  unsigned: (h, c) => `${b64({ ...h, alg: 'none' })}.${b64(c)}.`,
  confused_pem: confused('spki', 'pem'),
  confused_der: confused('pkcs1', 'der'),
};

provider.use(async (ctx, next) => {
  await next();
  if (ctx.path !== '/token' || !ctx.body?.access_token) return;
  const spoil = ways[told().spoil];
  if (spoil) {
    const [header, claims] = ctx.body.access_token.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
    ctx.body = { ...ctx.body, access_token: spoil(header, claims) };
  }
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
