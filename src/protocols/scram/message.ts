/**
 * The four messages of SCRAM (RFC 5802 5 to 7): what they say, as pure functions of what came. No keys are computed here.
 *
 * Stricter than clients and servers at large: the order of the attributes is that of the grammar, base64 is canonical,
 * numbers have no other form than the shortest, and everything has a maximum length. What the grammar lets a later
 * version add, at its place and without a `m=`, is passed over, as the RFC asks for.
 *
 * @internal
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { concat, decodeUtf8, utf8Length } from "../../Bytes.ts"
import * as Excerpt from "../../Excerpt.ts"

/** RFC 5802 7, server-error-value, without extensions. */
export const serverErrorValues = [
  "invalid-encoding",
  "extensions-not-supported",
  "invalid-proof",
  "channel-bindings-dont-match",
  "server-does-support-channel-binding",
  "channel-binding-not-supported",
  "unsupported-channel-binding-type",
  "unknown-user",
  "invalid-username-encoding",
  "no-resources",
  "other-error"
] as const

export type ServerErrorValue = typeof serverErrorValues[number]

/** What is wrong with a message: as RFC 5802 calls it, in words, and an excerpt that shows no proof. */
export interface Violation {
  readonly error: ServerErrorValue
  readonly problem: string
  readonly excerpt: string
}

/** In bytes. Ten times what is needed, and as much work as a message can cause before anything is verified. */
export const maxMessageLength = 2048
/** In characters: what the client begins with, and what the server makes of it. */
const maxClientNonceLength = 256
const maxNonceLength = 512
/** In bytes. */
export const maxSaltLength = 256

/** RFC 5929 4. */
export const endPointType = "tls-server-end-point"

export interface ClientFirst {
  /** The channel binding flag: `n`, `y`, or the type of `p=`. */
  readonly flag: "n" | "y" | { readonly type: string }
  /** With the comma at its end. */
  readonly gs2Header: string
  /** Still escaped. */
  readonly username: string
  readonly nonce: string
  readonly bare: string
}

export interface ServerFirst {
  readonly nonce: string
  readonly salt: Uint8Array
  /** Digits, the first not 0. */
  readonly iterations: string
  readonly message: string
}

export interface ClientFinal {
  readonly channelBinding: string
  readonly nonce: string
  readonly proof: Uint8Array
  readonly withoutProof: string
}

export type ServerFinal =
  | { readonly _tag: "Verifier"; readonly signature: Uint8Array }
  | { readonly _tag: "Error"; readonly value: string }

// ---------------------------------------------------------------------------------------------------------------------
// Parts
// ---------------------------------------------------------------------------------------------------------------------

/** What is wrong, before it is said in which message. */
class Problem {
  readonly problem: string
  readonly error: ServerErrorValue
  constructor(problem: string, error: ServerErrorValue = "invalid-encoding") {
    this.problem = problem
    this.error = error
  }
}

type Parsed<A> = Result.Result<A, Problem>

const problem = (text: string, error?: ServerErrorValue) => Result.fail(new Problem(text, error))

const nonceForm = /^[\x21-\x2b\x2d-\x7e]+$/ // printable: ASCII without space and comma
const numberForm = /^[1-9][0-9]*$/
const extensionForm = /^[A-Za-z]=[^\0,]+$/
const defined = new Set("anmrcsipve")

/** RFC 5802 7, base64: with its padding, without blanks, and with zero bits where bits are left over. */
export const decodeBase64 = (text: string): Uint8Array | undefined => {
  const decoded = Result.getOrUndefined(Base64.decode(text))
  return decoded !== undefined && Base64.encode(decoded) === text ? decoded : undefined
}

/** The value of the attribute that is due at this place. RFC 5802 5.1: their order is fixed, and `m=` is refused. */
const attribute = (parts: ReadonlyArray<string>, at: number, name: string): Parsed<string> => {
  const part = parts.at(at)
  if (part === undefined) return problem(`the message ends where ${name}= is due`)
  if (part.startsWith(`${name}=`)) return Result.succeed(part.slice(2))
  return part.startsWith("m=")
    ? problem("an extension is mandatory, and none is supported", "extensions-not-supported")
    : problem(`${name}= is due at attribute ${at + 1}`)
}

/** RFC 5802 5.1: what may follow and is passed over. */
const extensions = (parts: ReadonlyArray<string>): Parsed<void> => {
  for (const part of parts) {
    if (!extensionForm.test(part)) return problem("an extension is not of the form letter=value")
    if (part[0] === "m") {
      return problem("an extension is mandatory, and none is supported", "extensions-not-supported")
    }
    if (defined.has(part[0])) return problem(`${part[0]}= is not due at this place`)
  }
  return Result.void
}

/** RFC 5802 5.1, r. */
const nonce = (value: string, maxLength: number): Parsed<string> =>
  value.length > maxLength
    ? problem(`the nonce is longer than ${maxLength} characters`)
    : nonceForm.test(value)
    ? Result.succeed(value)
    : problem("the nonce is not printable ASCII")

const base64 = (value: string, what: string): Parsed<Uint8Array> => {
  const bytes = decodeBase64(value)
  return bytes === undefined ? problem(`the ${what} is not base64`) : Result.succeed(bytes)
}

const key = (value: string, what: string): Parsed<Uint8Array> =>
  Result.flatMap(
    base64(value, what),
    (bytes) => bytes.length === 32 ? Result.succeed(bytes) : problem(`the ${what} is not 32 bytes long`)
  )

// ---------------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------------

/** The names of the attributes, where nobody may see their values: who logs in, with which proof, or by mistake a password. */
const shape = (text: string): string =>
  Excerpt.ofText(
    text.split(",").map((part) => /^[A-Za-z]=/.test(part) ? `${part[0]}=…` : "…").join(","),
    Excerpt.maxExcerpt
  )

const parse = <A>(
  name: string,
  message: Uint8Array | string,
  isSecret: boolean,
  parser: (text: string) => Parsed<A>
): Result.Result<A, Violation> => {
  const violation = (problem: string, excerpt: string, error: ServerErrorValue = "invalid-encoding") =>
    Result.fail({ error, problem: `${name}: ${problem}`, excerpt })
  const length = typeof message === "string" ? utf8Length(message) : message.length
  if (length > maxMessageLength) {
    return violation(`the message is longer than ${maxMessageLength} bytes`, `${length} bytes`)
  }
  const text = typeof message === "string" ? message : decodeUtf8(message, 0, message.length)
  if (text === undefined || !text.isWellFormed()) return violation("the message is not UTF-8", `${length} bytes`)
  const excerpt = isSecret ? shape(text) : Excerpt.ofString(text)
  if (text.includes("\0")) return violation("there is a NUL in the message", excerpt)
  const parsed = parser(text)
  return Result.isFailure(parsed)
    ? violation(parsed.failure.problem, excerpt, parsed.failure.error)
    : Result.succeed(parsed.success)
}

const flagForm = /^(?:n|y|p=([A-Za-z0-9.-]+))$/

/** RFC 5802 7, client-first-message, such as `n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL`. */
export const parseClientFirst = (message: Uint8Array | string): Result.Result<ClientFirst, Violation> =>
  parse("client-first-message", message, true, (text) => {
    const [flagPart, authzid, ...parts] = text.split(",")
    const flag = flagForm.exec(flagPart)
    if (flag === null) return problem("it does not begin with a channel binding flag (n, y or p=)")
    if (authzid === undefined) return problem("the message ends within its GS2 header")
    if (authzid.startsWith("a=")) {
      return problem("an authorization identity is not supported", "extensions-not-supported")
    }
    if (authzid !== "") return problem("the GS2 header is not of the form flag,,")
    return Result.gen(function*() {
      const username = yield* attribute(parts, 0, "n")
      const value = yield* Result.flatMap(attribute(parts, 1, "r"), (value) => nonce(value, maxClientNonceLength))
      yield* extensions(parts.slice(2))
      return {
        flag: flag[1] === undefined ? flag[0] as "n" | "y" : { type: flag[1] }, // by its form
        gs2Header: `${flagPart},,`,
        username,
        nonce: value,
        bare: parts.join(",")
      }
    })
  })

/** RFC 5802 7, server-first-message, such as `r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096`. */
export const parseServerFirst = (message: Uint8Array | string): Result.Result<ServerFirst, Violation> =>
  parse("server-first-message", message, false, (text) => {
    const parts = text.split(",")
    return Result.gen(function*() {
      const value = yield* Result.flatMap(attribute(parts, 0, "r"), (value) => nonce(value, maxNonceLength))
      const salt = yield* Result.flatMap(attribute(parts, 1, "s"), (salt) => base64(salt, "salt"))
      if (salt.length > maxSaltLength) return yield* problem(`the salt is longer than ${maxSaltLength} bytes`)
      const iterations = yield* attribute(parts, 2, "i")
      if (!numberForm.test(iterations)) return yield* problem("the iteration count is not a positive number")
      yield* extensions(parts.slice(3))
      return { nonce: value, salt, iterations, message: text }
    })
  })

/**
 * RFC 5802 7, client-final-message, such as
 * `c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=`.
 */
export const parseClientFinal = (message: Uint8Array | string): Result.Result<ClientFinal, Violation> =>
  parse("client-final-message", message, true, (text) => {
    const parts = text.split(",")
    return Result.gen(function*() {
      const channelBinding = yield* attribute(parts, 0, "c")
      yield* base64(channelBinding, "channel binding")
      const value = yield* Result.flatMap(attribute(parts, 1, "r"), (value) => nonce(value, maxNonceLength))
      const last = Math.max(2, parts.length - 1)
      const proof = yield* Result.flatMap(attribute(parts, last, "p"), (proof) => key(proof, "proof"))
      yield* extensions(parts.slice(2, last))
      return { channelBinding, nonce: value, proof, withoutProof: parts.slice(0, last).join(",") }
    })
  })

/** RFC 5802 7, server-final-message: `v=` with the server's signature, or `e=` with an error. */
export const parseServerFinal = (message: Uint8Array | string): Result.Result<ServerFinal, Violation> =>
  parse("server-final-message", message, true, (text) => {
    const parts = text.split(",")
    return Result.gen(function*() {
      if (parts[0].startsWith("e=")) {
        yield* extensions(parts.slice(1))
        return { _tag: "Error" as const, value: parts[0].slice(2) }
      }
      const signature = yield* Result.flatMap(attribute(parts, 0, "v"), (value) => key(value, "server's signature"))
      yield* extensions(parts.slice(1))
      return { _tag: "Verifier" as const, signature }
    })
  })

// ---------------------------------------------------------------------------------------------------------------------
// Names and bindings
// ---------------------------------------------------------------------------------------------------------------------

/** RFC 5802 5.1, n, saslname: a comma and an equals sign have another form, so that they end nothing. */
export const escapeName = (name: string): string => name.replaceAll("=", "=3D").replaceAll(",", "=2C")

/** The name behind a saslname; undefined where an `=` begins no escape. */
export const unescapeName = (escaped: string): string | undefined =>
  /=(?!2C|3D)/.test(escaped) ? undefined : escaped.replaceAll("=2C", ",").replaceAll("=3D", "=")

/** RFC 5802 5.1, c, cbind-input in base64: what a client has said of the channel, and what it sees of it. */
export const channelBinding = (gs2Header: string, data: Uint8Array | undefined): string => {
  const header = new TextEncoder().encode(gs2Header)
  return Base64.encode(data === undefined ? header : concat([header, data]))
}
