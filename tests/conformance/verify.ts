// A service that has jose and the address of the key set: it answers each line that asks about a token with the token's
// claims, or with null when it is refused.
import { createInterface } from "node:readline";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const [, , address, age, claims] = process.argv;
if (!address || !age || !claims) throw new Error("usage: verify.ts KEY_SET SECONDS CLAIMS");
const milliseconds = Number(age) * 1000;
const keySet = createRemoteJWKSet(new URL(address), { cacheMaxAge: milliseconds, cooldownDuration: milliseconds });

for await (const line of createInterface({ input: process.stdin })) {
  const { token, algorithm, issuer, audience } = JSON.parse(line);
  try {
    const verified = await jwtVerify(token, keySet, {
      algorithms: [algorithm],
      issuer,
      audience,
      typ: "at+jwt",
      requiredClaims: JSON.parse(claims),
    });
    console.log(JSON.stringify(verified.payload));
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    console.log("null");
  }
}
