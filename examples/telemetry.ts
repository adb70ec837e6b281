/**
 * What OpenTelemetry sees: handshakes as traces and metrics, exported by Effect's own OTLP exporter. Two clients come, of which
 * one greets wrongly. The collector is a small one of this example; yours listens at http://localhost:4318, for example.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Metric, Schema } from "effect"
import { Client, Codec, Handshake, Pipeline, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"
import { FetchHttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Otlp } from "effect/observability"
import { createServer } from "node:http"

const rude = Transport.framed(Codec.lines()).pipe(
  Handshake.send("Hello?"),
  Handshake.expect("Bring it!", { rejections: ["No! Go away!"] }),
  Handshake.named("line")
)

const server = Server.layer({
  protocol: Line.protocol,
  serve: Pipeline.serve((line) => Effect.succeed(line))
}).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))

const visits = Effect.gen(function*() {
  const { address } = yield* Server.Server
  const sockets = [Net.socket(address)] as const
  yield* Effect.scoped(Client.connect({ protocol: Line.protocol, sockets }))
  yield* Effect.ignore(Effect.scoped(Client.connect({ handshake: rude, sockets })))
}).pipe(Effect.provide(server))

// This is all that a program needs: it exports every few seconds, and what is left when the layer is released.
const exporter = (baseUrl: string) =>
  Otlp.layerJson({ baseUrl, resource: { serviceName: "lines" } }).pipe(Layer.provide(FetchHttpClient.layer))

// What the collector reads of what it gets.
const Attributes = Schema.Array(
  Schema.Struct({ key: Schema.String, value: Schema.Record(Schema.String, Schema.Unknown) })
)
const Span = Schema.Struct({ name: Schema.String, kind: Schema.Number, attributes: Attributes })
const Points = Schema.optional(Schema.Struct({ dataPoints: Schema.Array(Schema.Struct({ attributes: Attributes })) }))
const Measured = Schema.Struct({
  name: Schema.String,
  unit: Schema.String,
  sum: Points,
  gauge: Points,
  histogram: Points
})
const Traces = Schema.Struct({
  resourceSpans: Schema.Array(
    Schema.Struct({ scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Span) })) })
  )
})
const Metrics = Schema.Struct({
  resourceMetrics: Schema.Array(
    Schema.Struct({ scopeMetrics: Schema.Array(Schema.Struct({ metrics: Schema.Array(Measured) })) })
  )
})

const spans: Array<typeof Span.Type> = []
const metrics: Array<typeof Measured.Type> = []

const collector = HttpRouter.serve(
  Layer.mergeAll(
    HttpRouter.add(
      "POST",
      "/v1/traces",
      Effect.map(HttpServerRequest.schemaBodyJson(Traces), ({ resourceSpans }) => {
        spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans).flatMap((scope) => scope.spans))
        return HttpServerResponse.jsonUnsafe({})
      })
    ),
    HttpRouter.add(
      "POST",
      "/v1/metrics",
      Effect.map(HttpServerRequest.schemaBodyJson(Metrics), ({ resourceMetrics }) => {
        // The last ones count for all that went before.
        metrics.splice(0, Infinity, ...resourceMetrics.flatMap((of) => of.scopeMetrics).flatMap((of) => of.metrics))
        return HttpServerResponse.jsonUnsafe({})
      })
    ),
    HttpRouter.add("POST", "/v1/logs", HttpServerResponse.jsonUnsafe({}))
  ),
  { disableListenLog: true, disableLogger: true }
)

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  yield* Effect.provide(visits, exporter(HttpServer.formatAddress(address)))
}).pipe(
  Effect.provide(Layer.provideMerge(collector, NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))),
  // Whatever else is counted in this process is not of this example.
  Effect.provideService(Metric.MetricRegistry, new Map())
)

await Effect.runPromise(program)

// Ports are others each time.
const shown = (attributes: typeof Attributes.Type) =>
  attributes.map(({ key, value }) => `${key}=${key.endsWith(".port") ? "…" : Object.values(value)[0]}`).toSorted()

const spansOf = (kind: number, outcome: string) =>
  spans.flatMap((span) => {
    const attributes = shown(span.attributes)
    return span.kind === kind && attributes.includes(`handshake.outcome=${outcome}`) ? [span.name, ...attributes] : []
  })

// A client's span, kind 3 in OTLP, of the handshake that became ready.
console.log(spansOf(3, "ready").join("\n"))
// => line handshake
// => handshake.outcome=ready
// => handshake.protocol=line
// => handshake.role=client
// => network.local.address=127.0.0.1
// => network.local.port=…
// => network.peer.address=127.0.0.1
// => network.peer.port=…
// => network.transport=tcp
// => network.type=ipv4
// => server.address=127.0.0.1
// => server.port=…

// A server's span, kind 2, of the one that was refused.
console.log(spansOf(2, "InvalidGreeting").join("\n"))
// => line handshake
// => client.address=127.0.0.1
// => client.port=…
// => error.type=InvalidGreeting
// => handshake.outcome=InvalidGreeting
// => handshake.protocol=line
// => handshake.role=server
// => handshake.step=question
// => network.local.address=127.0.0.1
// => network.local.port=…
// => network.peer.address=127.0.0.1
// => network.peer.port=…
// => network.transport=tcp
// => network.type=ipv4
// => server.address=127.0.0.1
// => server.port=…

for (const { gauge, histogram, name, sum, unit } of metrics.toSorted((a, b) => a.name < b.name ? -1 : 1)) {
  const series = [sum, gauge, histogram].flatMap((points) => points?.dataPoints ?? [])
  console.log(`${name} in ${unit}`)
  for (const line of series.map(({ attributes }) => shown(attributes).join(" ")).toSorted()) console.log(`  ${line}`)
}
// => handshake.connections in 1
// =>   handshake.role=client
// =>   handshake.role=server
// => handshake.duration in s
// =>   handshake.protocol=line handshake.role=client unit=s
// =>   handshake.protocol=line handshake.role=server unit=s
// => handshake.outcomes in 1
// =>   error.type=InvalidGreeting handshake.outcome=InvalidGreeting handshake.protocol=line handshake.role=server
// =>   error.type=Rejected handshake.outcome=Rejected handshake.protocol=line handshake.role=client
// =>   handshake.outcome=ready handshake.protocol=line handshake.role=client
// =>   handshake.outcome=ready handshake.protocol=line handshake.role=server
// => handshake.pending in 1
// =>   handshake.role=client
// =>   handshake.role=server
