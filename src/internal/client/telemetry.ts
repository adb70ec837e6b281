/**
 * The metrics of clients that connect again, and of pools.
 *
 * | metric | kind | attributes |
 * |---|---|---|
 * | `handshake.client.states` | gauge: clients that connect again, in this state | `handshake.protocol`, `handshake.client.state` |
 * | `handshake.client.pooled_connections` | gauge: connections of pools, `used` or `idle` | `handshake.protocol`, `handshake.client.connection_state` |
 * | `handshake.client.connections_lost` | counter: connections that have ended | `handshake.protocol` |
 * | `handshake.client.waiting_calls` | gauge: calls that wait for a connection | `handshake.protocol` |
 * | `handshake.client.failed_calls` | counter: calls that have failed with a `TransportError` | `handshake.protocol`, `handshake.client.sent` |
 * | `handshake.client.resent_calls` | counter: calls that were made again | `handshake.protocol` |
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Sent } from "../../TransportError.ts"
import { Series } from "../handshake/metrics.ts"

type Use = "idle" | "used"

type State = "Connecting" | "Ready" | "Waiting" | "Stopped"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

export const make = (protocol: string, context: Context.Context<never>) => {
  const series = (metric: Metric.Metric<number, unknown>, attributes: Readonly<Record<string, string>> = {}) =>
    new Series(metric, { "handshake.protocol": protocol, ...attributes }, context)
  const inState = (state: State) =>
    series(Metric.gauge("handshake.client.states", { description: "Clients that connect again, by state" }), {
      "handshake.client.state": state.toLowerCase()
    })
  const failed = (sent: Sent) =>
    series(
      counter(
        "handshake.client.failed_calls",
        "Calls that have failed with how a connection ended, or for want of one"
      ),
      { "handshake.client.sent": sent }
    )
  const states = {
    Connecting: inState("Connecting"),
    Ready: inState("Ready"),
    Waiting: inState("Waiting"),
    Stopped: inState("Stopped")
  }
  const ofPool = (state: Use) =>
    series(Metric.gauge("handshake.client.pooled_connections", { description: "Connections of pools, by use" }), {
      "handshake.client.connection_state": state
    })
  const pooled = { idle: ofPool("idle"), used: ofPool("used") }
  const failures = { no: failed("no"), perhaps: failed("perhaps") }
  const lost = series(counter("handshake.client.connections_lost", "Connections that have ended"))
  const resent = series(counter("handshake.client.resent_calls", "Calls that were made again on another connection"))
  const waiting = series(
    Metric.gauge("handshake.client.waiting_calls", { description: "Calls that wait for a connection" })
  )
  return {
    entered: (state: State, by: 1 | -1): void => states[state].modify(by),
    pooled: (state: Use, by: 1 | -1): void => pooled[state].modify(by),
    lost: (): void => lost.update(1),
    waiting: (by: 1 | -1): void => waiting.modify(by),
    resent: (): void => resent.update(1),
    failed: (sent: Sent): void => failures[sent].update(1)
  }
}

export type Telemetry = ReturnType<typeof make>
