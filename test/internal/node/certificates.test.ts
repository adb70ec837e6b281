/**
 * What is said of certificates, keys and authorities before anybody connects.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createPrivateKey } from "node:crypto"
import * as Certificates from "../../../src/internal/node/certificates.ts"
import type * as Transport from "../../../src/Transport.ts"
import * as Given from "../../support/certificates/index.ts"

const { ed25519, expired, notYetValid, other, rsaPss, selfSigned, server, sha512Rsa } = Given

const problemOf = (certificate: Transport.TlsCertificate): string | undefined =>
  Result.match(Certificates.shown(certificate), { onSuccess: () => undefined, onFailure: Certificates.describe })

const blocks = (pem: string): ReadonlyArray<string> => pem.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----/g) ?? []
const [leaf, intermediate] = blocks(server.cert)

const locked = Redacted.make(
  createPrivateKey(Redacted.value(server.key)).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-128-cbc",
    passphrase: "sesame"
  })
)

describe("a certificate and its key", () => {
  it.each(Object.entries({ server, ed25519, rsaPss, sha512Rsa, selfSigned }))("can be used: %s", (_, certificate) => {
    expect(problemOf(certificate)).toBeUndefined()
  })

  it("may stand in one file, as text or as bytes, in any order", () => {
    const key = Redacted.value(server.key)
    for (const both of [server.cert + key, key + server.cert, Buffer.from(key + server.cert)]) {
      expect(problemOf({ cert: both, key: Redacted.make(both) })).toBeUndefined()
    }
  })

  const wrong: ReadonlyArray<readonly [what: string, certificate: Transport.TlsCertificate, says: string]> = [
    ["a key of the same type", { ...server, key: other.key }, "the key is not that of the certificate"],
    ["a key of another type", { ...server, key: sha512Rsa.key }, "the key is not that of the certificate"],
    ["a key of RSA-PSS for one of RSA", { ...sha512Rsa, key: rsaPss.key }, "the key is not that of the certificate"],
    [
      "an intermediate that stands first",
      { cert: `${intermediate}\n${leaf}\n`, key: server.key },
      "the key is that of certificate 2 in cert, which has to stand first, before CN=Test Intermediate ec"
    ],
    ["no certificate", { ...server, cert: "" }, "there is no certificate in PEM in cert"],
    ["half a certificate", { ...server, cert: server.cert.slice(0, 400) }, "there is no certificate in PEM in cert"],
    ["no key", { ...server, key: Redacted.make("") }, "there is no private key in PEM in key"],
    ["a certificate for a key", { ...server, key: Redacted.make(server.cert) }, "there is no private key in PEM"],
    [
      "a passphrase that was not given",
      { cert: server.cert, key: locked },
      "the key has a passphrase, and none was given"
    ],
    [
      "another passphrase",
      { cert: server.cert, key: locked, passphrase: Redacted.make("open") },
      "the passphrase is not that of the key"
    ]
  ]
  it.each(wrong)("cannot be used with %s, and it is said why", (_, certificate, says) => {
    expect(problemOf(certificate)).toContain(says)
  })

  it("can be used with its passphrase", () => {
    expect(problemOf({ cert: server.cert, key: locked, passphrase: Redacted.make("sesame") })).toBeUndefined()
  })
})

describe("what peers will object to", () => {
  const at = (certificate: Transport.TlsCertificate, now: string) =>
    Certificates.objections(Result.getOrThrow(Certificates.shown(certificate)), new Date(now))

  it("is a certificate that has expired, or is not valid yet, by its name and when", () => {
    expect(at(expired, "2026-01-01T00:00:00Z")).toEqual([
      "the certificate for CN=localhost has expired at 2020-01-01T00:00:00.000Z"
    ])
    expect(at(notYetValid, "2026-01-01T00:00:00Z")).toEqual([
      "the certificate for CN=localhost is not valid before 2099-01-01T00:00:00.000Z"
    ])
  })

  it("is any one of those that are shown", () => {
    expect(at(server, "2101-01-01T00:00:00Z")).toHaveLength(2)
  })

  it("is nothing of one that is valid, to the second", () => {
    expect(at(server, "2020-01-01T00:00:00Z")).toEqual([])
    expect(at(server, "2019-12-31T23:59:59Z")).toHaveLength(2)
    expect(at(server, "2100-01-01T00:00:00Z")).toEqual([])
    expect(at(server, "2100-01-01T00:00:01Z")).toHaveLength(2)
  })
})

describe("authorities", () => {
  it("can be used where there is one to which a chain leads", () => {
    for (const pems of [[Given.root], [Buffer.from(Given.root)], [intermediate, Given.root], [Given.root + leaf]]) {
      expect(Certificates.authorityProblem(pems)).toBeUndefined()
    }
    // It has signed itself, and who trusts it trusts that very certificate.
    expect(Certificates.authorityProblem([selfSigned.cert])).toBeUndefined()
  })

  it.each([
    [[leaf], "has no certificate of an authority in it: that for CN=localhost may sign no others"],
    [[server.cert], "has no root in it, only who comes from one: CN=Test Intermediate ec"],
    [[], "has no certificate in it"],
    [[""], "has no certificate in PEM in it"],
    [[Given.root, "nonsense"], "has no certificate in PEM in it"]
  ])("cannot be used otherwise, and it is said why (%#)", (pems, says) => {
    expect(Certificates.authorityProblem(pems)).toContain(says)
  })
})
