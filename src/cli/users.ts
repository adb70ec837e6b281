/**
 * The flags that say who may log in to `serve postgres`, and a password that is on no command line.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

const methods = ["scram-sha-256", "md5", "password", "trust"] as const

export const flags = (auth: typeof methods[number]) => ({
  user: Flag.Redacted("user").pipe(
    Flag.withMetavar("NAME[:PASSWORD]"),
    Flag.withDescription("A user; without a password that of PGPASSWORD. More than once for more than one"),
    Flag.between(0, 1000)
  ),
  users: Flag.Path("users", { typeName: "file" }).pipe(
    Flag.withDescription(
      "A file of users, NAME:PASSWORD or NAME:SCRAM-SHA-256$… or NAME:md5… in each line; # begins a comment; read again on SIGHUP"
    ),
    Flag.optional
  ),
  auth: Flag.Literals("auth", methods).pipe(
    Flag.withDescription(`How users prove who they are; trust lets in everybody (default ${auth})`),
    Flag.withDefault(auth)
  )
})

export interface UserFlags {
  readonly user: ReadonlyArray<Redacted.Redacted<string>>
  readonly users: Option.Option<string>
  readonly auth: typeof methods[number]
}

/** `PGPASSWORD`, as the programs of PostgreSQL have it. */
export const environmentPassword: Effect.Effect<Option.Option<Redacted.Redacted<string>>> = Effect.sync(() =>
  Option.map(Option.fromUndefinedOr(process.env.PGPASSWORD), (password) => Redacted.make(password))
)
