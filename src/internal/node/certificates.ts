/**
 * What can be seen of certificates, keys and authorities before anybody connects: whether they can be used at all, and
 * what peers will say of them.
 *
 * OpenSSL passes over most of it. A key of another kind than the certificate's is a second pair for it, whose certificate is
 * missing, and an authority that is none is one that nobody comes from; then each peer fails, and seems to be at fault.
 *
 * @internal
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"
import * as Excerpt from "../../Excerpt.ts"
import type * as Transport from "../../Transport.ts"

type Pem = string | Uint8Array

/** As Node takes it. */
export const bufferOf = (pem: Pem): string | Buffer => typeof pem === "string" ? pem : Buffer.from(pem)

const textOf = (pem: Pem): string => typeof pem === "string" ? pem : Buffer.from(pem).toString("latin1")

const blocks = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g

/** What Node says of OpenSSL's errors has their numbers first. */
export const whyOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message.replace(/^error:[0-9a-f]*:/i, "") : String(cause)

const attempt = <A>(make: () => A): Result.Result<A, string> => Result.try({ try: make, catch: whyOf })

/** The certificates of a file in PEM, in their order: at least one. Those behind the first that are none are left out. */
const certificatesIn = (pem: Pem): Result.Result<readonly [X509Certificate, ...Array<X509Certificate>], string> =>
  Result.map(attempt(() => new X509Certificate(bufferOf(pem))), (first) => [
    first,
    ...(textOf(pem).match(blocks) ?? []).slice(1).flatMap((block) =>
      Result.match(attempt(() => new X509Certificate(block)), { onSuccess: (one) => [one], onFailure: () => [] })
    )
  ])

/** Who it is for, on one line. */
const nameOf = ({ subject, subjectAltName }: X509Certificate): string =>
  // Node has none where it is empty (RFC 5280 4.1.2.6).
  Excerpt.ofText((subject as string | undefined)?.replaceAll("\n", ", ") ?? subjectAltName ?? "nobody")

/** Why a certificate and its key cannot be used. */
export type Problem =
  | { readonly _tag: "NoCertificate"; readonly why: string }
  | { readonly _tag: "NoKey"; readonly why: string }
  | { readonly _tag: "Passphrase"; readonly given: boolean }
  /** `place` is that of the certificate in the file that it is the key of, where there is one. */
  | { readonly _tag: "OtherKey"; readonly first: string; readonly place: number | undefined }

const encrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m

const keyOf = ({ key, passphrase }: Transport.TlsCertificate): Result.Result<KeyObject, Problem> => {
  const pem = Redacted.value(key)
  const isEncrypted = encrypted.test(textOf(pem))
  if (isEncrypted && passphrase === undefined) return Result.fail({ _tag: "Passphrase", given: false })
  return Result.mapError(
    attempt(() =>
      createPrivateKey({
        key: bufferOf(pem),
        ...passphrase !== undefined && { passphrase: Redacted.value(passphrase) }
      })
    ),
    (why): Problem => isEncrypted ? { _tag: "Passphrase", given: true } : { _tag: "NoKey", why }
  )
}

/** The certificates that are shown, that of the key first; or what keeps them from being used. */
export const shown = (
  certificate: Transport.TlsCertificate
): Result.Result<readonly [X509Certificate, ...Array<X509Certificate>], Problem> => {
  const certificates = certificatesIn(certificate.cert)
  if (Result.isFailure(certificates)) return Result.fail({ _tag: "NoCertificate", why: certificates.failure })
  return Result.flatMap(keyOf(certificate), (key) => {
    const at = certificates.success.findIndex((one) => one.checkPrivateKey(key))
    return at === 0 ? Result.succeed(certificates.success) : Result.fail({
      _tag: "OtherKey",
      first: nameOf(certificates.success[0]),
      place: at < 0 ? undefined : at + 1
    })
  })
}

/** The problem in words, where there are no files to name. */
export const describe = (problem: Problem): string => {
  switch (problem._tag) {
    case "NoCertificate":
      return `there is no certificate in PEM in cert: ${problem.why}`
    case "NoKey":
      return `there is no private key in PEM in key: ${problem.why}`
    case "Passphrase":
      return problem.given ? "the passphrase is not that of the key" : "the key has a passphrase, and none was given"
    case "OtherKey":
      return problem.place === undefined
        ? `the key is not that of the certificate, which is for ${problem.first}`
        : `the key is that of certificate ${problem.place} in cert, which has to stand first, before ${problem.first}`
  }
}

/** What peers will object to, of certificates that can be used. */
export const objections = (certificates: ReadonlyArray<X509Certificate>, now: Date): ReadonlyArray<string> =>
  certificates.flatMap((certificate) => {
    const { validFrom, validTo } = certificate
    const name = nameOf(certificate)
    const day = (text: string) => new Date(text).toISOString()
    return new Date(validTo) < now
      ? [`the certificate for ${name} has expired at ${day(validTo)}`]
      : new Date(validFrom) > now
      ? [`the certificate for ${name} is not valid before ${day(validFrom)}`]
      : []
  })

/** What this process was told of already. */
export const told = new Set<string>()

/** Whether this is told for the first time. The certificates of this side are few, and its connections are many. */
export const isNews = (objection: string): boolean => {
  const known = told.size
  return told.add(objection).size > known
}

// Where a chain may end: OpenSSL follows each of them to one that has signed itself.
const isRoot = ({ issuer, subject }: X509Certificate): boolean => issuer === subject

/** Why nobody can come from any of these authorities; what has them stands before it. */
export const authorityProblem = (pems: ReadonlyArray<Pem>): string | undefined => {
  const found: Array<X509Certificate> = []
  for (const pem of pems) {
    const certificates = certificatesIn(pem)
    // Node passes over those that are none.
    if (Result.isFailure(certificates)) return `has no certificate in PEM in it: ${certificates.failure}`
    found.push(...certificates.success)
  }
  const [first] = found
  if (first === undefined) return "has no certificate in it"
  // OpenSSL's own form says besides what each of them is trusted for.
  if (found.some(isRoot) || pems.some((pem) => textOf(pem).includes("BEGIN TRUSTED CERTIFICATE"))) return undefined
  const authority = found.find(({ ca }) => ca)
  return authority === undefined
    ? `has no certificate of an authority in it: that for ${nameOf(first)} may sign no others`
    : `has no root in it, only who comes from one: ${nameOf(authority)}`
}
