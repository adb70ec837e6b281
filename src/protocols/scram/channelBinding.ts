/**
 * What a client says about the channel, and what `tls-server-end-point` binds to (RFC 5802 6, RFC 5929 4).
 *
 * @internal
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Certificate from "./certificate.ts"
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

const endPointHashes: Record<Certificate.Hash, Digest.Algorithm | undefined> = {
  // RFC 5929 4.1: SHA-256 in their place.
  "MD5": Digest.sha256,
  "SHA-1": Digest.sha256,
  // Hardly any certificate is signed so, and Web Cryptography does not have it.
  "SHA-224": undefined,
  "SHA-256": Digest.sha256,
  "SHA-384": Digest.sha384,
  "SHA-512": Digest.sha512
}

/** RFC 5929 4.1: what is hashed is the certificate as the server sends it, by the hash function of its signature. */
export const serverEndPoint = (
  certificate: Uint8Array
): Effect.Effect<Uint8Array | undefined, never, Digest.Digest> =>
  Effect.suspend(() => {
    const hash = Certificate.signatureHash(certificate)
    const algorithm = hash && endPointHashes[hash]
    return algorithm === undefined
      ? Effect.undefined
      : Effect.flatMap(Digest.Digest, (digest) => digest.digest(algorithm, certificate))
  })
