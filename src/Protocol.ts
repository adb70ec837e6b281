/**
 * A name with its server handshake and its client handshake.
 *
 * @stability stable
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Handshake from "./Handshake.ts"
import type { HandshakeError } from "./HandshakeError.ts"
import type * as Transport from "./Transport.ts"

/**
 * Both sides of a protocol's handshake, under its name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Protocol<
  out S extends Transport.Transport.Any,
  out C extends Transport.Transport.Any,
  out SE = never,
  out SR = never,
  out CE = never,
  out CR = never
> {
  /** The protocol's name, as its errors, logs, spans and metrics carry it. */
  readonly name: string
  readonly server: Effect.Effect<S, HandshakeError | SE, Socket.Socket | Scope.Scope | SR>
  readonly client: Effect.Effect<C, HandshakeError | CE, Socket.Socket | Scope.Scope | CR>
}

/**
 * Makes a protocol; both handshakes get its name.
 *
 * **Details**
 *
 * With `refuse` the server's handshake has words for those whom a server turns away without regard to what they say, as
 * `Handshake.withRefusal` gives them to it. Without, and where the handshake has none of its own, such a connection is just
 * closed.
 *
 * **Example** (A protocol of your own)
 *
 * ```ts
 * import { Codec, Handshake, Protocol, Transport } from "effect-handshake"
 *
 * const lines = Transport.framed(Codec.lines())
 *
 * export const knock = Protocol.make({
 *   name: "knock",
 *   server: lines.pipe(Handshake.expect("Knock, knock."), Handshake.send("Who's there?")),
 *   client: lines.pipe(Handshake.send("Knock, knock."), Handshake.expect("Who's there?")),
 *   refuse: () => Handshake.refuse(lines, "Nobody is at home.")
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <
  S extends Transport.Transport.Any,
  C extends Transport.Transport.Any,
  SE = never,
  SR = never,
  CE = never,
  CR = never,
  RR = never
>(options: {
  /** What errors, metrics and spans call it. */
  readonly name: string
  /** The handshake of its server. */
  readonly server: Effect.Effect<S, HandshakeError | SE, Socket.Socket | Scope.Scope | SR>
  /** The handshake of its client. */
  readonly client: Effect.Effect<C, HandshakeError | CE, Socket.Socket | Scope.Scope | CR>
  /** What a server says to whoever is turned away for want of room, time or right. Default: nothing. */
  readonly refuse?: Handshake.Refuse<RR> | undefined
}) => {
  const { client, name, refuse } = options
  const server: Effect.Effect<S, HandshakeError | SE, Socket.Socket | Scope.Scope | SR | RR> = refuse === undefined
    ? options.server
    : Handshake.withRefusal(options.server, refuse)
  return {
    name,
    server: Handshake.named(server, name),
    client: Handshake.named(client, name)
  }
}
