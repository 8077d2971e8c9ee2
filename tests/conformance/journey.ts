// A person's way through the server with the generated client: every answer must have the documented type, which
// the compiler checks, and the documented meaning, which is asserted here.
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import PostalMime from "postal-mime";
import {
  accountCreate,
  emailVerify,
  passwordChange,
  profileUpdate,
  profileGet,
  sessionCreate,
  sessionEnd,
  sessionRefresh,
} from "./client/index.js";
import { client } from "./client/client.gen.js";

const [, , baseUrl, mails] = process.argv;
assert(baseUrl && mails, "usage: journey.js URL MAIL_FOLDER");

let accessToken: string | undefined;
client.setConfig({ baseUrl, auth: () => accessToken });

const email = "journey@client.example";
const password = "an unhurried walk to the harbour";
const newPassword = "a brisk ride back from the harbour";

// The token of the link that was mailed to the address; mails are sent in the background.
async function mailedToken(): Promise<string> {
  for (let tries = 0; tries < 100; tries++, await pause(100)) {
    for (const name of await readdir(mails!)) {
      if (!name.endsWith(".eml")) continue;
      const mail = await PostalMime.parse(await readFile(join(mails!, name)));
      const token = mail.text?.match(/verify-email\?token=([\w.~-]+)/)?.[1];
      if (token && mail.to?.some((to) => to.address === email)) return token;
    }
  }
  throw new Error(`no mail with a verification link for ${email} in ${mails}`);
}

async function step<T>(
  name: string,
  answer: Promise<{ data?: T; error?: unknown; response?: Response }>,
): Promise<NonNullable<T>> {
  const { data, error, response } = await answer;
  assert(data != null, `${name}: ${response?.status} ${JSON.stringify(error)}`);
  console.log(`${name}: ${response?.status}`);
  return data;
}

const created = await step("sign up", accountCreate({ body: { email, password } }));
assert.equal(created.session, null);
assert.equal(created.next_step, "verify_email");

const early = await sessionCreate({ body: { email, password } });
assert.equal(early.response?.status, 403, "a login before the address is verified");

const verified = await step("verify", emailVerify({ body: { token: await mailedToken() } }));
assert.equal(verified.email, email);

const login = await step("login", sessionCreate({ body: { email, password } }));
assert(login.session);
accessToken = login.session.access_token;

const profile = await step("profile", profileGet());
assert.equal(profile.email, email);
assert.equal(profile.id, login.user?.id);
assert.equal(profile.full_name, null);

const renamed = await step("patch profile", profileUpdate({ body: { full_name: "Ada Lovelace" } }));
assert.equal(renamed.full_name, "Ada Lovelace");
assert.equal((await step("profile again", profileGet())).full_name, "Ada Lovelace");

const refreshed = await step("refresh", sessionRefresh({ body: { refresh_token: login.session.refresh_token } }));
assert(refreshed.session);
assert.notEqual(refreshed.session.refresh_token, login.session.refresh_token);
accessToken = refreshed.session.access_token;

await step(
  "change password",
  passwordChange({ body: { current_password: password, new_password: newPassword } }),
);
assert.equal((await sessionCreate({ body: { email, password } })).response?.status, 401, "the old password");

await step("logout", sessionEnd({ body: { access_token: accessToken } }));

const after = await profileGet();
assert.equal(after.response?.status, 401, "the profile after logout");
assert.equal(after.data, undefined);
console.log("profile after logout: 401");
