// Runs `oidc-provider`, an OpenID provider, on loopback for tests.
//
//   node oidc_provider.mjs NODE_MODULES SETTINGS
//
// SETTINGS is JSON: `port`, `audience` of access tokens, `clients` (as oidc-provider takes them),
// `groups` by account and by client, and the lifetimes `accessTokenS` and `deviceCodeS`. The first line on standard output
// is {"issuer": ...}. Then each line on standard input is a command, and gets one line as an answer:
//
//   {"rotateKeys": "keep"}     new tokens have a new key; the key set keeps the older keys
//   {"rotateKeys": "drop"}     likewise, and the key set loses the older keys
//   {"groups": {"ann": [...]}} replaces the groups of these accounts or clients, for new tokens
//   {"accessTokenS": 5}        the lifetime of new access tokens
//   {"keySetRequests": true}   answers with the number of requests for the key set
//
// The process ends when standard input ends. Any password is accepted.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

// Standard output is only for answers.
console.info = console.error;

const [modules, text] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(modules, 'oidc-provider/lib', file)));
const { Provider } = await load('index.js');
const { createMemoryAdapter } = await load('adapters/memory_adapter.js');

const settings = { groups: {}, accessTokenS: 600, deviceCodeS: 600, ...JSON.parse(text) };
// Shared by the provider before and after a rotation of keys, so that sessions and codes stay valid.
const adapter = createMemoryAdapter();

function newKeys() {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return [[rsa, 'RS256'], [ec, 'ES256']].map(([pair, alg]) => ({
    ...pair.privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg,
  }));
}

let keys = newKeys();
let provider;
let keySetRequests = 0;

function start(issuer) {
  provider = new Provider(issuer, {
    adapter: (model) => adapter(model),
    clients: settings.clients,
    jwks: { keys },
    clockTolerance: 0,
    cookies: { keys: ['for tests'] },
    scopes: ['openid', 'offline_access', 'profile', 'groups'],
    claims: { openid: ['sub'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false,
    // Otherwise only for sign-ins with `prompt=consent`, which other providers do not require.
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: id, groups: settings.groups[id] ?? [] }),
    }),
    extraTokenClaims: (_, token) => ({ groups: settings.groups[token.accountId ?? token.clientId] ?? [] }),
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_, client, oneOf) => oneOf?.[0] ?? settings.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'catalog openid profile groups',
          audience: resource,
          accessTokenTTL: settings.accessTokenS,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    ttl: {
      AccessToken: () => settings.accessTokenS,
      ClientCredentials: () => settings.accessTokenS,
      DeviceCode: () => settings.deviceCodeS,
      IdToken: () => settings.accessTokenS,
    },
  });
}

const commands = {
  rotateKeys(mode) {
    keys = mode === 'drop' ? newKeys() : [...newKeys(), ...keys];
    start(provider.issuer);
    return { kids: keys.map((key) => key.kid) };
  },
  groups(groups) {
    Object.assign(settings.groups, groups);
    return {};
  },
  accessTokenS(seconds) {
    settings.accessTokenS = seconds;
    return {};
  },
  keySetRequests: () => ({ keySetRequests }),
};

const server = createServer((request, response) => {
  if (request.url === '/jwks') keySetRequests += 1;
  provider.callback()(request, response);
});
server.listen(settings.port, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  start(issuer);
  console.log(JSON.stringify({ issuer }));
});

for await (const line of createInterface({ input: process.stdin })) {
  const answers = Object.entries(JSON.parse(line)).map(([name, value]) => commands[name](value));
  console.log(JSON.stringify(Object.assign({}, ...answers)));
}
process.exit(0);
