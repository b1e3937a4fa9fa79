// Puts Google's official client at the command of a test: one JSON object in per
// line, one out. The client finds the stand-in by GOOGLE_URL.
import { createInterface } from 'node:readline';
import { calendar } from '@googleapis/calendar';
import { JWT, OAuth2Client } from 'google-auth-library';

const url = process.env.GOOGLE_URL;
let auth, api;

// told is what a caller of the client can see of an error.
function told({ message, code, status, response }) {
  return { message, code, status, data: response?.data };
}

const commands = {
  // connect begins anew with what a program has stored of a user's consent. With renew the client asks for a
  // new access token when one is refused, although it is not past its time.
  async connect({ clientId, clientSecret, refreshToken, renew }) {
    auth = new OAuth2Client({
      clientId,
      clientSecret,
      forceRefreshOnFailure: renew,
      endpoints: { oauth2TokenUrl: `${url}/token`, oauth2RevokeUrl: `${url}/revoke` },
    });
    auth.setCredentials({ refresh_token: refreshToken });
    api = calendar({ version: 'v3', rootUrl: url, auth, retry: false });
    return {};
  },

  // delegate begins anew with a service account that acts for a user. This client knows no other token endpoint than
  // Google's own, so its requests are led to the stand-in on their way.
  async delegate({ email, key, subject, scopes }) {
    auth = new JWT({ email, key, subject, scopes });
    auth.transporter.interceptors.request.add({
      resolved: async (request) => {
        const { origin, pathname } = new URL(request.url);
        if (origin === 'https://oauth2.googleapis.com') request.url = new URL(`${url}${pathname}`);
        return request;
      },
    });
    api = calendar({ version: 'v3', rootUrl: url, auth, retry: false });
    return {};
  },

  async authorize() {
    return { status: 200, data: await auth.authorize() };
  },

  async events({ method, params, headers }) {
    const { status, data } = await api.events[method](params, { headers });
    return { status, data };
  },

  async refresh() {
    const { credentials, res } = await auth.refreshAccessToken();
    return { status: res.status, data: credentials };
  },

  // revoke gives back one token; without one, what the client itself holds.
  async revoke({ token }) {
    const { status, data } = await (token ? auth.revokeToken(token) : auth.revokeCredentials());
    return { status, data };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...args } = JSON.parse(line);
  let answer;
  try {
    answer = await commands[command](args);
  } catch (error) {
    answer = { error: told(error) };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
