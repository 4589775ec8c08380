// An OpenID-certified provider that isn't ours (oidc-provider), for one client with JWT access tokens.
//
//     node oidc_provider.mjs MODULES CLIENT_SECRET
//
// Prints its issuer URL. A line on standard input makes it sign with a new key from then on, which is
// published beside the old one; it answers each with the new key's id.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, secret] = process.argv.slice(2);
const { default: Provider } = await import(
  pathToFileURL(join(modules, 'oidc-provider', 'lib', 'index.js')).href
);

console.info = console.error; // its advice for production, which would come between the answers

const keys = [];
let handler;

function addKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = `key-${keys.length + 1}`;
  keys.unshift({ ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' });
  return kid;
}

function provide(issuer) {
  const provider = new Provider(issuer, {
    jwks: { keys: [...keys] },
    clients: [
      {
        client_id: 'triage-agent',
        client_secret: secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    extraTokenClaims: () => ({ groups: ['agents'] }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: 'datadog',
          audience: resource === 'https://ddgate.example' ? 'ddgate' : resource,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256', kid: keys[0].kid } },
        }),
      },
    },
  });
  handler = provider.callback();
}

addKey();
const server = createServer((request, response) => handler(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  provide(issuer);
  console.log(issuer);
  createInterface({ input: process.stdin })
    .on('line', () => {
      const kid = addKey();
      provide(issuer);
      console.log(kid);
    })
    .on('close', () => process.exit(0));
});
