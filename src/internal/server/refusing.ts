/**
 * How peers are turned away: those for whom there is no room, and those whose handshake was cut off.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Socket from "effect/socket/Socket"
import { HandshakeError, Rejected, Timeout } from "../../HandshakeError.ts"
import * as Connection from "../connection/connection.ts"
import * as NetSocket from "../connection/netSocket.ts"
import type { Incoming } from "../connection/source.ts"
import * as Progress from "../handshake/progress.ts"
import * as Telemetry from "../handshake/telemetry.ts"
import type { Connections, Taken } from "./connections.ts"
import type { Events } from "./events.ts"

/** How long a peer may take to hear that it is turned away. */
const refusalTime = Duration.seconds(2)

/** How many peers are told at once that they are turned away. */
const maxRefusing = 1024

const saying: Record<Progress.Refusal, string> = {
  capacity: "at capacity",
  draining: "shutting down",
  deadline: "too slow",
  forbidden: "not let in"
}

/** Why a peer was turned away, as the error of its handshake. */
export const rejection = (
  protocol: string,
  step: string,
  why: Progress.Refusal,
  deadline: Duration.Duration
): HandshakeError =>
  new HandshakeError({
    protocol,
    step,
    reason: why === "deadline"
      ? new Timeout({ deadline })
      : new Rejected({ by: "local", said: saying[why], retryable: true })
  })

/** Says no on a connection, in the words of the handshake where it has some, and never for longer than `refusalTime`. */
export const turnAway = (
  connection: Connection.Connection,
  words: Progress.Words | undefined
): Effect.Effect<void> =>
  words === undefined || connection.refused
    ? Effect.void
    : Effect.asVoid(Effect.timeoutOption(Effect.exit(words), refusalTime))

/** Opens the connection of a socket that was accepted. Effect's own sockets do not know their peer. */
export const open = (socket: Incoming, lingers: boolean) =>
  Effect.flatMap(NetSocket.currentPeer, (peer) => Connection.open(socket, { peer, lingers }))

/** Turns away those whom the server does not take. */
export class Refusing {
  private readonly connections: Connections
  private readonly events: Events
  private readonly telemetry: Telemetry.Telemetry
  private readonly handshake: Effect.Effect<unknown, unknown, unknown>
  private readonly name: string | undefined
  private readonly deadline: Duration.Duration

  constructor(options: {
    readonly connections: Connections
    readonly events: Events
    readonly telemetry: Telemetry.Telemetry
    readonly handshake: Effect.Effect<unknown, unknown, unknown>
    readonly name: string | undefined
    readonly handshakeTimeout: Duration.Duration
  }) {
    this.connections = options.connections
    this.events = options.events
    this.telemetry = options.telemetry
    this.handshake = options.handshake
    this.name = options.name
    this.deadline = options.handshakeTimeout
  }

  refuse(socket: Incoming, context: Context.Context<never>, why: Progress.Refusal): Taken {
    const { refused } = this.connections
    const id = this.connections.nextId()
    const state: Taken = { fiber: undefined, onGone: undefined, place: -1 }
    refused.add(state)
    // Those who are being told no are bounded as well; the rest is closed without a word.
    const refusal = refused.size > maxRefusing
      ? open(socket, false)
      : Effect.flatMap(open(socket, true), (connection) => this.tell(connection, id, why))
    state.fiber = Effect.runForkWith(context)(Effect.scoped(refusal))
    state.fiber.addObserver(() => {
      refused.delete(state)
      this.connections.released(state)
    })
    return state
  }

  private tell(connection: Connection.Connection, id: number, why: Progress.Refusal): Effect.Effect<void> {
    const progress = Progress.make(this.name)
    progress.verdict = why
    const failing = Effect.suspend(() => {
      progress.begin(() => "accept", undefined)
      return Effect.fail(rejection(progress.protocol, "accept", why, this.deadline))
    })
    // What else the handshake needs is in the context that it runs in.
    const words = Effect.provideService(this.handshake, Socket.Socket, connection.socket) as Progress.Words
    const said = Effect.andThen(turnAway(connection, Effect.scoped(words)), failing)
    return Effect.map(this.telemetry.observed({ progress, connection, span: undefined }, said), (exit) => {
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      // The handshake may have met it before it had words for it.
      const { peer } = connection
      this.events.emit({ _tag: "Refused", id, peer, reason: Telemetry.outcomeOf(exit), error })
    })
  }
}
