/**
 * A name with its server handshake and its client handshake.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Handshake from "./Handshake.ts"
import type { HandshakeError } from "./HandshakeError.ts"
import * as Origin from "./internal/handshake/origin.ts"
import type * as Transport from "./Transport.ts"

/**
 * Why a server turns a peer away without regard to what it says.
 *
 * **Details**
 *
 * - `capacity`: as many connections, or pending handshakes, as are allowed.
 * - `draining`: the server is shutting down.
 * - `deadline`: the handshake was not done in time.
 *
 * @category models
 * @since 0.1.0
 */
export type Refusal = "capacity" | "draining" | "deadline"

/**
 * Tells a peer in the words of the protocol that it is turned away. It runs instead of the handshake, or after one that
 * was cut short, on the same connection; it should fail with `Handshake.refuse`.
 *
 * @category models
 * @since 0.1.0
 */
export type Refuse<R = never> = (
  why: Refusal
) => Effect.Effect<never, HandshakeError, Socket.Socket | Scope.Scope | R>

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
  /** How the server turns a peer away; without it the connection is just closed. */
  readonly refuse: Refuse | undefined
}

/**
 * Makes a protocol; both handshakes get its name.
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
  CR = never
>(options: {
  readonly name: string
  readonly server: Effect.Effect<S, HandshakeError | SE, Socket.Socket | Scope.Scope | SR>
  readonly client: Effect.Effect<C, HandshakeError | CE, Socket.Socket | Scope.Scope | CR>
  readonly refuse?: Refuse | undefined
}) => {
  const { name } = options
  const refuse = options.refuse && ((why: Refusal) => Handshake.named(options.refuse!(why), name))
  return {
    name,
    server: Origin.set(Handshake.named(options.server, name), { name, refuse }),
    client: Handshake.named(options.client, name),
    refuse
  }
}
