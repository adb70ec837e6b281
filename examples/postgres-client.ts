/**
 * The client's side of PostgreSQL's start-up: it logs in over TLS with SCRAM that is bound to the connection, asks, and
 * tells by its type why it was not let in. What it will not do whoever asks for it: say the password in clear.
 * The server is one of this package.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Deferred, Effect, Layer, Redacted, Stream } from "effect"
import { Client, Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Postgres from "effect-handshake/protocols/Postgres"
import { Socket } from "effect/socket"
// Those of the tests. Yours are PEM texts, from a file or a service.
import * as Certificates from "./certificates/index.ts"

// --- A server that answers every query with one row, and tells when somebody wants a query to be cancelled ---

const answer = (message: Postgres.RequestMessage): ReadonlyArray<Postgres.BackendMessage> =>
  message._tag === "Query"
    ? [
      { _tag: "RowDescription", fields: [] },
      { _tag: "DataRow", values: [new TextEncoder().encode(`asked: ${message.sql}`)] },
      { _tag: "CommandComplete", command: "SELECT 1" },
      { _tag: "ReadyForQuery", status: "idle" }
    ]
    : []

const serving = (options: Postgres.ServerOptions, method: "scram-sha-256" | "password") =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      Server.layer({
        handshake: Postgres.server(options),
        serve: (transport) => Stream.runForEach(transport.incoming, (message) => transport.sendAll(answer(message)))
      }).pipe(
        Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })),
        Layer.provide(Postgres.layerUsers([{ user: "ann", password: Redacted.make("correct horse") }], { method }))
      )
    )
    const { address } = yield* Effect.provide(Server.Server, context)
    return Net.socket(address)
  })

// --- The client ---

const login = {
  user: "ann",
  password: Redacted.make("correct horse"),
  database: "shop",
  host: "localhost",
  ca: Certificates.root
} satisfies Postgres.ClientOptions

/** Asks, and collects the rows up to where the server is ready again. */
const query = Effect.fnUntraced(function*(transport: Postgres.ClientTransport, sql: string) {
  yield* transport.send({ _tag: "Query", sql })
  const rows: Array<string> = []
  for (;;) {
    const message = yield* transport.receive
    if (message._tag === "DataRow") rows.push(message.values.map((value) => Buffer.from(value ?? []).toString()).join())
    if (message._tag === "ErrorResponse") return yield* Effect.fail(message)
    if (message._tag === "ReadyForQuery") return rows
  }
})

const logIn = (socket: Effect.Effect<Socket.Socket>, options: Postgres.ClientOptions) =>
  Client.connect({
    handshake: Postgres.client(options),
    sockets: [socket],
    // What the handshake ends with, as it is
    client: Effect.succeed
  })

/** What comes of a login, told by what went wrong. */
const outcome = (socket: Effect.Effect<Socket.Socket>, options: Postgres.ClientOptions) =>
  logIn(socket, options).pipe(
    Effect.map(({ session }) => `logged in by ${session.authentication}`),
    Effect.catchReasons("HandshakeError", {
      // The server has said no, with a SQLSTATE.
      Rejected: ({ code, said }) => Effect.succeed(`${code ?? "no"}: ${said}`),
      // This side did not go on, or the server could not prove that it knows the password.
      AuthenticationFailed: ({ detail, method }) => Effect.succeed(`not by ${method}: ${detail}`),
      TlsFailure: ({ kind }) => Effect.succeed(`TLS: ${kind}`)
    }),
    Effect.scoped
  )

const program = Effect.gen(function*() {
  const cancelled = yield* Deferred.make<string>()
  const server = yield* serving({
    tls: { certificate: Certificates.server },
    databases: ["shop"],
    onCancel: ({ user }) => Deferred.succeed(cancelled, user)
  }, "scram-sha-256")

  yield* Effect.scoped(Effect.gen(function*() {
    // `sslmode` is `verify-full` unless told otherwise.
    const transport = yield* logIn(server, { ...login, channelBinding: "require", maxProtocolVersion: "3.2" })
    const { authentication, backendKey, channelBound, parameters, protocolVersion, tls } = transport.session
    console.log(`${authentication}, bound to the connection: ${channelBound}`)
    // => scram-sha-256, bound to the connection: true
    console.log(`${tls?.version}, protocol ${protocolVersion}, server ${parameters.get("server_version")}`)
    // => TLSv1.3, protocol 3.2, server 18.0
    console.log(yield* query(transport, "select 1")) // => [ 'asked: select 1' ]

    // A query is cancelled over a connection of its own, encrypted as this one.
    if (backendKey !== undefined) {
      yield* Postgres.cancel(backendKey, login).pipe(Effect.provideServiceEffect(Socket.Socket, server))
    }
    console.log(`a query of ${yield* Deferred.await(cancelled)} is to be cancelled`)
    // => a query of ann is to be cancelled
    yield* transport.send({ _tag: "Terminate" })
  }))

  // Why not?
  console.log(yield* outcome(server, { ...login, password: Redacted.make("a guess") }))
  // => 28P01: password authentication failed for user "ann"
  console.log(yield* outcome(server, { ...login, database: "bank" }))
  // => 3D000: database "bank" does not exist
  console.log(yield* outcome(server, { ...login, host: "example.com" }))
  // => TLS: wrong-name

  // A server without TLS, or somebody in between who says so. Without TLS it does not hear the password either.
  const other = yield* serving({}, "password")
  console.log(yield* outcome(other, login))
  // => no: no TLS, which sslmode "verify-full" needs
  console.log(yield* outcome(other, { ...login, sslmode: "prefer" }))
  // => not by password: the server asks for it, and TLS has not verified who that is
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeCrypto.layer)))
