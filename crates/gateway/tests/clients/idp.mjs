// An identity provider: the certified `oidc-provider`, with people from a file that is read anew for each sign-in, a page
// that signs in whomever one names, and keys of its own for each run. For attacks its token answers can be spoilt.
//
// usage: node idp.mjs PORT REDIRECT_URI LOGOUT_URI PEOPLE.json
//
// PEOPLE.json: {"people": {"NAME": {"email": …, "groups": […], "amr": […], …}}, "spoil": "WAY"}
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const [port, redirect, logout, file] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const told = () => JSON.parse(readFileSync(file, 'utf8'));
const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const { privateKey } = pair();
const kid = `k${process.pid}`;
const jwk = { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'countersign', client_secret: 'a-client-secret', redirect_uris: [redirect, redirect.replace('/oidc/', '/slack/')],
    response_types: ['code'],
    grant_types: ['authorization_code'], backchannel_logout_uri: logout, backchannel_logout_session_required: true,
  }],
  jwks: { keys: [jwk] },
  claims: {
    openid: ['sub', 'acr', 'amr', 'employee', 'https://slack.com/user_id', 'https://slack.com/team_id'],
    email: ['email', 'email_verified'], profile: ['name', 'preferred_username'],
    groups: ['groups', '_claim_names', '_claim_sources'],
  },
  scopes: ['openid', 'email', 'profile', 'groups'],
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true }, backchannelLogout: { enabled: true },
  },
  interactions: { url: (_, interaction) => `/sign-in/${interaction.uid}` },
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email profile groups');
    await grant.save();
    return grant;
  },
  findAccount: (_, id) => {
    const person = told().people[id];
    const { amr, ...claims } = person ?? {};
    return person && { accountId: id, claims: async () => ({ sub: id, preferred_username: id, name: id, ...claims }) };
  },
  // its own would not speak to loopback
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  cookies: { keys: ['one key of this run'] },
  ttl: { AccessToken: 600, IdToken: 600, Session: 3600, Grant: 3600, Interaction: 600 },
});
for (const event of ['server_error', 'grant.error', 'backchannel.error']) provider.on(event, (_, error) => console.error(error));

const b64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const signed = (header, claims, key = privateKey) => {
  const text = `${b64(header)}.${b64(claims)}`;
  return `${text}.${createSign('RSA-SHA256').update(text).sign(key).toString('base64url')}`;
};
const ways = {
  issuer: (h, c) => signed(h, { ...c, iss: 'http://127.0.0.1:1' }),
  audience: (h, c) => signed(h, { ...c, aud: 'somebody-else' }),
  expired: (h, c) => signed(h, { ...c, exp: c.iat - 1 }),
  nonce: (h, c) => signed(h, { ...c, nonce: 'another' }),
  signature: (h, c) => signed(h, c, pair().privateKey),
  unsigned: (h, c) => `${b64({ ...h, alg: 'none' })}.${b64(c)}.`,
  // the public key as if it were a shared secret
  confused: (h, c) => {
    const text = `${b64({ ...h, alg: 'HS256' })}.${b64(c)}`;
    return `${text}.${createHmac('sha256', JSON.stringify(jwk.n)).update(text).digest('base64url')}`;
  },
  future: (h, c) => signed(h, { ...c, auth_time: c.iat + 3600 }),
};

provider.use(async (ctx, next) => {
  const uid = /^\/sign-in\/([\w-]+)$/.exec(ctx.path)?.[1];
  if (uid && ctx.method === 'GET') {
    const people = Object.keys(told().people).map((name) => `<button name="who" value="${name}">${name}</button>`);
    ctx.type = 'html';
    ctx.body = `<!doctype html><title>Provider</title><form method="post"><h1>Who are you?</h1>${people.join(' ')}</form>`;
    return;
  }
  if (uid) {
    let body = '';
    for await (const piece of ctx.req) body += piece;
    const who = new URLSearchParams(body).get('who');
    const login = { accountId: who, amr: told().people[who]?.amr ?? ['pwd'] };
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, { login, consent: {} }));
    return;
  }
  // any token by the provider's key, as a provider that goes wrong might send it
  if (ctx.path === '/sign') {
    const { header, claims } = JSON.parse(ctx.query.what);
    ctx.body = signed({ alg: 'RS256', kid, ...header }, { iss: issuer, aud: 'countersign', ...claims });
    return;
  }
  // a directory with more groups than a token holds, in two pages
  if (ctx.path === '/graph') {
    const all = told().graph ?? [];
    const page = Number(ctx.query.page ?? 0);
    const next = told().graph_next ?? `${issuer}/graph?page=1`;
    ctx.body = { value: all[page].map((id) => ({ id })), ...(page === 0 && all.length > 1 ? { '@odata.nextLink': next } : {}) };
    return;
  }
  await next();
  const spoil = ways[told().spoil];
  if (ctx.path === '/token' && spoil && ctx.body?.id_token) {
    const [header, claims] = ctx.body.id_token.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
    ctx.body = { ...ctx.body, id_token: spoil(header, claims) };
  }
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
