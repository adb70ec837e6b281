/**
 * What has to be read from a certificate (X.509, RFC 5280) itself: by which hash it was signed.
 *
 * @internal
 */

/** One value of DER: its tag, where its content begins and ends, and where the next value begins. */
interface Value {
  readonly tag: number
  readonly from: number
  readonly to: number
}

const tags = { sequence: 0x30, objectIdentifier: 0x06, explicit0: 0xa0 }

/**
 * The value that begins at `at` and ends at or before `end`; undefined where there is none.
 *
 * Tags of more than one byte do not come up here. Of the ways to say a length DER has only the shortest (X.690 10.1).
 */
const valueAt = (der: Uint8Array, at: number, end: number): Value | undefined => {
  if (at + 2 > end || (der[at] & 0x1f) === 0x1f) return undefined
  const first = der[at + 1]
  let from = at + 2
  let length = first
  if (first >= 0x80) {
    const width = first & 0x7f
    if (width === 0 || width > 4 || from + width > end) return undefined
    length = 0
    for (let i = 0; i < width; i++) length = length * 256 + der[from + i]
    if (length < 0x80 || length < 256 ** (width - 1)) return undefined
    from += width
  }
  return length <= end - from ? { tag: der[at], from, to: from + length } : undefined
}

const expect = (der: Uint8Array, at: number, end: number, tag: number): Value | undefined => {
  const value = valueAt(der, at, end)
  return value?.tag === tag ? value : undefined
}

/** No object identifier that is looked for is longer, in bytes. */
const maxName = 16

const hex = (der: Uint8Array, { from, to }: Value): string => {
  let text = ""
  for (let i = from; i < Math.min(to, from + maxName); i++) text += der[i].toString(16).padStart(2, "0")
  return text
}

/** A hash function by its name in FIPS 180-4 and FIPS 202. */
export type Hash =
  | "MD5"
  | "SHA-1"
  | "SHA-224"
  | "SHA-256"
  | "SHA-384"
  | "SHA-512"
  | "SHA3-224"
  | "SHA3-256"
  | "SHA3-384"
  | "SHA3-512"

const hashes: ReadonlyMap<string, Hash> = new Map([
  ["2a864886f70d0205", "MD5"], // 1.2.840.113549.2.5
  ["2b0e03021a", "SHA-1"], // 1.3.14.3.2.26
  ["608648016503040204", "SHA-224"], // 2.16.840.1.101.3.4.2.4
  ["608648016503040201", "SHA-256"], // 2.16.840.1.101.3.4.2.1
  ["608648016503040202", "SHA-384"], // 2.16.840.1.101.3.4.2.2
  ["608648016503040203", "SHA-512"], // 2.16.840.1.101.3.4.2.3
  ["608648016503040207", "SHA3-224"], // 2.16.840.1.101.3.4.2.7
  ["608648016503040208", "SHA3-256"], // 2.16.840.1.101.3.4.2.8
  ["608648016503040209", "SHA3-384"], // 2.16.840.1.101.3.4.2.9
  ["60864801650304020a", "SHA3-512"] // 2.16.840.1.101.3.4.2.10
])

// RFC 3279, RFC 4055, RFC 5758, RFC 9688 and NIST's register of algorithms. EdDSA (RFC 8410) hashes as a part of signing, and has no hash of its own.
const signatures: ReadonlyMap<string, Hash> = new Map([
  ["2a864886f70d010104", "MD5"], // md5WithRSAEncryption, 1.2.840.113549.1.1.4
  ["2a864886f70d010105", "SHA-1"], // sha1WithRSAEncryption
  ["2a864886f70d01010e", "SHA-224"], // sha224WithRSAEncryption
  ["2a864886f70d01010b", "SHA-256"], // sha256WithRSAEncryption
  ["2a864886f70d01010c", "SHA-384"], // sha384WithRSAEncryption
  ["2a864886f70d01010d", "SHA-512"], // sha512WithRSAEncryption
  ["2a8648ce3d0401", "SHA-1"], // ecdsa-with-SHA1, 1.2.840.10045.4.1
  ["2a8648ce3d040301", "SHA-224"], // ecdsa-with-SHA224, 1.2.840.10045.4.3.1
  ["2a8648ce3d040302", "SHA-256"], // ecdsa-with-SHA256
  ["2a8648ce3d040303", "SHA-384"], // ecdsa-with-SHA384
  ["2a8648ce3d040304", "SHA-512"], // ecdsa-with-SHA512
  ["2a8648ce380403", "SHA-1"], // dsa-with-sha1, 1.2.840.10040.4.3
  ["608648016503040301", "SHA-224"], // dsa-with-sha224, 2.16.840.1.101.3.4.3.1
  ["608648016503040302", "SHA-256"], // dsa-with-sha256
  ["608648016503040303", "SHA-384"], // dsa-with-sha384
  ["608648016503040304", "SHA-512"], // dsa-with-sha512
  ["608648016503040305", "SHA3-224"], // dsa-with-sha3-224, 2.16.840.1.101.3.4.3.5
  ["608648016503040306", "SHA3-256"], // dsa-with-sha3-256
  ["608648016503040307", "SHA3-384"], // dsa-with-sha3-384
  ["608648016503040308", "SHA3-512"], // dsa-with-sha3-512
  ["608648016503040309", "SHA3-224"], // ecdsa-with-sha3-224, 2.16.840.1.101.3.4.3.9
  ["60864801650304030a", "SHA3-256"], // ecdsa-with-sha3-256
  ["60864801650304030b", "SHA3-384"], // ecdsa-with-sha3-384
  ["60864801650304030c", "SHA3-512"], // ecdsa-with-sha3-512
  ["60864801650304030d", "SHA3-224"], // rsassa-pkcs1-v1-5-with-sha3-224, 2.16.840.1.101.3.4.3.13
  ["60864801650304030e", "SHA3-256"], // rsassa-pkcs1-v1-5-with-sha3-256
  ["60864801650304030f", "SHA3-384"], // rsassa-pkcs1-v1-5-with-sha3-384
  ["608648016503040310", "SHA3-512"] // rsassa-pkcs1-v1-5-with-sha3-512
])

const rsaPss = "2a864886f70d01010a" // id-RSASSA-PSS, 1.2.840.113549.1.1.10

/** RSASSA-PSS-params (RFC 4055 3.1): the hash is the first of the optional fields, and SHA-1 where it is left out. */
const pssHash = (der: Uint8Array, at: number, end: number): Hash | undefined => {
  const params = expect(der, at, end, tags.sequence)
  if (params === undefined) return undefined
  if (params.from === params.to) return "SHA-1"
  const field = valueAt(der, params.from, params.to)
  if (field === undefined) return undefined
  if (field.tag !== tags.explicit0) return "SHA-1"
  const algorithm = expect(der, field.from, field.to, tags.sequence)
  const name = algorithm && expect(der, algorithm.from, algorithm.to, tags.objectIdentifier)
  return name && hashes.get(hex(der, name))
}

/**
 * The hash function of a certificate's signature; undefined where it has none, or is not known, or where the bytes are no
 * certificate.
 *
 * Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, parameters },
 * signatureValue BIT STRING }
 */
export const signatureHash = (der: Uint8Array): Hash | undefined => {
  const certificate = expect(der, 0, der.length, tags.sequence)
  if (certificate?.to !== der.length) return undefined
  const signed = expect(der, certificate.from, certificate.to, tags.sequence)
  const algorithm = signed && expect(der, signed.to, certificate.to, tags.sequence)
  if (algorithm === undefined) return undefined
  const name = expect(der, algorithm.from, algorithm.to, tags.objectIdentifier)
  if (name === undefined) return undefined
  const id = hex(der, name)
  return id === rsaPss ? pssHash(der, name.to, algorithm.to) : signatures.get(id)
}
