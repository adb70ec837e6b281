/**
 * Sessions of users on two machines that share a cluster on a real PostgreSQL.
 */
import { describe, expect, it } from "@effect/vitest"
import * as EntityId from "effect/cluster/EntityId"
import * as Sharding from "effect/cluster/Sharding"
import * as TestRunner from "effect/cluster/TestRunner"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { machine } from "../examples/sessions/server.ts"
import { Logins, Session, SessionLive, withSession } from "../examples/sessions/session.ts"
import * as Net from "../src/node/Net.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as Peers from "./support/peers.ts"
import * as Postgres from "./support/postgres.ts"

const host = "127.0.0.1"

/** A machine, until its scope or that of the test is closed. */
const start = Effect.fnUntraced(function*(name: string) {
  const postgres = yield* Postgres.PostgresServer
  const scope = yield* Scope.fork(yield* Effect.scope)
  const layer = machine({
    name,
    port: 0,
    cluster: { host, port: yield* Peers.freePort },
    database: { host, port: postgres.port, username: "postgres", database: "postgres" },
    sharding: {
      shardsPerGroup: 4,
      refreshAssignmentsInterval: "50 millis",
      sendRetryInterval: "20 millis"
    }
  })
  // Two of them in one process have nothing in common.
  const context = yield* Layer.buildWithMemoMap(layer, Layer.makeMemoMapUnsafe(), scope)
  return { name, context, address: Context.get(context, Server.Server).address, stop: Scope.close(scope, Exit.void) }
})

type Machine = Effect.Success<ReturnType<typeof start>>

/** A connection that has sent its login. */
const connect = Effect.fnUntraced(function*({ address }: Machine, user: string) {
  const transport = yield* Effect.provideServiceEffect(Line.client, Socket.Socket, Net.socket(address))
  yield* transport.send(`LOGIN ${user}`)
  return {
    hear: transport.receive,
    ask: (line: string) => Effect.andThen(transport.send(line), transport.receive),
    // What is said at the end, and how that is.
    last: Effect.all([
      transport.receive,
      Effect.map(Effect.flip(transport.receive), ({ reason }) => reason._tag)
    ])
  }
})

/** One that has the session. */
const login = Effect.fnUntraced(function*(machine: Machine, user: string) {
  const connection = yield* connect(machine, user)
  const [word, number] = (yield* connection.hear).split(" ")
  expect(word).toBe("WELCOME")
  return { ...connection, number: Number(number) }
})

/** Whether the entity of a user is on this machine. */
const knows = (machine: Machine, user: string) =>
  Effect.flatMap(
    Session.getShardId(EntityId.make(user)),
    (shard) => Effect.map(Sharding.Sharding, (sharding) => sharding.hasShardId(shard))
  ).pipe(Effect.provide(machine.context))

/** A user whose entity is on the first of two machines, once both have their share. */
const userOf = (here: Machine, there: Machine): Effect.Effect<string> =>
  Effect.gen(function*() {
    const users = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"]
    const known = yield* Effect.filter(users, (user) => knows(here, user))
    const others = yield* Effect.filter(users, (user) => knows(there, user))
    if (known.length > 0 && known.length + others.length === users.length && others.length > 0) return known[0]
    return yield* Effect.delay(userOf(here, there), "10 millis")
  })

/** Until a machine finds the session there: an entity that has moved is asked again a little later. */
const untilHeldBy = (name: string, machine: Machine, user: string): Effect.Effect<void, unknown> =>
  Effect.flatMap(Session.client, (client) => client(user).Holder()).pipe(
    Effect.provide(machine.context),
    Effect.flatMap((found) =>
      found === name ? Effect.void : Effect.delay(untilHeldBy(name, machine, user), "10 millis")
    )
  )

describe("the session of a user", () => {
  // Begins a session, and tells what has become of it: it is under way, or how it ended.
  const session = Effect.gen(function*() {
    let state = "waits"
    yield* withSession(
      { user: "alice", machine: "a" },
      () => Effect.andThen(Effect.sync(() => state = "has begun"), Effect.never)
    ).pipe(
      Effect.catch((error) => Effect.sync(() => state = error._tag)),
      Effect.forkScoped({ startImmediately: true })
    )
    return () => state
  })
  const inCluster = (entity: typeof SessionLive) =>
    Layer.merge(Layer.provideMerge(entity, TestRunner.layer), Layer.succeed(Logins, { next: Effect.succeed(1) }))
  const silent = Session.toLayer({ Hold: () => Stream.never, Holder: () => Effect.succeed(null) }, {
    concurrency: "unbounded"
  })

  it.effect("is nobody's where none says within 15 seconds whose it is", () =>
    Effect.gen(function*() {
      const state = yield* session
      yield* TestClock.adjust("14999 millis")
      expect(state()).toBe("waits")
      yield* TestClock.adjust("1 millis")
      expect(state()).toBe("Unknown")
    }).pipe(Effect.scoped, Effect.provide(inCluster(silent))))

  it.effect("goes on for as long as it is said whose it is", () =>
    Effect.gen(function*() {
      const state = yield* session
      yield* TestClock.adjust("1 minute")
      expect(state()).toBe("has begun")
    }).pipe(Effect.scoped, Effect.provide(inCluster(SessionLive))))
})

Postgres.describeServer("sessions on two machines", {
  version: 18,
  hba: ["host all postgres 127.0.0.1/32 trust"],
  certificate: "none"
}, (it) => {
  const quiet = Effect.provide(Logger.layer([]))

  it.effect("a second login on the same machine takes the session over, and the first is told so and closed", () =>
    Effect.gen(function*() {
      const a = yield* start("a")
      const first = yield* login(a, "alice")
      expect(yield* first.ask("one")).toBe("a has noted: one")
      const second = yield* login(a, "alice")
      expect(yield* first.last).toEqual(["TAKEN a", "ConnectionClosed"])
      expect(yield* second.ask("two")).toBe("a has noted: two")
      expect(second.number).toBeGreaterThan(first.number)
    }).pipe(quiet))

  it.effect("a second login on the other machine takes it over, and other users keep theirs", () =>
    Effect.gen(function*() {
      const a = yield* start("a")
      const b = yield* start("b")
      const other = yield* login(a, "bob")
      const first = yield* login(a, "alice")
      yield* untilHeldBy("a", b, "alice")
      const second = yield* login(b, "alice")
      expect(yield* first.last).toEqual(["TAKEN b", "ConnectionClosed"])
      expect(yield* second.ask("two")).toBe("b has noted: two")
      yield* untilHeldBy("b", a, "alice")
      expect(yield* other.ask("three")).toBe("a has noted: three")
    }).pipe(quiet))

  it.effect("where a machine goes, its sessions can be had on the other one", () =>
    Effect.gen(function*() {
      const a = yield* start("a")
      const b = yield* start("b")
      const user = yield* userOf(a, b)
      const first = yield* login(a, user)
      yield* a.stop
      expect(yield* first.last).toEqual(["BYE", "ConnectionClosed"])
      const second = yield* login(b, user)
      expect(yield* second.ask("one")).toBe("b has noted: one")
    }).pipe(quiet))

  it.effect("where the machine goes that knows of a session, it stays where it is, and is taken over as before", () =>
    Effect.gen(function*() {
      const a = yield* start("a")
      const b = yield* start("b")
      const user = yield* userOf(a, b)
      const first = yield* login(b, user)
      yield* a.stop
      yield* untilHeldBy("b", b, user)
      expect(yield* first.ask("one")).toBe("b has noted: one")
      const second = yield* login(b, user)
      expect(yield* first.last).toEqual(["TAKEN b", "ConnectionClosed"])
      expect(second.number).toBeGreaterThan(first.number)
    }).pipe(quiet))

  it.effect("of logins that come at once the last one has the session, and all others are told so and closed", () =>
    Effect.gen(function*() {
      const machines = [yield* start("a"), yield* start("b")]
      const connections = yield* Effect.forEach(
        [0, 1, 2, 3, 4, 5],
        (n) => connect(machines[n % 2], "alice"),
        { concurrency: "unbounded" }
      )
      const heard = connections.map((): Array<string> => [])
      const closed = yield* Effect.forEach(
        connections,
        ({ hear }, n) => Effect.forkScoped(Effect.forever(Effect.map(hear, (line) => heard[n].push(line))))
      )
      // The last one is heard of when the others have gone.
      while (
        closed.filter((fiber) => fiber.pollUnsafe() !== undefined).length < 5 ||
        heard.some((lines) => lines.length === 0)
      ) {
        yield* Effect.sleep("10 millis")
      }
      const [{ last }] = yield* (yield* Postgres.PostgresServer).query("select last_value as last from logins")
      expect(heard.filter(([first]) => first === `WELCOME ${last}`)).toEqual([[`WELCOME ${last}`]])
      expect(heard.filter((lines) => /^TAKEN [ab]$/.test(lines.at(-1) ?? "")).length).toBe(5)
    }).pipe(quiet))

  it.effect("a login that comes later to whom knows of the session than one that was later has not got it", () =>
    Effect.gen(function*() {
      const { context } = yield* start("a")
      const client = yield* Effect.provide(Session.client, context)
      const hold = Effect.fnUntraced(function*(machine: string, login: number) {
        const heard = yield* Queue.unbounded<string>()
        yield* client("alice").Hold({ machine, login }).pipe(
          Stream.filter(({ _tag }) => _tag !== "Wait"),
          Stream.runForEach((news) => Queue.offer(heard, news._tag === "Taken" ? `taken by ${news.by}` : "yours")),
          Effect.forkScoped
        )
        return heard
      })
      const later = yield* hold("b", 2)
      expect(yield* Queue.take(later)).toBe("yours")
      const earlier = yield* hold("a", 1)
      expect(yield* Queue.take(earlier)).toBe("taken by b")
      expect(yield* Queue.size(later)).toBe(0)
    }).pipe(quiet))

  it.effect("who takes a session over begins when whoever had it has stopped", () =>
    Effect.gen(function*() {
      const { context } = yield* start("a")
      const log: Array<string> = []
      const session = Effect.fnUntraced(function*(name: string) {
        const begun = yield* Deferred.make<void>()
        const serve = Effect.andThen(Effect.sync(() => log.push(`${name} begins`)), Deferred.succeed(begun, undefined))
        yield* withSession({ user: "alice", machine: name }, () =>
          Effect.andThen(serve, Effect.never).pipe(
            Effect.onInterrupt(() => Effect.delay(Effect.sync(() => log.push(`${name} has stopped`)), "100 millis"))
          )).pipe(Effect.provide(context), Effect.forkScoped)
        yield* Deferred.await(begun)
      })
      yield* session("the first")
      yield* session("the second")
      expect(log).toEqual(["the first begins", "the first has stopped", "the second begins"])
    }).pipe(quiet))
})
