// What a page does beyond the lines in the README, with the generated client in a browser: the compiler checks that the browser
// takes the options as they are, and this server what the browser gives back.
import {
  passkeyCreate,
  passkeyLogin,
  passkeyLoginOptions,
  passkeyOptions,
  passkeyStepUp,
  passkeyStepUpOptions,
  passkeyVerify,
  passkeyVerifyOptions,
} from "./client/index.js";
import { client } from "./client/client.gen.js";
import type { PasskeyAssertion, PasskeyCreation, PasskeyRegistration, PasskeyRequest } from "./client/index.js";

async function make({ challenge_id, options }: PasskeyCreation, name: string): Promise<PasskeyRegistration> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const made = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential;
  return { name, challenge_id, credential: made.toJSON() as RegistrationResponseJSON };
}

async function use({ challenge_id, options }: PasskeyRequest): Promise<PasskeyAssertion> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const used = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
  return { challenge_id, credential: used.toJSON() as AuthenticationResponseJSON };
}

const page = {
  configure(baseUrl: string, accessToken: string) {
    client.setConfig({ baseUrl, auth: () => accessToken, throwOnError: true });
  },
  async add(name: string) {
    const { data } = await passkeyOptions<true>();
    return (await passkeyCreate<true>({ body: await make(data, name) })).data;
  },
  async signIn() {
    const { data } = await passkeyLoginOptions<true>();
    return (await passkeyLogin<true>({ body: await use(data) })).data;
  },
  async secondFactor(ticket: string) {
    const { data } = await passkeyVerifyOptions<true>({ body: { ticket } });
    return (await passkeyVerify<true>({ body: { ticket, ...(await use(data)) } })).data;
  },
  async stepUp() {
    const { data } = await passkeyStepUpOptions<true>();
    return (await passkeyStepUp<true>({ body: await use(data) })).data;
  },
};
Object.assign(globalThis, { page });
