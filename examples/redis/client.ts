/**
 * A client of Redis that lives as long as its layer, whatever becomes of the server: HELLO 3, pipelining, pushes, and
 * connecting again. The protocol is in [../resp/codec.ts](../resp/codec.ts).
 */
import { Context, Data, Effect, Redacted, Result } from "effect"
import { Client, Handshake, HandshakeError, Pipeline, Transport } from "effect-handshake"
import type { Socket } from "effect/socket"
import { type Frame, resp, type RespError, type RespPush, type Value } from "../resp/codec.ts"

/** What Redis has answered a command with. `code` is its first word, such as `WRONGTYPE`. */
export class RedisError extends Data.TaggedError("RedisError")<{ readonly code: string; readonly message: string }> {}

export interface Options {
  /** Each of them is dialled in turn. */
  readonly sockets: readonly [Effect.Effect<Socket.Socket>, ...ReadonlyArray<Effect.Effect<Socket.Socket>>]
  readonly user?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly database?: number | undefined
  /** What is said on each connection, such as CLIENT TRACKING. What Redis answers by pushes alone, as SUBSCRIBE, is no call. */
  readonly first?: ReadonlyArray<ReadonlyArray<string>> | undefined
  /** What is done with each push; what is behind it waits for that. Default: it is dropped. */
  readonly onPush?: ((values: ReadonlyArray<Value>) => Effect.Effect<unknown>) | undefined
}

const hasTag = (frame: Frame, tag: string) =>
  typeof frame === "object" && frame !== null && "_tag" in frame && frame._tag === tag
const isError = (frame: Frame): frame is RespError => hasTag(frame, "Error")
const isPush = (frame: Frame): frame is RespPush => hasTag(frame, "Push")

const errorOf = ({ message }: RespError) => new RedisError({ code: message.split(" ", 1)[0], message })

/** Why HELLO was refused, and whether to come back: what a password has to do with is not tried again. */
const refusal = (reply: RespError): HandshakeError.Reason => {
  const { code, message } = errorOf(reply)
  switch (code) {
    case "WRONGPASS":
    case "NOAUTH":
      return new HandshakeError.AuthenticationFailed({ method: "HELLO", detail: message, fault: "local" })
    case "NOPROTO":
      return new HandshakeError.UnsupportedVersion({ offered: "3", supported: ["2"], fault: "local" })
    default:
      return new HandshakeError.Rejected({ by: "peer", said: message, code, retryable: code === "LOADING" })
  }
}

const handshake = ({ password, user = "default" }: Options) =>
  Transport.framed(resp({ maxLength: 16 * 1024 * 1024 })).pipe(
    Handshake.exchange(
      "HELLO",
      ["HELLO", "3", ...password === undefined ? [] : ["AUTH", user, Redacted.value(password)]],
      (reply) => isError(reply) ? Effect.fail(refusal(reply)) : Effect.void,
      { secret: true }
    ),
    Handshake.named("redis")
  )

/** Reading twice does no harm. */
const idempotent = (command: Frame) =>
  Array.isArray(command) && ["GET", "MGET", "EXISTS", "TTL", "PING", "HGET", "HGETALL"].includes(command[0])

export const make = (options: Options) =>
  Client.reconnecting({
    handshake: handshake(options),
    sockets: options.sockets,
    client: (transport) =>
      Pipeline.client(transport, {
        response: (reply) => isError(reply) ? Result.fail(errorOf(reply)) : Result.succeed(reply),
        unsolicited: { is: isPush, handle: ({ values }) => options.onPush?.(values) ?? Effect.void }
      }),
    onConnect: ({ call }) => Effect.forEach([["SELECT", `${options.database ?? 0}`], ...options.first ?? []], call),
    idempotent,
    schedule: Client.backoff({ base: "50 millis", max: "250 millis" })
  })

/** `call` fails with a `RedisError`, or with a `TransportError` that says whether the command was sent. */
export class Redis extends Context.Service<Redis, Effect.Success<ReturnType<typeof make>>>()("examples/Redis") {}
