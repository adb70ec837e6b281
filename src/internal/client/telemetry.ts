/**
 * The metrics of clients that connect again.
 *
 * | metric | kind | attributes |
 * |---|---|---|
 * | `client_states` | gauge: clients in this state | `protocol`, `state` |
 * | `client_connections_lost_total` | counter: connections that have ended | `protocol` |
 * | `client_waiting_calls` | gauge: calls that wait for a connection | `protocol` |
 * | `client_failed_calls_total` | counter: calls that have failed with a `TransportError` | `protocol`, `sent` |
 * | `client_resent_calls_total` | counter: calls that were made again | `protocol` |
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Sent } from "../../TransportError.ts"
import { Series } from "../handshake/telemetry.ts"

type State = "Connecting" | "Ready" | "Waiting" | "Stopped"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

export const make = (protocol: string, context: Context.Context<never>) => {
  const series = (metric: Metric.Metric<number, unknown>, attributes: Readonly<Record<string, string>> = {}) =>
    new Series(metric, { protocol, ...attributes }, context)
  const inState = (state: State) =>
    series(Metric.gauge("client_states", { description: "Clients that connect again, by state" }), {
      state: state.toLowerCase()
    })
  const failed = (sent: Sent) =>
    series(
      counter("client_failed_calls_total", "Calls that have failed with how a connection ended, or for want of one"),
      { sent }
    )
  const states = {
    Connecting: inState("Connecting"),
    Ready: inState("Ready"),
    Waiting: inState("Waiting"),
    Stopped: inState("Stopped")
  }
  const failures = { no: failed("no"), perhaps: failed("perhaps") }
  const lost = series(counter("client_connections_lost_total", "Connections that have ended"))
  const resent = series(counter("client_resent_calls_total", "Calls that were made again on another connection"))
  const waiting = series(Metric.gauge("client_waiting_calls", { description: "Calls that wait for a connection" }))
  return {
    entered: (state: State, by: 1 | -1): void => states[state].modify(by),
    lost: (): void => lost.update(1),
    waiting: (by: 1 | -1): void => waiting.modify(by),
    resent: (): void => resent.update(1),
    failed: (sent: Sent): void => failures[sent].update(1)
  }
}

export type Telemetry = ReturnType<typeof make>
