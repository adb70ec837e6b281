/**
 * What is counted of handshakes, the same for both roles. The attributes are told beside those of spans.
 *
 * | metric | kind | attributes |
 * |---|---|---|
 * | `handshake.connections` | gauge: open connections | `handshake.role` |
 * | `handshake.pending` | gauge: handshakes under way | `handshake.role` |
 * | `handshake.outcomes` | counter | `handshake.role`, `handshake.protocol`, `handshake.outcome`, `error.type`, `handshake.via` |
 * | `handshake.denials` | counter: connections that the admission has denied, told or not | `handshake.role`, `admission.limit`, `admission.why` |
 * | `handshake.duration` | histogram in seconds, of the handshakes that became ready | `handshake.role`, `handshake.protocol`, `handshake.via` |
 *
 * @see ./telemetry.ts
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import { isHandshakeError } from "../../HandshakeError.ts"

export type Role = "server" | "client"

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
    // What is added to an empty one is found without a look into a map, and it is looked for at each update.
    this.context = Context.empty().pipe(
      Context.add(Metric.MetricRegistry, Context.get(context, Metric.MetricRegistry)),
      Context.add(Metric.CurrentMetricAttributes, all)
    )
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
export const errorTypeOf = (outcome: string): string | undefined => {
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

/** The metrics of one role, in one registry: without an Effect for each. */
export class Metrics {
  readonly open: Series
  readonly underWay: Series
  readonly registry: Metric.MetricRegistry
  readonly attributes: Attributes
  private readonly role: Role
  private readonly context: Context.Context<never>
  // Few protocols and few outcomes, by how the peer was introduced.
  private readonly ways = new Map<string | undefined, Map<string, Counted>>()
  // As many as there are limits, for each of the few reasons.
  private readonly denials = new Map<string, Series>()

  constructor(role: Role, registry: Metric.MetricRegistry, attributes: Attributes) {
    this.role = role
    this.registry = registry
    this.attributes = attributes
    this.context = Context.make(Metric.MetricRegistry, registry).pipe(
      Context.add(Metric.CurrentMetricAttributes, attributes)
    )
    this.open = new Series(connections(), { "handshake.role": role }, this.context)
    this.underWay = new Series(pending(), { "handshake.role": role }, this.context)
  }

  private counted(protocol: string, via: string | undefined): Counted {
    const { context, ways } = this
    const way = via === undefined || ways.has(via) || ways.size < maxWays ? via : otherWay
    let protocols = ways.get(way)
    if (protocols === undefined) ways.set(way, protocols = new Map())
    let known = protocols.get(protocol)
    if (known === undefined) {
      const attributes = {
        "handshake.role": this.role,
        "handshake.protocol": protocol,
        ...(way !== undefined && { "handshake.via": way })
      }
      known = { attributes, outcomes: new Map(), duration: new Series(duration(), attributes, context) }
      protocols.set(protocol, known)
    }
    return known
  }

  private counter({ attributes, outcomes: known }: Counted, outcome: string): Series {
    let series = known.get(outcome)
    if (series === undefined) {
      const all = { ...attributes, "handshake.outcome": outcome, ...errorType(outcome) }
      known.set(outcome, series = new Series(outcomes(), all, this.context))
    }
    return series
  }

  denied(limit: string, why: string): void {
    const key = `${why} ${limit}`
    let series = this.denials.get(key)
    if (series === undefined) {
      const attributes = { "handshake.role": this.role, "admission.limit": limit, "admission.why": why }
      this.denials.set(key, series = new Series(denials(), attributes, this.context))
    }
    series.update(1)
  }

  count(protocol: string, via: string | undefined, outcome: string, millis: number): void {
    const known = this.counted(protocol, via)
    this.counter(known, outcome).update(1)
    if (outcome === "ready") known.duration.update(millis / 1000)
  }
}

// Whoever connects is seldom told to count elsewhere than whoever has connected before. To put the metrics together costs more
// than to count.
const last: { [role in Role]?: Metrics } = {}

/** Those of the registry and the attributes of a context. */
export const of = (role: Role, context: Context.Context<never>): Metrics => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const attributes = Context.get(context, Metric.CurrentMetricAttributes)
  const known = last[role]
  return known?.registry === registry && known.attributes === attributes
    ? known
    : last[role] = new Metrics(role, registry, attributes)
}
