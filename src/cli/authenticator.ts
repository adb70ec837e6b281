/**
 * Who may log in to `serve postgres`, as the flags and the file of users say.
 *
 * @internal
 */
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Postgres from "../protocols/Postgres.ts"
import * as Flags from "./flags.ts"
import * as HangUp from "./hangUp.ts"
import * as TlsFlags from "./tls.ts"
import * as UserFlags from "./users.ts"

/** A user, as the flag or the line says it. What is wrong with it is said without it: it may be a password. */
const userOf = (
  where: string,
  user: string,
  secret: string,
  auth: UserFlags.UserFlags["auth"]
): Effect.Effect<Postgres.User, Flags.Exited> => {
  const value = Redacted.make(secret)
  const stored = Postgres.parseStored(value)
  if (Result.isFailure(stored)) {
    return secret.startsWith("SCRAM-SHA-256$")
      ? Flags.failing(`${where}: what begins like a SCRAM verifier is none`, Flags.usage)
      : Effect.succeed({ user, password: value })
  }
  const [what, useful] = stored.success._tag === "Scram"
    ? ["a SCRAM verifier", "scram-sha-256"]
    : ["an MD5 hash", "md5"]
  return auth === useful || auth === "password" || auth === "trust"
    ? Effect.succeed({ user, stored: value })
    : Flags.failing(`${where}: ${what} is of no use with --auth ${auth}`, Flags.usage)
}

/** `NAME:SECRET`; a secret may have colons in it, a name may not. */
const split = (text: string): readonly [name: string, secret: string | undefined] => {
  const colon = text.indexOf(":")
  return colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)]
}

const fromFlag = Effect.fnUntraced(function*(flag: Redacted.Redacted<string>, auth: UserFlags.UserFlags["auth"]) {
  const [name, secret] = split(Redacted.value(flag))
  if (name === "") return yield* Flags.failing("--user needs a name, as in --user ann:secret", Flags.usage)
  if (secret !== undefined) return yield* userOf(`--user ${name}`, name, secret, auth)
  const password = yield* UserFlags.environmentPassword
  if (Option.isSome(password)) return { user: name, password: password.value }
  return yield* Flags.failing(`--user ${name} has no password: give one, or set PGPASSWORD`, Flags.usage)
})

const fromFile = Effect.fnUntraced(function*(path: string, auth: UserFlags.UserFlags["auth"]) {
  const lines = (yield* TlsFlags.read(path)).split(/\r?\n/)
  const users: Array<Postgres.User> = []
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue
    const where = `${path}, line ${index + 1}`
    const [name, secret] = split(line)
    if (name === "" || secret === undefined) {
      return yield* Flags.failing(`${where}: a user is NAME:PASSWORD`, Flags.usage)
    }
    users.push(yield* userOf(where, name, secret, auth))
  }
  return users
})

type Users = Layer.Layer<Postgres.Authenticator, Flags.Exited, Postgres.Crypto>

/** The users that the flags and the file tell of now. */
const told = Effect.fnUntraced(
  function*({ auth, user, users }: UserFlags.UserFlags): Effect.fn.Return<Users, Flags.Exited, FileSystem.FileSystem> {
    const known: Array<Postgres.User> = []
    if (Option.isSome(users)) known.push(...yield* fromFile(users.value, auth))
    for (const flag of user) known.push(yield* fromFlag(flag, auth))
    const twice = known.find((one, index) => known.some((other, before) => before < index && other.user === one.user))
    if (twice !== undefined) return yield* Flags.failing(`there is more than one user ${twice.user}`, Flags.usage)
    if (auth === "trust") {
      if (known.length === 0) return Postgres.layerTrust
      return yield* Flags.failing("--auth trust lets in everybody: there are no users to be named", Flags.usage)
    }
    if (known.length === 0) {
      return yield* Flags.failing("nobody could log in: give --user, --users, or --auth trust", Flags.usage)
    }
    return Layer.catch(
      Postgres.layerUsers(known, { method: auth }),
      (error) =>
        Layer.effect(
          Postgres.Authenticator,
          Flags.failing(`a user cannot be taken: ${error.message}`, Flags.usage)
        )
    )
  }
)

/** Users that are read again on SIGHUP, for the logins from then on: who is logged in stays. */
const readAgain = (flags: UserFlags.UserFlags, first: Users) =>
  Layer.effect(
    Postgres.Authenticator,
    Effect.gen(function*() {
      const made = (users: Users) => Effect.map(Layer.build(users), Context.get(Postgres.Authenticator))
      let current = yield* made(first)
      yield* HangUp.onHangUp(Effect.matchEffect(Effect.flatMap(told(flags), made), {
        // It was said why.
        onFailure: () => Console.error("the users stay who they were"),
        onSuccess: (authenticator) => {
          current = authenticator
          return Console.log("users read again")
        }
      }))
      return { lookup: (request) => current.lookup(request) }
    })
  )

/** The users of a server. */
export const layer = Effect.fnUntraced(function*(flags: UserFlags.UserFlags): Effect.fn.Return<
  Layer.Layer<Postgres.Authenticator, Flags.Exited, Postgres.Crypto | FileSystem.FileSystem>,
  Flags.Exited,
  FileSystem.FileSystem
> {
  const first = yield* told(flags)
  return Option.isNone(flags.users) ? first : readAgain(flags, first)
})
