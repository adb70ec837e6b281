import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { createHash, X509Certificate } from "node:crypto"
import * as Scram from "../../../src/protocols/Scram.ts"
import * as Certificate from "../../../src/protocols/scram/certificate.ts"
import { sha224, sha3 } from "../../../src/protocols/scram/hashes.ts"
import * as Certificates from "../../support/certificates/index.ts"

const derOf = ({ cert }: { readonly cert: string }): Uint8Array => new Uint8Array(new X509Certificate(cert).raw)

// ---------------------------------------------------------------------------------------------------------------------
// DER by hand, for what nobody signs any more
// ---------------------------------------------------------------------------------------------------------------------

const value = (tag: number, ...contents: ReadonlyArray<ReadonlyArray<number>>): Array<number> => {
  const content = contents.flat()
  const length = content.length < 0x80
    ? [content.length]
    : content.length < 0x100
    ? [0x81, content.length]
    : [0x82, content.length >> 8, content.length & 0xff]
  return [tag, ...length, ...content]
}

const sequence = (...contents: ReadonlyArray<ReadonlyArray<number>>) => value(0x30, ...contents)

const oid = (text: string): Array<number> => {
  const [first, second, ...rest] = text.split(".").map(Number)
  return value(
    6,
    [first * 40 + second, ...rest].flatMap((arc) => {
      const groups = [arc & 0x7f]
      for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
      return groups
    })
  )
}

const none = value(5)

const certificate = (...algorithm: ReadonlyArray<ReadonlyArray<number>>): Uint8Array =>
  Uint8Array.from(sequence(sequence(value(2, [1])), sequence(...algorithm), value(3, [0, 1, 2, 3])))

const pss = "1.2.840.113549.1.1.10"

const hashOid = (name: string) => sequence(oid(name), none)

describe("signatureHash", () => {
  for (
    const [name, id, hash] of [
      ["md5WithRSAEncryption", "1.2.840.113549.1.1.4", "MD5"],
      ["sha1WithRSAEncryption", "1.2.840.113549.1.1.5", "SHA-1"],
      ["sha224WithRSAEncryption", "1.2.840.113549.1.1.14", "SHA-224"],
      ["sha256WithRSAEncryption", "1.2.840.113549.1.1.11", "SHA-256"],
      ["sha384WithRSAEncryption", "1.2.840.113549.1.1.12", "SHA-384"],
      ["sha512WithRSAEncryption", "1.2.840.113549.1.1.13", "SHA-512"],
      ["ecdsa-with-SHA1", "1.2.840.10045.4.1", "SHA-1"],
      ["ecdsa-with-SHA224", "1.2.840.10045.4.3.1", "SHA-224"],
      ["ecdsa-with-SHA256", "1.2.840.10045.4.3.2", "SHA-256"],
      ["ecdsa-with-SHA384", "1.2.840.10045.4.3.3", "SHA-384"],
      ["ecdsa-with-SHA512", "1.2.840.10045.4.3.4", "SHA-512"],
      ["dsa-with-sha1", "1.2.840.10040.4.3", "SHA-1"],
      ["dsa-with-sha224", "2.16.840.1.101.3.4.3.1", "SHA-224"],
      ["dsa-with-sha256", "2.16.840.1.101.3.4.3.2", "SHA-256"],
      ["dsa-with-sha384", "2.16.840.1.101.3.4.3.3", "SHA-384"],
      ["dsa-with-sha512", "2.16.840.1.101.3.4.3.4", "SHA-512"],
      ["Ed25519", "1.3.101.112", undefined],
      ["Ed448", "1.3.101.113", undefined],
      ["rsaEncryption", "1.2.840.113549.1.1.1", undefined]
    ] as const
  ) {
    it(`${name} has ${hash}`, () => {
      assert.strictEqual(Certificate.signatureHash(certificate(oid(id), none)), hash)
    })
  }

  for (
    const [id, hash] of [
      ["1.2.840.113549.2.5", "MD5"],
      ["1.3.14.3.2.26", "SHA-1"],
      ["2.16.840.1.101.3.4.2.4", "SHA-224"],
      ["2.16.840.1.101.3.4.2.1", "SHA-256"],
      ["2.16.840.1.101.3.4.2.2", "SHA-384"],
      ["2.16.840.1.101.3.4.2.3", "SHA-512"],
      ["2.16.840.1.101.3.4.2.7", "SHA3-224"],
      ["2.16.840.1.101.3.4.2.8", "SHA3-256"],
      ["2.16.840.1.101.3.4.2.9", "SHA3-384"],
      ["2.16.840.1.101.3.4.2.10", "SHA3-512"],
      ["2.16.840.1.101.3.4.2.11", undefined]
    ] as const
  ) {
    it(`RSASSA-PSS has ${hash} where its parameters say ${id}`, () => {
      const parameters = sequence(value(0xa0, hashOid(id)), value(0xa2, value(2, [32])))
      assert.strictEqual(Certificate.signatureHash(certificate(oid(pss), parameters)), hash)
    })
  }

  it("RSASSA-PSS has SHA-1 where its parameters leave the hash out", () => {
    assert.strictEqual(Certificate.signatureHash(certificate(oid(pss), sequence())), "SHA-1")
    assert.strictEqual(Certificate.signatureHash(certificate(oid(pss), sequence(value(0xa2, value(2, [32]))))), "SHA-1")
  })

  it("RSASSA-PSS without parameters has none", () => {
    assert.isUndefined(Certificate.signatureHash(certificate(oid(pss))))
    assert.isUndefined(Certificate.signatureHash(certificate(oid(pss), none)))
    assert.isUndefined(Certificate.signatureHash(certificate(oid(pss), sequence(value(0xa0)))))
    assert.isUndefined(Certificate.signatureHash(certificate(oid(pss), sequence(value(0xa0, sequence())))))
    assert.isUndefined(Certificate.signatureHash(certificate(oid(pss), sequence([0xa0]))))
    // A tag of more than one byte.
    assert.isUndefined(Certificate.signatureHash(certificate(oid(pss), sequence(value(0xbf, [1])))))
  })

  it("real certificates have that of their signature", () => {
    const hashes = Object.entries({
      server: Certificates.server,
      sha384: Certificates.sha384,
      sha512Rsa: Certificates.sha512Rsa,
      ed25519: Certificates.ed25519
    }).map(([name, certificate]) => [name, Certificate.signatureHash(derOf(certificate))])
    assert.deepStrictEqual(Object.fromEntries(hashes), {
      server: "SHA-256",
      sha384: "SHA-384",
      sha512Rsa: "SHA-512",
      ed25519: undefined
    })
    assert.oneOf(Certificate.signatureHash(derOf(Certificates.rsaPss)), ["SHA-256", "SHA-384", "SHA-512"])
  })

  it("nothing but a whole certificate has one", () => {
    const der = derOf(Certificates.server)
    for (let length = 0; length < der.length; length++) {
      assert.isUndefined(Certificate.signatureHash(der.subarray(0, length)), `${length} bytes`)
    }
    assert.isUndefined(Certificate.signatureHash(Uint8Array.of(...der, 0)))
  })

  it("only the shortest form of a length is read", () => {
    const whole = certificate(oid("1.2.840.10045.4.3.2"))
    const content = whole.subarray(2)
    const lengths: ReadonlyArray<ReadonlyArray<number>> = [
      [0x81, content.length],
      [0x82, 0, content.length],
      [0x80],
      [0x85, 0, 0, 0, 0, content.length],
      [0xff],
      [0x84, 0xff, 0xff, 0xff, 0xff]
    ]
    assert.strictEqual(Certificate.signatureHash(Uint8Array.of(0x30, content.length, ...content)), "SHA-256")
    for (const length of lengths) {
      assert.isUndefined(Certificate.signatureHash(Uint8Array.of(0x30, ...length, ...content)), String(length))
    }
  })

  it("a length of two bytes has no zero before it", () => {
    const content = [
      ...sequence(value(4, new Array<number>(120).fill(0))),
      ...sequence(oid("1.2.840.10045.4.3.2")),
      ...value(3, [0])
    ]
    assert.isTrue(content.length >= 0x80 && content.length < 0x100)
    const of = (...length: ReadonlyArray<number>) =>
      Certificate.signatureHash(Uint8Array.of(0x30, ...length, ...content))
    assert.strictEqual(of(0x81, content.length), "SHA-256")
    assert.isUndefined(of(0x82, 0, content.length))
  })

  it.prop("any bytes have an answer", [Schema.Uint8Array], ([bytes]) => {
    Certificate.signatureHash(bytes)
  })

  it("a certificate with any byte changed has an answer", () => {
    const whole = certificate(oid(pss), sequence(value(0xa0, hashOid("2.16.840.1.101.3.4.2.1"))))
    for (let at = 0; at < whole.length; at++) {
      for (let byte = 0; byte < 256; byte++) {
        Certificate.signatureHash(Uint8Array.from(whole, (b, i) => i === at ? byte : b))
      }
    }
  })
})

describe("Scram.serverEndPoint", () => {
  const endPoint = (der: Uint8Array) => Effect.provide(Scram.serverEndPoint(der), NodeCrypto.layer)
  const digest = (name: string, der: Uint8Array) => new Uint8Array(createHash(name).update(der).digest())

  for (
    const [hash, certificate] of [
      ["sha256", Certificates.server],
      ["sha384", Certificates.sha384],
      ["sha512", Certificates.sha512Rsa]
    ] as const
  ) {
    it.effect(`is the ${hash} of a certificate that is signed so`, () =>
      Effect.gen(function*() {
        const der = derOf(certificate)
        assert.deepStrictEqual(yield* endPoint(der), digest(hash, der))
      }))
  }

  it.effect("is the hash that the parameters of RSASSA-PSS name", () =>
    Effect.gen(function*() {
      for (const hash of ["256", "384", "512"] as const) {
        const id = { 256: 1, 384: 2, 512: 3 }[hash]
        const der = certificate(oid(pss), sequence(value(0xa0, hashOid(`2.16.840.1.101.3.4.2.${id}`))))
        assert.deepStrictEqual(yield* endPoint(der), digest(`sha${hash}`, der))
      }
    }))

  it.effect("is SHA-224 or SHA-3 of a certificate that is signed so, of whatever length", () =>
    Effect.gen(function*() {
      const signed: Record<string, ReadonlyArray<string>> = {
        "sha224": ["1.2.840.113549.1.1.14", "1.2.840.10045.4.3.1", "2.16.840.1.101.3.4.3.1"],
        "sha3-224": ["2.16.840.1.101.3.4.3.5", "2.16.840.1.101.3.4.3.9", "2.16.840.1.101.3.4.3.13"],
        "sha3-256": ["2.16.840.1.101.3.4.3.6", "2.16.840.1.101.3.4.3.10", "2.16.840.1.101.3.4.3.14"],
        "sha3-384": ["2.16.840.1.101.3.4.3.7", "2.16.840.1.101.3.4.3.11", "2.16.840.1.101.3.4.3.15"],
        "sha3-512": ["2.16.840.1.101.3.4.3.8", "2.16.840.1.101.3.4.3.12", "2.16.840.1.101.3.4.3.16"]
      }
      for (const [hash, ids] of Object.entries(signed)) {
        for (const id of ids) {
          const der = certificate(oid(id), none)
          assert.deepStrictEqual(yield* endPoint(der), digest(hash, der))
        }
      }
      // About their blocks of 64, 72, 104, 136 and 144 bytes.
      const hashes = {
        sha224,
        "sha3-224": sha3(224),
        "sha3-256": sha3(256),
        "sha3-384": sha3(384),
        "sha3-512": sha3(512)
      }
      for (const [name, hash] of Object.entries(hashes)) {
        for (const length of [0, 55, 56, 64, 71, 72, 103, 104, 135, 136, 143, 144, 1000]) {
          const data = Uint8Array.from({ length }, (_, i) => 7 * i)
          assert.deepStrictEqual(hash(data), digest(name, data))
        }
      }
    }))

  it.effect("is SHA-256 for a certificate that is signed with MD5 or SHA-1", () =>
    Effect.gen(function*() {
      for (const id of ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"]) {
        const der = certificate(oid(id), none)
        assert.deepStrictEqual(yield* endPoint(der), digest("sha256", der))
      }
    }))

  it.effect("is undefined where there is no single hash, or no certificate", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* endPoint(derOf(Certificates.ed25519)))
      assert.isUndefined(yield* endPoint(certificate(oid("2.16.840.1.101.3.4.3.17"), none)))
      assert.isUndefined(yield* endPoint(new Uint8Array(0)))
    }))
})
