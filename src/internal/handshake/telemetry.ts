/**
 * The metrics and the span of a handshake, the same for both roles.
 *
 * | metric | kind | attributes |
 * |---|---|---|
 * | `handshake_connections` | gauge: open connections | `role` |
 * | `handshake_pending` | gauge: handshakes under way | `role` |
 * | `handshake_outcomes_total` | counter | `role`, `protocol`, `outcome`: `ready` or the reason's tag |
 * | `handshake_duration_ms` | histogram, of the handshakes that became ready | `role`, `protocol` |
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
import { isHandshakeError } from "../../HandshakeError.ts"
import type * as Peer from "../../Peer.ts"
import * as Monotonic from "../connection/monotonic.ts"
import * as Progress from "./progress.ts"

type Role = "server" | "client"

// One for each series: a metric knows its series by its last attributes, and to find another one is dear.
const connections = () => Metric.gauge("handshake_connections", { description: "Open connections" })
const pending = () => Metric.gauge("handshake_pending", { description: "Handshakes under way" })
const outcomes = () =>
  Metric.counter("handshake_outcomes_total", {
    description: "Handshakes that have ended, by outcome",
    incremental: true
  })
const duration = () =>
  Metric.histogram("handshake_duration_ms", {
    description: "Time from the accepted or dialled connection to ready, in milliseconds",
    boundaries: [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
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

/** What is counted of one protocol. */
interface Counted {
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

const peerAttributes = (peer: Peer.Peer): Record<string, unknown> => {
  const { remote } = peer
  if (remote === undefined) return {}
  return remote._tag === "UnixPathAddress"
    ? { "network.transport": "unix", "network.peer.address": remote.path }
    : { "network.peer.address": NetAddress.formatIp(remote.address), "network.peer.port": remote.port }
}

/** What TLS has agreed on, in the names of OpenTelemetry. */
const tlsAttributes = (tls: Peer.Tls, role: Role): Record<string, unknown> => ({
  "tls.established": true,
  "tls.protocol.name": "tls",
  "tls.protocol.version": tls.version.replace(/^TLSv/, ""),
  "tls.cipher": tls.cipher,
  "tls.resumed": tls.resumed,
  ...tls.alpn !== undefined && { "tls.next_protocol": tls.alpn },
  ...tls.servername !== undefined && { "tls.client.server_name": tls.servername },
  ...tls.certificate !== undefined && {
    [role === "client" ? "tls.server.subject" : "tls.client.subject"]: tls.certificate.subject,
    [role === "client" ? "tls.server.hash.sha256" : "tls.client.hash.sha256"]: tls.certificate.fingerprint256
  }
})

/** Tells the span of the handshake what TLS has agreed on. */
export const annotateTls = (tls: Peer.Tls, role: Role): Effect.Effect<void> =>
  Effect.annotateCurrentSpan(tlsAttributes(tls, role))

/** A handshake that is under way, and the span that it has where it is traced. */
export interface Observed {
  readonly progress: Progress.Progress
  /** Once it is open. */
  connection: { readonly peer: Peer.Peer } | undefined
  span: Tracer.Span | undefined
}

/** Updates the metrics of one role, in the registry of the context: without an Effect for each. */
export const make = (role: Role, context: Context.Context<never>) => {
  const open = new Series(connections(), { role }, context)
  const underWay = new Series(pending(), { role }, context)
  // Few protocols and few outcomes.
  const protocols = new Map<string, Counted>()
  const counted = (protocol: string): Counted => {
    let known = protocols.get(protocol)
    if (known === undefined) {
      known = { outcomes: new Map(), duration: new Series(duration(), { role, protocol }, context) }
      protocols.set(protocol, known)
    }
    return known
  }
  const counter = (protocol: string, outcome: string): Series => {
    const { outcomes: known } = counted(protocol)
    let series = known.get(outcome)
    if (series === undefined) {
      series = new Series(outcomes(), { role, protocol, outcome }, context)
      known.set(outcome, series)
    }
    return series
  }

  const count = (protocol: string, outcome: string, millis: number): void => {
    counter(protocol, outcome).update(1)
    if (outcome === "ready") counted(protocol).duration.update(millis)
  }
  const clock = Context.get(context, Clock.Clock)
  // The native one shows its spans to nobody.
  const isTraced = Context.get(context, Tracer.Tracer) !== Tracer.nativeTracer

  /** Tells the span with whom it is. */
  const met = ({ connection, span }: Observed): void => {
    if (connection === undefined || span === undefined) return
    const { peer } = connection
    const attributes = { ...peerAttributes(peer), ...peer.tls && tlsAttributes(peer.tls, role) }
    for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
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
    return Effect.onExit(handshake, () => state.span === undefined ? Effect.asVoid(begin) : Effect.void)
  }

  /** Counts a handshake that has ended, and ends its span. */
  const ended = ({ progress, span }: Observed, millis: number, exit: Exit.Exit<unknown, unknown>): void => {
    const { protocol } = progress
    const outcome = outcomeOf(exit)
    count(protocol, outcome, millis)
    if (span === undefined) return
    span.attribute("handshake.protocol", protocol)
    span.attribute("handshake.outcome", outcome)
    if (Exit.isFailure(exit)) span.attribute("handshake.step", progress.step)
    span.end(clock.currentTimeNanosUnsafe(), exit)
  }

  return {
    connections: (by: 1 | -1): void => open.modify(by),
    pending: (by: 1 | -1): void => underWay.modify(by),
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
