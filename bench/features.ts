/**
 * What each feature adds to a connection and to a request, next to a server with everything on that is on by default.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Admission from "../src/Admission.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as Service from "../src/Service.ts"
import * as Transcript from "../src/Transcript.ts"
import { accepting, Client, cost, hello } from "./accepting.ts"

type Lines = Effect.Success<typeof Line.server>

interface Feature {
  readonly handshake?: typeof Line.server
  readonly serve?: (transport: Lines) => Effect.Effect<unknown, unknown>
  readonly admission?: Admission.Options
  readonly writeTimeout?: "10 seconds"
  readonly tracer?: Tracer.Tracer
  /** Whether somebody hears the server's events. */
  readonly isHeard?: true
}

const handler = (line: string) => Effect.succeed(line)
const serve = Pipeline.serve(handler)
const sleeping = (line: string) => Effect.as(Effect.yieldNow, line)

/** Keeps nothing: what an exporter does with its spans is the exporter's. */
const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

const features = {
  defaults: {},
  "a transcript of each handshake": {
    handshake: Effect.flatMap(Transcript.record(Line.server), ([exit]) => exit)
  },
  "Admission by address": {
    admission: {
      limits: [
        Admission.byAddress({
          atOnce: 1_000_000,
          connections: { limit: 1_000_000_000, window: "1 second" },
          failures: { limit: 5, window: "1 minute" }
        })
      ]
    }
  },
  "a subscriber to events": { isHeard: true },
  "a tracer": { tracer },
  "a service that makes a span": {
    tracer,
    serve: Pipeline.serve((line: string) => Effect.withSpan(Effect.succeed(line), "request"))
  },
  writeTimeout: { writeTimeout: "10 seconds" },
  "Middleware.idleTimeout": {
    serve: (transport) => Effect.scoped(Effect.flatMap(Middleware.idleTimeout(transport, "1 minute"), serve))
  },
  "Middleware.pingPong": {
    serve: (transport) =>
      Effect.scoped(
        Effect.flatMap(Middleware.pingPong(transport, { pong: (line) => line === "PING" ? "PONG" : undefined }), serve)
      )
  },
  "Service.limit": { serve: Pipeline.serve(Service.limit(handler, Semaphore.makeUnsafe(64))) },
  "a service that sleeps": { serve: Pipeline.serve(sleeping) },
  "Service.timeout, of one that sleeps": { serve: Pipeline.serve(Service.timeout(sleeping, "10 seconds")) }
} satisfies Record<string, Feature>

export type Kind = keyof typeof features

export const kinds = Object.keys(features) as ReadonlyArray<Kind> // its keys are those above

const serving = Effect.fnUntraced(function*(kind: Kind) {
  const { admission, handshake, isHeard, serve: own, tracer, writeTimeout }: Feature = features[kind]
  const { accept, socketServer } = accepting()
  const server = yield* Server.make({
    handshake: handshake ?? Line.server,
    serve: own ?? serve,
    ...admission !== undefined && { admission: Admission.make(admission) },
    ...writeTimeout !== undefined && { writeTimeout }
  }).pipe(
    Effect.provideService(SocketServer.SocketServer, socketServer),
    Effect.provideContext(tracer === undefined ? Context.empty() : Context.make(Tracer.Tracer, tracer))
  )
  if (isHeard === true) yield* Effect.forkScoped(Stream.runDrain(server.events), { startImmediately: true })
  yield* Effect.yieldNow
  return { accept, server }
})

const connections = 200

const measureConnections = (kind: Kind, seconds: number): Effect.Effect<number> =>
  Effect.scoped(Effect.gen(function*() {
    const { accept, server } = yield* serving(kind)
    const isThere = Effect.map(server.counts, (counts) => counts.connections > 0)
    return yield* cost(
      Effect.gen(function*() {
        const clients = Array.from({ length: connections }, () => new Client("192.0.2.1"))
        for (const client of clients) accept(client)
        while (clients.some((client) => client.heard === 0)) yield* Effect.sleep(0)
        for (const client of clients) client.leave()
        while (yield* isThere) yield* Effect.sleep(0)
        return connections
      }),
      seconds
    )
  }))

const together = 32
const batches = 64
const request = "a request of 32 bytes, as it is\n"
const requests = new TextEncoder().encode(request.repeat(together))

const measureRequests = (kind: Kind, seconds: number): Effect.Effect<number> =>
  Effect.scoped(Effect.gen(function*() {
    const { accept } = yield* serving(kind)
    const client = new Client("192.0.2.1", hello)
    accept(client)
    while (client.heard === 0) yield* Effect.sleep(0)
    return yield* cost(
      Effect.gen(function*() {
        for (let i = 0; i < batches; i++) {
          const all = client.heard + requests.length
          client.say(requests)
          while (client.heard < all) yield* Effect.yieldNow
        }
        return together * batches
      }),
      seconds
    )
  }))

/** The processor's microseconds. */
export interface Cost {
  readonly connection: number
  readonly request: number
}

export const measure = (kind: Kind, seconds: number): Effect.Effect<Cost> =>
  Effect.gen(function*() {
    return {
      connection: yield* measureConnections(kind, seconds / 2),
      request: yield* measureRequests(kind, seconds / 2)
    }
  })
