/**
 * Peers of PostgreSQL's start-up that say exactly what a test says.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../../src/Codec.ts"
import { isHandshakeError } from "../../../src/HandshakeError.ts"
import * as Postgres from "../../../src/protocols/Postgres.ts"
import * as Codecs from "../../../src/protocols/postgres/codecs.ts"
import * as MemorySocket from "../../../src/testing/MemorySocket.ts"
import * as Transport from "../../../src/Transport.ts"

export const user = "ann"
export const password = Redacted.make("correct horse")

export const clientOptions = {
  user,
  password,
  sslmode: "disable",
  minIterations: 1,
  requireAuth: ["trust", "password", "md5", "scram-sha-256"]
} as const satisfies Postgres.ClientOptions

/** How one side has ended: ready, or at which step and why. */
export const ended = (exit: Exit.Exit<unknown, unknown>): string | Record<string, unknown> => {
  if (Exit.isSuccess(exit)) return "ready"
  const error = Cause.squash(exit.cause)
  if (!isHandshakeError(error)) throw error
  const { protocol, reason, step } = error
  if (protocol !== "postgres") throw new Error(`the handshake has the name ${protocol}`)
  return { step, ...reason, _tag: reason._tag, fault: reason.fault, retryable: error.retryable }
}

// ---------------------------------------------------------------------------------------------------------------------
// A server that a test plays
// ---------------------------------------------------------------------------------------------------------------------

/** What a client says: its packets, and then messages by their types. */
interface Said {
  readonly type: string
  readonly body: Uint8Array
}

const saidByClients = Codec.make<Said, Uint8Array>({
  decoder: () => {
    const packets = Codec.lengthPrefixed({ adjustment: -4 }).decoder()
    const messages = Codec.lengthPrefixed({ offset: 1, adjustment: -4 }).decoder()
    let started = false
    return {
      decode: (input) => {
        const result = (started ? messages : packets).decode(input)
        return result && Result.map(result, (bytes) => {
          if (started) return { type: String.fromCharCode(bytes[0]), body: bytes.subarray(1) }
          started = bytes[1] === 3
          return { type: "", body: bytes }
        })
      }
    }
  },
  encode: (bytes, into) => into.bytes(bytes)
})

export class ServerEnd {
  private readonly transport: Transport.Transport<Said, Uint8Array>

  constructor(transport: Transport.Transport<Said, Uint8Array>) {
    this.transport = transport
  }

  /** What the client says next, without its type. */
  get hear() {
    return Effect.map(this.transport.receive, ({ body }) => body)
  }

  say(...messages: ReadonlyArray<Postgres.BackendMessage>) {
    return this.transport.send(Codec.encodeAll(Codecs.backend(), messages))
  }

  sayBytes(bytes: Uint8Array) {
    return this.transport.send(bytes)
  }
}

/** What a server says behind the authentication. */
export const session: ReadonlyArray<Postgres.BackendMessage> = [
  { _tag: "AuthenticationOk" },
  { _tag: "ParameterStatus", name: "server_version", value: "18.0" },
  { _tag: "BackendKeyData", processId: 7, secretKey: Redacted.make(Uint8Array.of(1, 2, 3, 4)) },
  { _tag: "ReadyForQuery", status: "idle" }
]

/** How a client with these options ends with this server. */
export const against = <R>(
  server: (there: ServerEnd) => Effect.Effect<unknown, unknown, R>,
  options: Postgres.ClientOptions = clientOptions
) => meeting(Postgres.client(options), server)

/** How a client ends with this server. The server ends the connection when it is done. */
export const meeting = <R>(
  client: ReturnType<typeof Postgres.client>,
  server: (there: ServerEnd) => Effect.Effect<unknown, unknown, R>
) =>
  Effect.scoped(Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    const serving = Effect.flatMap(Transport.framed(saidByClients), (transport) => server(new ServerEnd(transport)))
    yield* Effect.forkScoped(
      Effect.ignore(Effect.scoped(serving)).pipe(Effect.provideService(Socket.Socket, there))
    )
    return yield* Effect.exit(
      Effect.scoped(Effect.map(client, ({ session }) => session)).pipe(
        Effect.provideService(Socket.Socket, here)
      )
    )
  }))

// ---------------------------------------------------------------------------------------------------------------------
// A client that a test plays
// ---------------------------------------------------------------------------------------------------------------------

type Heard = Postgres.BackendMessage | { readonly _tag: "EncryptionAnswer"; readonly answer: string }

/** What a server says: one byte where that was asked for, and messages. */
export const saidByServers = () => {
  const asked = { byte: false }
  const codec = Codec.make<Heard, Uint8Array>({
    decoder: () => {
      const messages = Codecs.backend().decoder()
      const answer = Codecs.answer.decoder()
      return {
        decode: (input) => {
          const result = asked.byte ? answer.decode(input) : messages.decode(input)
          if (result !== undefined) asked.byte = false
          return result
        }
      }
    },
    encode: (bytes, into) => into.bytes(bytes)
  })
  return { asked, codec }
}

export class ClientEnd {
  private readonly transport: Transport.Transport<Heard, Uint8Array>
  private readonly asked: { byte: boolean }

  constructor(transport: Transport.Transport<Heard, Uint8Array>, asked: { byte: boolean }) {
    this.transport = transport
    this.asked = asked
  }

  get hear() {
    return this.transport.receive
  }

  /** All that the server says until it ends the connection. */
  get rest(): Effect.Effect<ReadonlyArray<Heard>> {
    const heard: Array<Heard> = []
    return Effect.forever(Effect.map(this.hear, (message) => heard.push(message))).pipe(
      Effect.ignore,
      Effect.map(() => heard)
    )
  }

  sayBytes(bytes: Uint8Array) {
    return this.transport.send(bytes)
  }

  start(...packets: ReadonlyArray<Postgres.StartupPacket>) {
    return Effect.suspend(() => {
      this.asked.byte = packets.some(({ _tag }) => _tag === "SSLRequest" || _tag === "GSSENCRequest")
      return this.sayBytes(Codec.encodeAll(Codecs.startup, packets))
    })
  }

  answer(answer: Exclude<Postgres.FrontendMessage, Postgres.RequestMessage>) {
    return this.sayBytes(Codec.encodeAll(Codecs.responses("PasswordMessage", 65_535), [answer]))
  }

  say(...messages: ReadonlyArray<Postgres.RequestMessage>) {
    return this.sayBytes(Codec.encodeAll(Codecs.requests(), messages))
  }
}

export const startup = (
  parameters: Readonly<Record<string, string>> = { user },
  minor = 0
): Postgres.StartupPacket => ({
  _tag: "StartupMessage",
  minor,
  parameters: new Map(Object.entries(parameters))
})

/** How a server ends with this client, and what the client has found. */
export const withClient = <A, E, R, R2>(
  server: Effect.Effect<Postgres.ServerTransport, unknown, R | Socket.Socket | Scope.Scope>,
  client: (there: ClientEnd) => Effect.Effect<A, E, R2>
) =>
  Effect.scoped(Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    const { asked, codec } = saidByServers()
    const serving = Effect.map(server, ({ session }) => session)
    const fiber = yield* Effect.forkScoped(
      Effect.exit(Effect.scoped(serving)).pipe(Effect.provideService(Socket.Socket, here))
    )
    const found = yield* Effect.scoped(
      Effect.flatMap(Transport.framed(codec), (transport) => client(new ClientEnd(transport, asked)))
    ).pipe(Effect.provideService(Socket.Socket, there))
    return { found, exit: yield* Fiber.join(fiber) }
  }))
