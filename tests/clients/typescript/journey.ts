// A person's way through the server with the generated client. The compiler checks that every answer is read as it is documented.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { client } from "./client/client.gen.js";
import {
  accountCreate,
  apiKeyCreate,
  apiKeyDecrypt,
  apiKeyTest,
  emailVerify,
  mfaVerify,
  profileGet,
  sessionCreate,
  sessionEnd,
  sessionRefresh,
  totpConfirm,
  totpCreate,
  verificationCreate,
  verificationGet,
  type Problem,
} from "./client/index.js";

const [, , baseUrl, person] = process.argv;
assert(baseUrl && person, "usage: journey.js SERVER PERSON");

let accessToken: string | undefined;
client.setConfig({ baseUrl, auth: () => accessToken });

// What the person does outside the application: see person.py.
async function ask(what: string, about: Record<string, string>): Promise<string> {
  const answer = await fetch(`${person}/${what}?${new URLSearchParams(about)}`);
  const text = await answer.text();
  assert(answer.ok, `${what}: ${text}`);
  return text;
}

async function done<T>(answer: Promise<{ data?: T; error?: unknown }>): Promise<NonNullable<T>> {
  const { data, error } = await answer;
  assert(data != null, JSON.stringify(error));
  return data;
}

// Errors are problem documents; mistakes in a request have no code, but a list.
async function problem(answer: Promise<{ error?: Problem | { detail: unknown[] } }>): Promise<Problem> {
  const { error } = await answer;
  assert(error && "error" in error, JSON.stringify(error));
  return error;
}

const email = "typescript@journey.example";
const password = "an unhurried walk to the harbour";

const short = (await accountCreate({ body: { email, password: "short" } })).error;
assert(short && !("error" in short));
assert.deepEqual(short.detail[0]?.loc, ["body", "password"]);
const account = await done(accountCreate({ body: { email, password } }));
assert.equal(account.next_step, "verify_email");
assert.equal(account.session, null);
await done(emailVerify({ body: { token: await ask("mail", { to: email }) } }));
console.log("signed up and confirmed");

const wrong = await problem(sessionCreate({ body: { email, password: `not ${password}` } }));
assert.deepEqual([wrong.status, wrong.error], [401, "invalid_credentials"]);

const first = await done(sessionCreate({ body: { email, password } }));
accessToken = first.session?.access_token;
const app = await done(totpCreate({ body: { name: "Phone" } }));
const code = await ask("code", { secret: app.secret });
const confirmed = await done(totpConfirm({ path: { id: app.id }, body: { code } }));
assert.equal(confirmed.recovery_codes?.length, 10);
await done(sessionEnd({ body: { access_token: confirmed.session.access_token } }));
console.log("added an authenticator app");

const login = await done(sessionCreate({ body: { email, password } }));
assert(login.next_step === "mfa" && login.mfa);
const second = await done(
  mfaVerify({ body: { ticket: login.mfa.ticket, method: "totp", code: await ask("code", { secret: app.secret }) } }),
);
assert(second.session);
accessToken = second.session.access_token;
console.log("signed in with two factors");

const api_key = "a-key-of-the-journey";
const settings = { base_url: person, test_path: "/status" };
const stored = await done(apiKeyCreate({ body: { provider: "generic_bearer", name: "Demo", api_key, settings } }));
const tested = await done(apiKeyTest({ path: { id: stored.data.id } }));
assert.equal(tested.data.outcome, "ok");
const revealed = await done(apiKeyDecrypt({ path: { id: stored.data.id } }));
assert.equal(revealed.data.api_key, api_key);
console.log("stored, tested and revealed a credential");

const headers = { "Idempotency-Key": randomUUID() };
const check = await done(verificationCreate({ body: { level: "full" }, headers }));
assert(check.url);
await ask("approve", { page: check.url });
const { id } = check.verification;
for (let tries = 0; (await done(verificationGet({ path: { id } }))).verification.status !== "approved"; tries++) {
  assert(tries < 100, "not approved in 20 seconds");
  await pause(200);
}
const third = await done(sessionRefresh({ body: { refresh_token: second.session.refresh_token } }));
assert(third.session);
accessToken = third.session.access_token;
const claims = JSON.parse(Buffer.from(accessToken.split(".")[1]!, "base64url").toString());
assert.equal(claims.ial, 1);
console.log("identified");

await done(sessionEnd({ body: { access_token: accessToken } }));
const refused = await problem(profileGet());
assert.deepEqual([refused.status, refused.error], [401, "invalid_token"]);
console.log("signed out");
