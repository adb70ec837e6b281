/**
 * One of several servers behind a balancer, each a process of its own: a line is a booking, which must neither be lost nor
 * be done twice. SIGTERM ends it in order: it says that it leaves, drains, and is gone.
 *
 * See [docs/many-machines.md](../../docs/many-machines.md).
 */
import { NodeHttpServer, NodeRedis, NodeRuntime } from "@effect/platform-node"
import { Config, Duration, Effect, Layer } from "effect"
import { Admission, Pipeline, Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"
import * as Proxy from "effect-handshake/protocols/Proxy"
import { HttpRouter } from "effect/http"
import { Redis } from "effect/persistence"
import { createServer } from "node:http"
import { announced, Readiness, route } from "./readiness.ts"

const settings = Config.all({
  name: Config.String("NAME"),
  port: Config.Port("PORT"),
  healthPort: Config.Port("HEALTH_PORT"),
  redis: Config.String("REDIS_URL"),
  // A little more than the balancer takes to see that this one leaves.
  notice: Config.Duration("NOTICE").pipe(Config.withDefault(Duration.seconds(5))),
  lease: Config.Duration("LEASE").pipe(Config.withDefault(Duration.seconds(15)))
})

const book = (name: string) => (line: string) =>
  Effect.flatMap(Redis.Redis, (redis) => redis.send("HINCRBY", "bookings", line, "1")).pipe(
    // It is work, and takes its time.
    Effect.delay("3 millis"),
    Effect.as(`${name} has booked ${line}`)
  )

const Machine = Effect.map(settings, ({ healthPort, lease, name, notice, port, redis }) => {
  const Health = HttpRouter.serve(route, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: healthPort }))
  )
  const Bookings = Server.layer({
    protocol: { name: "line", server: Line.server.pipe(Proxy.server({ trust: ["127.0.0.0/8"] })) },
    serve: Pipeline.serve(book(name), {
      maxInFlight: 8,
      failure: () => "ERROR the booking was not done, or nobody knows",
      goodbye: "BYE"
    }),
    // One limit for all machines together.
    admission: Admission.Admission,
    drainTimeout: "10 seconds"
  }).pipe(
    Layer.provide(Net.layerServer({ host: "127.0.0.1", port })),
    Layer.provide(Admission.layerRedis({ limits: [Admission.inAll({ atOnce: 100 })], ifUnavailable: "closed", lease }))
  )
  // What stands last is built first and goes last.
  return announced(notice).pipe(
    Layer.provide(Bookings),
    Layer.provide(NodeRedis.layer({ url: redis, disableOfflineQueue: true })),
    Layer.provide(Health),
    Layer.provide(Readiness.layer)
  )
}).pipe(Layer.unwrap)

NodeRuntime.runMain(Layer.launch(Machine))
