/**
 * The laws of PostgreSQL's start-up in clear, by one method. Each method has a file of tests, so that they run side by side.
 */
import { describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../../../../src/Codec.ts"
import * as Postgres from "../../../../src/protocols/Postgres.ts"
import * as Codecs from "../../../../src/protocols/postgres/codecs.ts"
import * as Laws from "../../../../src/testing/Laws.ts"
import type * as Rung from "../../../../src/testing/Rung.ts"
import { utf8 } from "../../../support/conversation.ts"
import * as Law from "../../../support/laws.ts"
import * as Crypto from "../crypto.ts"

const user = "ann"
const password = "correct horse"

const authenticators = (method: Postgres.Method): Layer.Layer<Postgres.Authenticator, unknown, Postgres.Crypto> =>
  method === "trust"
    ? Postgres.layerTrust
    // What is stored for `password` is an MD5 hash, which is compared without deriving a key.
    : Postgres.layerUsers(
      [{ user, password: Redacted.make(password) }],
      { method, iterations: 1 }
    )

/** Built once: the laws give a handshake nothing but a socket. */
const context = Effect.runSync(Effect.scoped(Layer.build(Crypto.layer)))

const provided = (method: Postgres.Method) =>
  Effect.runSync(
    Effect.scoped(Layer.build(Layer.provide(authenticators(method), Layer.succeedContext(context))) as Effect.Effect<
      Context.Context<Postgres.Authenticator>
    >)
  )

const all = <In>(codec: Codec.Codec<In, never>, bytes: Uint8Array): ReadonlyArray<In> | undefined => {
  try {
    const frames = Codec.decodeAll(codec, bytes)
    return frames.length === 0 ? undefined : frames
  } catch {
    return undefined
  }
}

/**
 * Whether a server can take it for a start-up message: of this user, or of whoever gives a name where anybody is let in. The
 * database, the minor version and the other parameters are the client's own concern.
 */
const isStartup = (bytes: Uint8Array, of?: string): boolean => {
  const [first, ...rest] = all(Codecs.startup, bytes) ?? []
  if (first?._tag !== "StartupMessage" || rest.length > 0) return false
  const named = first.parameters.get("user") ?? ""
  return of === undefined ? named !== "" : named === of
}

const session: ReadonlyArray<string> = ["ParameterStatus", "BackendKeyData", "ReadyForQuery"]

/**
 * Whether a client can take it behind its authentication, where another message was due: the server tells what it likes, in
 * any order. That it has one key only, the other tests see to.
 */
const isSession = (said: Uint8Array, due: Uint8Array): boolean => {
  const [dueFirst] = all(Codecs.backend(), due) ?? []
  const frames = all(Codecs.backend(), said) ?? []
  return dueFirst !== undefined && session.includes(dueFirst._tag) && frames.length > 0 &&
    Codec.encodeAll(Codecs.backend(), frames).length === said.length &&
    frames.every((frame) => session.includes(frame._tag) && (frame._tag !== "ReadyForQuery" || frame.status === "idle"))
}

/** Whether a client finds the mechanism in it that it is to use: what else a server offers is the server's own concern. */
const offersScram = (said: Uint8Array): boolean => {
  const [first, ...rest] = all(Codecs.backend(), said) ?? []
  return first?._tag === "AuthenticationSASL" && first.mechanisms.includes("SCRAM-SHA-256") && rest.length === 0
}

/** Two of what the server tells of itself stand for all: each more is as many cases again. */
const told = Object.fromEntries(
  [
    "application_name",
    "session_authorization",
    "server_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "default_transaction_read_only",
    "in_hot_standby",
    "is_superuser",
    "scram_iterations",
    "search_path"
  ].map((name) => [name, undefined])
)

/** Registers the laws of a start-up by this method, on these rungs. */
export const laws = ({ method, rungs, runs = Law.runs, version }: {
  readonly method: Postgres.Method
  readonly version: "3.0" | "3.2"
  readonly rungs: ReadonlyArray<Rung.Rung>
  readonly runs?: number
}): void => {
  describe(`${method}, protocol ${version}`, () => {
    const services = Context.merge(context, provided(method))
    const { client, server } = Postgres.make({
      client: {
        user,
        password: Redacted.make(password),
        sslmode: "disable",
        requireAuth: [method],
        minIterations: 1,
        maxProtocolVersion: version
      },
      server: { parameters: told }
    })
    Laws.handshake<Postgres.ServerTransport, Postgres.ClientTransport>({
      name: "postgres",
      it: Law.it,
      rungs,
      runs,
      server: Effect.provideContext(server, services) as Effect.Effect<
        Postgres.ServerTransport,
        unknown,
        Socket.Socket | Scope.Scope
      >,
      client: Effect.provideContext(client, services),
      // Whatever it has to say, it says in an ErrorResponse, and that ends so.
      refusal: { server: Uint8Array.of(0, 0) },
      secrets: method === "trust" ? [] : [Redacted.make(password)],
      fresh: method === "scram-sha-256" ? { server: true, client: true } : method === "md5" ? { server: true } : {},
      negotiated: {
        server: ({ session }) => [session.user, session.authentication, session.protocolVersion, session.backendKey],
        client: ({ session }) => [session.user, session.authentication, session.protocolVersion, session.backendKey]
      },
      wrong: {
        server: [utf8("GET / HTTP/1.1\r\n\r\n"), Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1)],
        client: [
          Codec.encodeAll(Codecs.backend(), [{ _tag: "AuthenticationOk" }, {
            _tag: "ReadyForQuery",
            status: "failed"
          }]),
          Codec.encodeAll(Codecs.backend(), [{
            _tag: "ErrorResponse",
            severity: "FATAL",
            code: "53300",
            message: "sorry, too many clients already"
          }])
        ]
      },
      accepts: ({ due, index, said, side }) =>
        side === "client"
          ? isSession(said, due) || index === 0 && offersScram(said)
          : index === 0 && isStartup(said, method === "trust" ? undefined : user)
    })
  })
}
