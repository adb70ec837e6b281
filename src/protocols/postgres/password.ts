/**
 * What PostgreSQL keeps of a password (`pg_authid.rolpassword`), and its MD5 method.
 *
 * @internal
 */
import * as Digest from "effect/crypto/Digest"
import type * as Kdf from "effect/crypto/Kdf"
import * as Mac from "effect/crypto/Mac"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { concat } from "../../Bytes.ts"
import * as Excerpt from "../../Excerpt.ts"
import { type AuthenticationFailed, MalformedFrame } from "../../HandshakeError.ts"
import * as Scram from "../Scram.ts"
import * as Keys from "../scram/keys.ts"
import * as Message from "../scram/message.ts"

/** A verifier of SCRAM, or the MD5 of password and user: 32 digits, without the `md5` before them. */
export type StoredPassword = ScramPassword | Md5Password

interface ScramPassword {
  readonly _tag: "Scram"
  readonly verifier: Scram.Verifier
}

interface Md5Password {
  readonly _tag: "Md5"
  readonly hash: Redacted.Redacted<string>
}

// ---------------------------------------------------------------------------------------------------------------------
// As it is stored
// ---------------------------------------------------------------------------------------------------------------------

const scramForm =
  /^SCRAM-SHA-256\$([1-9][0-9]{0,9}):([A-Za-z0-9+/=]{1,344})\$([A-Za-z0-9+/=]{44}):([A-Za-z0-9+/=]{44})$/
const md5Form = /^md5([0-9a-f]{32})$/

/** Reads `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey` or `md5` and 32 digits. */
export const parse = (rolpassword: Redacted.Redacted<string>): Result.Result<StoredPassword, MalformedFrame> => {
  const text = Redacted.value(rolpassword)
  const md5 = md5Form.exec(text)
  if (md5 !== null) return Result.succeed({ _tag: "Md5", hash: Redacted.make(md5[1]) })
  const verifier = parseVerifier(text)
  return verifier === undefined
    ? Result.fail(
      new MalformedFrame({
        problem: "neither a SCRAM-SHA-256 verifier nor an MD5 hash",
        excerpt: Excerpt.redacted,
        fault: "local"
      })
    )
    : Result.succeed({ _tag: "Scram", verifier })
}

const parseVerifier = (text: string): Scram.Verifier | undefined => {
  const parts = scramForm.exec(text)
  if (parts === null) return undefined
  const iterations = Number(parts[1])
  const [salt, storedKey, serverKey] = parts.slice(2).map(Message.decodeBase64)
  return iterations <= 0x7fff_ffff && salt !== undefined && isKey(storedKey) && isKey(serverKey)
    ? { iterations, salt, storedKey: Redacted.make(storedKey), serverKey: Redacted.make(serverKey) }
    : undefined
}

const isKey = (bytes: Uint8Array | undefined): bytes is Uint8Array => bytes?.length === Keys.keyLength

/** Writes what `parse` reads. */
export const format = (stored: StoredPassword): Redacted.Redacted<string> => {
  if (stored._tag === "Md5") return Redacted.make(`md5${Redacted.value(stored.hash)}`)
  const { iterations, salt, serverKey, storedKey } = stored.verifier
  const keys = `${Base64.encode(Redacted.value(storedKey))}:${Base64.encode(Redacted.value(serverKey))}`
  return Redacted.make(`SCRAM-SHA-256$${iterations}:${Base64.encode(salt)}$${keys}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// MD5
// ---------------------------------------------------------------------------------------------------------------------

const hexOf = (data: Uint8Array): Effect.Effect<string, never, Digest.Digest> =>
  Effect.flatMap(Digest.Digest, (digest) => digest.digestHex(Digest.md5, data))

/** md5(password + user), as it is stored. */
export const md5 = (
  user: string,
  password: Redacted.Redacted<string>
): Effect.Effect<Md5Password, never, Digest.Digest> =>
  Effect.suspend(() =>
    Effect.map(
      hexOf(Keys.utf8(Redacted.value(password) + user)),
      (hash): Md5Password => ({ _tag: "Md5", hash: Redacted.make(hash) })
    )
  )

/** For a user that is not there: no password has this hash, and it is always the same. See `Scram.mock`. */
export const md5Mock = (
  user: string,
  secret: Redacted.Redacted<Uint8Array>
): Effect.Effect<Md5Password, AuthenticationFailed, Mac.Mac> =>
  Effect.map(
    Keys.mock(secret, "PostgreSQL md5", user),
    (bytes): Md5Password => ({ _tag: "Md5", hash: Redacted.make(Hex.encode(bytes.subarray(0, 16))) })
  )

/** `md5` + md5(md5(password + user) + salt): that the client knows what is stored, once. */
const answerTo = (stored: Md5Password, salt: Uint8Array): Effect.Effect<string, never, Digest.Digest> =>
  Effect.suspend(() =>
    Effect.map(hexOf(concat([Keys.utf8(Redacted.value(stored.hash)), salt])), (hash) => `md5${hash}`)
  )

/** What a client answers to AuthenticationMD5Password with this salt. */
export const md5Answer = (
  user: string,
  password: Redacted.Redacted<string>,
  salt: Uint8Array
): Effect.Effect<Redacted.Redacted<string>, never, Digest.Digest> =>
  Effect.map(Effect.flatMap(md5(user, password), (stored) => answerTo(stored, salt)), (answer) => Redacted.make(answer))

/** Whether a client's answer is the right one, in constant time. */
export const md5Verify = (
  stored: Md5Password,
  salt: Uint8Array,
  answer: Redacted.Redacted<string>
): Effect.Effect<boolean, never, Digest.Digest> =>
  Effect.map(answerTo(stored, salt), (expected) => isSame(expected, Redacted.value(answer)))

const isSame = (a: string, b: string): boolean => Mac.timingSafeEqual(Keys.utf8(a), Keys.utf8(b))

// ---------------------------------------------------------------------------------------------------------------------
// In clear
// ---------------------------------------------------------------------------------------------------------------------

/** Whether a password in clear is the one that is stored, in either form. An empty one never is. */
export const verify = (
  stored: StoredPassword,
  user: string,
  password: Redacted.Redacted<string>
): Effect.Effect<boolean, AuthenticationFailed, Kdf.Kdf | Mac.Mac | Digest.Digest> => {
  if (stored._tag === "Scram") return Scram.verify(stored.verifier, password, { preparation: "postgres" })
  return Effect.map(
    md5(user, password),
    ({ hash }) => isSame(Redacted.value(hash), Redacted.value(stored.hash)) && Redacted.value(password) !== ""
  )
}
