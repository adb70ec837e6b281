/**
 * What a client says about the channel, and what `tls-server-end-point` binds to (RFC 5802 6, RFC 5929 4).
 *
 * @internal
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Certificate from "./certificate.ts"
import * as Hashes from "./hashes.ts"
import * as Message from "./message.ts"

export type Binding =
  | { readonly _tag: "Unsupported" }
  | { readonly _tag: "NotOffered" }
  | { readonly _tag: "EndPoint"; readonly data: Uint8Array }

/** gs2-header (RFC 5802 7): the channel binding flag, and no authorization identity. */
export const gs2Header = (binding: Binding): string => {
  switch (binding._tag) {
    case "Unsupported":
      return "n,,"
    case "NotOffered":
      return "y,,"
    case "EndPoint":
      return `p=${Message.endPointType},,`
  }
}

type Hashing = (certificate: Uint8Array) => Effect.Effect<Uint8Array, never, Digest.Digest>

const provided = (algorithm: Digest.Algorithm): Hashing => (certificate) =>
  Effect.flatMap(Digest.Digest, (digest) => digest.digest(algorithm, certificate))

const own = (hash: (data: Uint8Array) => Uint8Array): Hashing => (certificate) => Effect.sync(() => hash(certificate))

const endPointHashes: Record<Certificate.Hash, Hashing> = {
  // RFC 5929 4.1: SHA-256 in their place.
  "MD5": provided(Digest.sha256),
  "SHA-1": provided(Digest.sha256),
  "SHA-224": own(Hashes.sha224),
  "SHA-256": provided(Digest.sha256),
  "SHA-384": provided(Digest.sha384),
  "SHA-512": provided(Digest.sha512),
  "SHA3-224": own(Hashes.sha3(224)),
  "SHA3-256": own(Hashes.sha3(256)),
  "SHA3-384": own(Hashes.sha3(384)),
  "SHA3-512": own(Hashes.sha3(512))
}

/** RFC 5929 4.1: what is hashed is the certificate as the server sends it, by the hash function of its signature. */
export const serverEndPoint = (
  certificate: Uint8Array
): Effect.Effect<Uint8Array | undefined, never, Digest.Digest> =>
  Effect.suspend((): Effect.Effect<Uint8Array | undefined, never, Digest.Digest> => {
    const hash = Certificate.signatureHash(certificate)
    return hash === undefined ? Effect.undefined : endPointHashes[hash](certificate)
  })
