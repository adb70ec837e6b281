/**
 * Cryptography for tests that must be the same each time and wait for nothing: what is random comes from Effect's `Random`,
 * which the laws seed, and keys are derived at once.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as Kdf from "effect/crypto/Kdf"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { pbkdf2Sync } from "node:crypto"

const random: SecureRandom.SecureRandom["Service"] = {
  ...SecureRandom.make((size) => new Uint8Array(size)),
  randomBytes: (size) =>
    Effect.map(Random.Random, (random) => Uint8Array.from({ length: size }, () => 256 * random.nextDoubleUnsafe())),
  intBetween: (min, max) => Random.nextIntBetween(min, max)
}

const kdf: Kdf.Kdf["Service"] = {
  derive: (algorithm, secret, { length, salt }) =>
    algorithm._tag === "Pbkdf2"
      ? Effect.sync(() => new Uint8Array(pbkdf2Sync(secret, salt, algorithm.iterations, length, "sha256")))
      : Effect.die(new Error("only PBKDF2 is needed here"))
}

export const layer = Layer.mergeAll(
  NodeCrypto.layer,
  Layer.succeed(SecureRandom.SecureRandom, random),
  Layer.succeed(Kdf.Kdf, kdf)
)
