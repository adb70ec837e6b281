/**
 * The metrics and the span of a handshake, the same for both roles. What OpenTelemetry's semantic conventions have a name for has
 * that name; what is of handshakes alone begins with `handshake.`, in the same style: dots, the unit not in the name but beside it.
 *
 * | metric | kind | attributes |
 * |---|---|---|
 * | `handshake.connections` | gauge: open connections | `handshake.role` |
 * | `handshake.pending` | gauge: handshakes under way | `handshake.role` |
 * | `handshake.outcomes` | counter | `handshake.role`, `handshake.protocol`, `handshake.outcome`, `error.type`, `handshake.via` |
 * | `handshake.denials` | counter: connections that the admission has denied, told or not | `handshake.role`, `admission.limit`, `admission.why` |
 * | `handshake.duration` | histogram in seconds, of the handshakes that became ready | `handshake.role`, `handshake.protocol`, `handshake.via` |
 *
 * | attribute | of spans and metrics | what it is |
 * |---|---|---|
 * | `handshake.role` | both | `server` or `client`, as the kind of the span |
 * | `handshake.protocol` | both | the name of the handshake |
 * | `handshake.outcome` | both | `ready`, the tag of the reason, `interrupted`, or `error` for an error of the user's own |
 * | `error.type` | both | where it has failed: the tag of the reason, or `_OTHER` for an error of the user's own. An interruption is none |
 * | `handshake.via` | metrics | how the peer was introduced, where it was |
 * | `handshake.step` | spans | where it has failed: at which step |
 * | `network.transport` | spans | `tcp` or `unix`, where the address of the socket is known |
 * | `network.type` | spans | `ipv4` or `ipv6` |
 * | `network.peer.address`, `network.peer.port` | spans | the other end of the socket |
 * | `network.local.address`, `network.local.port` | spans | this end of it |
 * | `client.address`, `client.port` | spans of servers | who connects: as introduced, else the other end of the socket |
 * | `server.address`, `server.port` | spans | to whom: by the name that TLS has asked for, else at a server its own end or what was introduced as that, at a client the other one |
 * | `user.name` | spans | the user, once it is introduced |
 * | `tls.*` | spans | what TLS has agreed on |
 *
 * Addresses and users are no attributes of metrics, for there is no end of them.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as NetAddress from "effect/net/NetAddress"
import * as Tracer from "effect/Tracer"
import * as Excerpt from "../../Excerpt.ts"
import { isHandshakeError } from "../../HandshakeError.ts"
import * as Peer from "../../Peer.ts"
import * as Monotonic from "../connection/monotonic.ts"
import * as Progress from "./progress.ts"

type Role = "server" | "client"

// One for each series: a metric knows its series by its last attributes, and to find another one is dear.
const connections = () => Metric.gauge("handshake.connections", { description: "Open connections" })
const pending = () => Metric.gauge("handshake.pending", { description: "Handshakes under way" })
const outcomes = () =>
  Metric.counter("handshake.outcomes", {
    description: "Handshakes that have ended, by outcome",
    incremental: true
  })
const denials = () =>
  Metric.counter("handshake.denials", {
    description: "Connections that the admission has denied",
    incremental: true
  })
const duration = () =>
  Metric.histogram("handshake.duration", {
    description: "Time from the accepted or dialled connection to ready",
    // The exporters take the unit from here.
    attributes: { unit: "s" },
    // Those that the conventions advise for durations of requests, and two below: many a handshake takes less than 5 ms.
    boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
  })

type Attributes = Readonly<Record<string, string>>

/** One series of a metric, whose attributes are put together once and not for each connection. */
export class Series {
  private readonly metric: Metric.Metric<number, unknown>
  private readonly context: Context.Context<never>

  constructor(metric: Metric.Metric<number, unknown>, attributes: Attributes, context: Context.Context<never>) {
    const all = { ...Context.get(context, Metric.CurrentMetricAttributes), ...attributes }
    this.metric = metric
    this.context = Context.add(context, Metric.CurrentMetricAttributes, all)
  }

  update(value: number): void {
    this.metric.updateUnsafe(value, this.context)
  }

  modify(by: number): void {
    this.metric.modifyUnsafe(by, this.context)
  }
}

/** How many ways of being introduced have a series of their own; those of a program are few, whatever it is told. */
const maxWays = 32
const otherWay = "other"

/** What is counted of one protocol. */
interface Counted {
  readonly attributes: Attributes
  readonly outcomes: Map<string, Series>
  readonly duration: Series
}

/** How a handshake has ended, in one word: `ready`, the reason's tag, `interrupted`, or `error`. */
export const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "ready"
  const error = Cause.squash(exit.cause)
  if (isHandshakeError(error)) return error.reason._tag
  return Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : "error"
}

/** What `error.type` is where there is no better word, by the conventions. */
const otherError = "_OTHER"

/** The kind of the error with which a handshake has ended so, or undefined where that is no error. */
const errorTypeOf = (outcome: string): string | undefined => {
  switch (outcome) {
    case "ready":
    case "interrupted":
      return undefined
    case "error":
      return otherError
    default:
      return outcome
  }
}

const errorType = (outcome: string): Attributes => {
  const type = errorTypeOf(outcome)
  return type === undefined ? {} : { "error.type": type }
}

/** Both ends of the socket, and who was introduced, in the names of OpenTelemetry. */
const peerAttributes = (peer: Peer.Peer, role: Role): Record<string, unknown> => {
  const { local, remote } = Peer.socketOf(peer)
  const [client, server] = role === "server" ? [peer.remote, peer.local] : [undefined, peer.remote]
  return {
    ...transportAttributes(remote ?? local),
    ...addressAttributes(remote, "network.peer"),
    ...addressAttributes(local, "network.local"),
    ...addressAttributes(client, "client"),
    ...addressAttributes(server, "server"),
    ...peer.user !== undefined && { "user.name": Excerpt.ofText(peer.user) }
  }
}

const transportAttributes = (address: NetAddress.SocketAddress | undefined): Record<string, unknown> => {
  switch (address?._tag) {
    case undefined:
      return {}
    case "UnixPathAddress":
      return { "network.transport": "unix" }
    case "InetAddressV4":
      return { "network.transport": "tcp", "network.type": "ipv4" }
    case "InetAddressV6":
      return { "network.transport": "tcp", "network.type": "ipv6" }
  }
}

const addressAttributes = (address: NetAddress.SocketAddress | undefined, of: string): Record<string, unknown> =>
  address === undefined
    ? {}
    : address._tag === "UnixPathAddress"
    ? { [`${of}.address`]: address.path }
    : { [`${of}.address`]: NetAddress.formatIp(address.address), [`${of}.port`]: address.port }

/** What TLS has agreed on, in the names of OpenTelemetry. */
const tlsAttributes = (tls: Peer.Tls, role: Role): Record<string, unknown> => ({
  "tls.established": true,
  "tls.protocol.name": "tls",
  "tls.protocol.version": tls.version.replace(/^TLSv/, ""),
  "tls.cipher": tls.cipher,
  "tls.resumed": tls.resumed,
  ...tls.alpn !== undefined && { "tls.next_protocol": tls.alpn },
  // The conventions want the name where there is one. The address is that of the socket.
  ...tls.servername !== undefined && { "server.address": tls.servername },
  ...tls.certificate !== undefined && {
    [role === "client" ? "tls.server.subject" : "tls.client.subject"]: tls.certificate.subject,
    [role === "client" ? "tls.server.hash.sha256" : "tls.client.hash.sha256"]: tls.certificate.fingerprint256
      .replaceAll(":", "")
  }
})

/** Tells the span of the handshake, where there is one, what TLS has agreed on. */
export const annotateTls = (context: Context.Context<never>, tls: Peer.Tls, role: Role): void => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  if (span?._tag === "Span" && span.status._tag !== "Ended") tell(span, tlsAttributes(tls, role))
}

const tell = (span: Tracer.Span, attributes: Record<string, unknown>): void => {
  for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
}

/** A handshake that is under way, and the span that it has where it is traced. */
export interface Observed {
  readonly progress: Progress.Progress
  /** Once it is open. */
  connection: { readonly peer: Peer.Peer; readonly knownPeer: Peer.Peer | undefined } | undefined
  span: Tracer.Span | undefined
}

/** Updates the metrics of one role, in the registry of the context: without an Effect for each. */
export const make = (role: Role, context: Context.Context<never>) => {
  const open = new Series(connections(), { "handshake.role": role }, context)
  const underWay = new Series(pending(), { "handshake.role": role }, context)
  // Few protocols and few outcomes, by how the peer was introduced.
  const ways = new Map<string | undefined, Map<string, Counted>>()
  const counted = (protocol: string, via: string | undefined): Counted => {
    const way = via === undefined || ways.has(via) || ways.size < maxWays ? via : otherWay
    let protocols = ways.get(way)
    if (protocols === undefined) ways.set(way, protocols = new Map())
    let known = protocols.get(protocol)
    if (known === undefined) {
      const attributes = {
        "handshake.role": role,
        "handshake.protocol": protocol,
        ...(way !== undefined && { "handshake.via": way })
      }
      known = { attributes, outcomes: new Map(), duration: new Series(duration(), attributes, context) }
      protocols.set(protocol, known)
    }
    return known
  }
  const counter = ({ attributes, outcomes: known }: Counted, outcome: string): Series => {
    let series = known.get(outcome)
    if (series === undefined) {
      series = new Series(
        outcomes(),
        { ...attributes, "handshake.outcome": outcome, ...errorType(outcome) },
        context
      )
      known.set(outcome, series)
    }
    return series
  }

  // As many as there are limits, for each of the few reasons.
  const denialSeries = new Map<string, Series>()
  const denied = (limit: string, why: string): void => {
    const key = `${why} ${limit}`
    let series = denialSeries.get(key)
    if (series === undefined) {
      series = new Series(
        denials(),
        { "handshake.role": role, "admission.limit": limit, "admission.why": why },
        context
      )
      denialSeries.set(key, series)
    }
    series.update(1)
  }

  const count = (protocol: string, via: string | undefined, outcome: string, millis: number): void => {
    const known = counted(protocol, via)
    counter(known, outcome).update(1)
    if (outcome === "ready") known.duration.update(millis / 1000)
  }
  const clock = Context.get(context, Clock.Clock)
  // The native one shows its spans to nobody.
  const isTraced = Context.get(context, Tracer.Tracer) !== Tracer.nativeTracer

  /** Tells the span with whom it is. */
  const met = ({ connection, span }: Observed): void => {
    if (connection === undefined || span === undefined) return
    const { peer } = connection
    tell(span, { ...peerAttributes(peer, role), ...peer.tls && tlsAttributes(peer.tls, role) })
  }

  /**
   * Runs a handshake in a span, where somebody sees it. `ended` ends it. The span of one that is not named yet is made when
   * it is, and begins now all the same.
   */
  const spanned = <A, E, R>(state: Observed, handshake: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    if (!isTraced) return handshake
    const { progress } = state
    const startTime = clock.currentTimeNanosUnsafe()
    const begin = Effect.map(
      Effect.updateService(
        Effect.suspend(() => Effect.makeSpan(`${progress.protocol} handshake`, { kind: role })),
        Tracer.Tracer,
        (tracer) => Tracer.make({ span: (options) => tracer.span({ ...options, startTime }) })
      ),
      (span) => {
        state.span = span
        span.attribute("handshake.role", role)
        met(state)
        return span
      }
    )
    const traced: Progress.Traced = (effect) =>
      Effect.suspend(() => {
        progress.traced = undefined
        return Effect.flatMap(begin, (span) => Effect.withParentSpan(effect, span))
      })
    if (progress.protocol !== Progress.unnamed) return traced(handshake)
    progress.traced = traced
    // One that never gets a name has a span as well.
    return Effect.onExit(handshake, () => {
      // The words of one that was cut off have none of their own.
      progress.traced = undefined
      return state.span === undefined ? Effect.asVoid(begin) : Effect.void
    })
  }

  /** Counts a handshake that has ended, and ends its span. */
  const ended = (state: Observed, millis: number, exit: Exit.Exit<unknown, unknown>): void => {
    const { progress, span } = state
    const { protocol } = progress
    const outcome = outcomeOf(exit)
    const peer = state.connection?.knownPeer
    count(protocol, peer?.via, outcome, millis)
    if (span === undefined) return
    // It has met its peer before that was introduced.
    if (peer?.socket !== undefined || peer?.user !== undefined) met(state)
    span.attribute("handshake.protocol", protocol)
    span.attribute("handshake.outcome", outcome)
    if (Exit.isFailure(exit)) span.attribute("handshake.step", progress.step)
    const type = errorTypeOf(outcome)
    if (type !== undefined) span.attribute("error.type", type)
    span.end(clock.currentTimeNanosUnsafe(), exit)
  }

  return {
    connections: (by: 1 | -1): void => open.modify(by),
    pending: (by: 1 | -1): void => underWay.modify(by),
    denied,
    spanned,
    met,
    ended,

    /** One handshake with its span, its outcome and its duration; how it ended is the result. */
    observed: <A, E, R>(state: Observed, handshake: Effect.Effect<A, E, R>): Effect.Effect<Exit.Exit<A, E>, never, R> =>
      Effect.suspend(() => {
        const start = Monotonic.millisOf(clock)
        return spanned(state, Effect.provideService(handshake, Progress.CurrentProgress, state.progress)).pipe(
          Effect.onExit((exit) => Effect.sync(() => ended(state, Monotonic.millisOf(clock) - start, exit))),
          Effect.exit
        )
      })
  }
}

export type Telemetry = ReturnType<typeof make>
