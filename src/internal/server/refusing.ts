/**
 * How peers are turned away: those for whom there is no room, and those whose handshake was cut off.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as Socket from "effect/socket/Socket"
import { HandshakeError, Rejected, Timeout } from "../../HandshakeError.ts"
import * as Peer from "../../Peer.ts"
import type { Denied } from "../admission/model.ts"
import * as Connection from "../connection/connection.ts"
import * as NetSocket from "../connection/netSocket.ts"
import { type Incoming, isSource } from "../connection/source.ts"
import * as Metrics from "../handshake/metrics.ts"
import * as Progress from "../handshake/progress.ts"
import type * as Telemetry from "../handshake/telemetry.ts"
import { traceless } from "../handshake/traceless.ts"
import type { Connections, Taken } from "./connections.ts"
import type { Events } from "./events.ts"
import type { Holding } from "./limits.ts"

/** How long a peer may take to hear that it is turned away. */
const refusalTime = Duration.seconds(2)

/** How many peers are told at once that they are turned away. */
const maxRefusing = 1024

const saying: Record<Progress.Refusal, string> = {
  capacity: "at capacity",
  rate: "too often",
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
  traceless(() =>
    new HandshakeError({
      protocol,
      step,
      reason: why === "deadline"
        ? new Timeout({ deadline })
        : new Rejected({ by: "local", said: saying[why], retryable: true })
    })
  )

/** What a peer hears that the admission has denied. */
export const refusalOf = ({ why }: Denied): Progress.Refusal =>
  why === "capacity" || why === "unavailable" ? "capacity" : "rate"

/** Why it was denied, as the error of its handshake. */
export const denial = (protocol: string, step: string, denied: Denied): HandshakeError => {
  const { limit, retryAfter, why } = denied
  const said = why === "unavailable" ? "nobody can say whether there is room" : saying[refusalOf(denied)]
  return traceless(() =>
    new HandshakeError({
      protocol,
      step,
      reason: new Rejected({
        by: "local",
        said: `${said} (limit ${limit})`,
        retryable: true,
        ...retryAfter !== undefined && { retryAfter }
      })
    })
  )
}

/** The step of whoever is turned away before its handshake begins. */
export const accept = "accept"

const accepting = () => accept

/** Says of a handshake that it turns its peer away, and when that may come again. */
export const turning = (progress: Progress.Progress, why: Progress.Refusal, retryAfter?: Duration.Duration): void => {
  progress.verdict = why
  progress.retryAfter = retryAfter
}

/** Says of a handshake that it has never begun. */
export const unbegun = (progress: Progress.Progress): void => progress.begin(accepting, undefined)

/** The log line of a peer that is told no by the admission. */
export const logDenied = (id: number, peer: Peer.Peer, { limit, retryAfter, why }: Denied): Effect.Effect<void> =>
  Effect.flatMap(LogLevel.isEnabled("Debug"), (isEnabled) =>
    isEnabled
      ? Effect.annotateLogs(Effect.logDebug("a connection was denied"), {
        connection: id,
        peer: Peer.format(peer),
        limit,
        why,
        ...retryAfter !== undefined && { retryAfter: Duration.format(retryAfter) }
      })
      : Effect.void)

/** Says no on a connection, in the words of the handshake where it has some, and never for longer than `refusalTime`. */
export const turnAway = (
  connection: Connection.Connection,
  words: Progress.Words | undefined
): Effect.Effect<void> =>
  words === undefined || connection.refused
    ? Effect.void
    : Effect.withFiber(({ context }) => {
      // Most words are said at once, and then nothing has to watch them.
      const saying = Effect.runForkWith(context)(words)
      if (saying.pollUnsafe() !== undefined) return Effect.void
      return Effect.onExit(
        Effect.asVoid(Effect.timeoutOption(Fiber.await(saying), refusalTime)),
        () => Fiber.interrupt(saying)
      )
    })

/** Who is at the other end, as far as that is known before the connection is opened. */
export const peerOf = (socket: Incoming, context: Context.Context<never>): Peer.Peer =>
  isSource(socket) ? socket.peer : NetSocket.peerIn(context) ?? Peer.unknown

/** Opens the connection of a socket that was accepted. Effect's own sockets do not know their peer. */
export const open = (socket: Incoming, lingers: boolean) =>
  Effect.flatMap(NetSocket.currentPeer, (peer) => Connection.open(socket, { peer, lingers }))

/** Waits for the peer to take the last words. */
export const lingering: Connection.Options = { lingers: true }

const rejectedFor = (why: Progress.Refusal, deadline: Duration.Duration) => (protocol: string): HandshakeError =>
  rejection(protocol, accept, why, deadline)

/** Opens a connection, has it told, and closes it. */
const telling = (socket: Incoming, tell: (connection: Connection.Connection) => Effect.Effect<void>) =>
  Effect.suspend(() => {
    const connection = Connection.accepted(socket, lingering)
    return connection === undefined
      ? Effect.scoped(Effect.flatMap(open(socket, true), tell))
      : Effect.onExitPrimitive(tell(connection), (exit) => connection.closing(exit))
  })

/** One that was closed at once. */
const gone: Taken = { doing: undefined, onGone: undefined, place: -1 }

/** Turns away those whom the server does not take. */
export class Refusing {
  private readonly connections: Connections
  private readonly events: Events
  private readonly telemetry: Telemetry.Telemetry
  private readonly handshake: Effect.Effect<unknown, unknown, unknown>
  private readonly name: string | undefined
  private readonly limits: () => Holding
  private readonly draining = Deferred.makeUnsafe<void>()

  constructor(options: {
    readonly connections: Connections
    readonly events: Events
    readonly telemetry: Telemetry.Telemetry
    readonly handshake: Effect.Effect<unknown, unknown, unknown>
    readonly name: string | undefined
    readonly limits: () => Holding
  }) {
    this.connections = options.connections
    this.events = options.events
    this.telemetry = options.telemetry
    this.handshake = options.handshake
    this.name = options.name
    this.limits = options.limits
  }

  refuse(socket: Incoming, context: Context.Context<never>, why: Progress.Refusal): Taken {
    return this.begin(
      socket,
      context,
      (connection, id) => this.tell(connection, id, why, undefined, rejectedFor(why, this.limits().handshakeTimeout))
    )
  }

  /** Turns away whom the admission has denied. Who is told nothing costs no fiber, where the socket can be closed without one. */
  deny(socket: Incoming, context: Context.Context<never>, denied: Denied): Taken {
    this.telemetry.denied(denied.limit, denied.why)
    if (denied.isTold) return this.begin(socket, context, (connection, id) => this.tellDenied(connection, id, denied))
    const { events } = this
    if (events.isHeard) {
      const id = this.connections.nextId()
      const peer = peerOf(socket, context)
      const error = denial(this.name ?? Progress.unnamed, accept, denied)
      events.emit({ _tag: "Refused", id, peer, reason: error.reason._tag, error })
    }
    if (!isSource(socket) || socket.destroy === undefined) return this.begin(socket, context, undefined)
    socket.destroy()
    return gone
  }

  /** Those who wait for their refusal hear it now. */
  hurry(): void {
    Deferred.doneUnsafe(this.draining, Exit.void)
  }

  /** Waits until a refusal is due. */
  delayed({ delay }: Denied): Effect.Effect<void> {
    return delay === undefined
      ? Effect.void
      : Effect.asVoid(Effect.timeoutOption(Deferred.await(this.draining), delay))
  }

  private tellDenied(connection: Connection.Connection, id: number, denied: Denied): Effect.Effect<void> {
    const { retryAfter } = denied
    const telling = this.tell(
      connection,
      id,
      refusalOf(denied),
      retryAfter,
      (protocol) => denial(protocol, accept, denied)
    )
    return Effect.andThen(logDenied(id, connection.peer, denied), Effect.andThen(this.delayed(denied), telling))
  }

  private begin(
    socket: Incoming,
    context: Context.Context<never>,
    tell: ((connection: Connection.Connection, id: number) => Effect.Effect<void>) | undefined
  ): Taken {
    const { refused } = this.connections
    const id = this.connections.nextId()
    const state: Taken = { doing: undefined, onGone: undefined, place: -1 }
    refused.add(state)
    // Those who are being told no are bounded as well; the rest is closed without a word.
    const refusal = tell === undefined || refused.size > maxRefusing
      ? Effect.scoped(open(socket, false))
      : telling(socket, (connection) => tell(connection, id))
    const fiber = state.doing = Effect.runForkWith(context)(refusal)
    fiber.addObserver(() => {
      refused.delete(state)
      this.connections.released(state)
    })
    return state
  }

  private tell(
    connection: Connection.Connection,
    id: number,
    why: Progress.Refusal,
    retryAfter: Duration.Duration | undefined,
    errorOf: (protocol: string) => HandshakeError
  ): Effect.Effect<void> {
    const progress = Progress.make(this.name)
    turning(progress, why, retryAfter)
    const failing = Effect.suspend(() => {
      unbegun(progress)
      return Effect.fail(errorOf(progress.protocol))
    })
    // What else the handshake needs is in the context that it runs in.
    const words = Effect.provideService(this.handshake, Socket.Socket, connection.socket) as Progress.Words
    const said = Effect.andThen(turnAway(connection, Effect.scoped(words)), failing)
    return Effect.map(this.telemetry.observed({ progress, connection, span: undefined }, said), (exit) => {
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      // The handshake may have met it before it had words for it.
      const { peer } = connection
      this.events.emit({ _tag: "Refused", id, peer, reason: Metrics.outcomeOf(exit), error })
    })
  }
}
