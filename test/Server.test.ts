import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import type { HandshakeError } from "../src/HandshakeError.ts"
import { annotateTls } from "../src/internal/handshake/telemetry.ts"
import * as Multiplex from "../src/Multiplex.ts"
import type * as Peer from "../src/Peer.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Protocol from "../src/Protocol.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as Direct from "../src/testing/internal/direct.ts"
import * as Fast from "../src/testing/internal/fast.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import type { TransportError } from "../src/TransportError.ts"
import { rawPeer, utf8 } from "./support/conversation.ts"
import { byId, byIdWithBodies, inOrder } from "./support/fourKinds.ts"
import { echo, saying, serving, settled } from "./support/serving.ts"
import { recording } from "./support/spans.ts"

/** A handshake that is done at once. */
const lines = Transport.framed(Codec.lines())

/** Each answer takes a second. */
const slowEcho = Pipeline.serve<string, string>((line) => Effect.delay(Effect.succeed(line), "1 second"))

/** A server whose service ends at once, and a peer that does not. */
const leaving = Effect.fnUntraced(function*(limits: Server.Limits = {}) {
  const { server: socketServer, take } = yield* Fast.listener()
  const { counts, drain } = yield* Server.make({ ...limits, handshake: lines, serve: () => Effect.void }).pipe(
    Effect.provideService(SocketServer.SocketServer, socketServer)
  )
  const [here, there] = Direct.pair()
  const peer = yield* rawPeer(there)
  const accept = yield* take
  accept(yield* Fast.accepted(here))
  return { counts, drain, peer }
})

const tags = (events: ReadonlyArray<Server.Event>) => events.map((event) => event._tag)

describe("a connection", () => {
  it.effect("is greeted and served, its first requests in the greeting's segment", () =>
    Effect.gen(function*() {
      const { events, network, server } = yield* serving()
      const peer = yield* saying(network, "You ready?\nHello\nGoodbye\n")
      expect(peer.heard()).toBe("Bring it!\nHello\nGoodbye\n")
      yield* peer.end
      yield* peer.closed
      yield* settled
      expect(tags(events)).toEqual(["Accepted", "Ready", "Closed"])
      expect(yield* server.counts).toEqual({ connections: 0, pending: 0, refusing: 0 })
    }))

  it.effect("with a wrong greeting hears the refusal, and no request of it reaches the service", () =>
    Effect.gen(function*() {
      let served = 0
      const { events, network } = yield* serving({
        serve: () => Effect.sync(() => served++)
      })
      const peer = yield* saying(network, "Hi there\nHello\n")
      yield* peer.end
      yield* peer.closed
      yield* settled
      expect(peer.heard()).toBe("No! Go away!\n")
      expect(served).toBe(0)
      expect(tags(events)).toEqual(["Accepted", "Refused", "Closed"])
      expect(events[1]).toMatchObject({ reason: "InvalidGreeting" })
    }))

  it.effect("whose service has ended waits for its peer's end, a second and no longer", () =>
    Effect.gen(function*() {
      const { counts } = yield* leaving()
      yield* TestClock.adjust("999 millis")
      expect(yield* counts).toMatchObject({ connections: 1 })
      yield* TestClock.adjust("1 millis")
      expect(yield* counts).toMatchObject({ connections: 0 })
    }))

  it.effect("whose service has ended is closed as soon as its peer ends too", () =>
    Effect.gen(function*() {
      const { counts, peer } = yield* leaving()
      yield* settled
      expect(yield* counts).toMatchObject({ connections: 1 })
      yield* peer.end
      expect(yield* counts).toMatchObject({ connections: 0 })
    }))

  it.effect("that ends without a word is failed, and nobody is answered", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving()
      const peer = yield* saying(network, "")
      yield* peer.end
      yield* peer.closed
      yield* settled
      expect(peer.heard()).toBe("")
      expect(tags(events)).toEqual(["Accepted", "Failed", "Closed"])
    }))

  it.effect("is closed whatever its handshake does, also if it never opens the socket", () =>
    Effect.gen(function*() {
      for (const handshake of [Effect.die("a bug"), Effect.never]) {
        const { network, server } = yield* serving({ handshake })
        const peer = yield* saying(network, "You ready?\n")
        yield* TestClock.adjust("10 seconds")
        yield* peer.end
        yield* peer.closed
        yield* settled
        expect(yield* server.counts).toMatchObject({ connections: 0, pending: 0 })
      }
    }))

  it.effect("that dies of a defect disturbs no other", () =>
    Effect.gen(function*() {
      const { network } = yield* serving({
        serve: Pipeline.serve<string, string>((line) => line === "boom" ? Effect.die("a bug") : Effect.succeed(line))
      })
      const [good, bad] = [yield* saying(network, "You ready?\n"), yield* saying(network, "You ready?\nboom\n")]
      yield* Effect.andThen(bad.end, bad.closed)
      yield* good.write(utf8("Hello\n"))
      yield* settled
      expect(good.heard()).toBe("Bring it!\nHello\n")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
})

describe("the deadline", () => {
  it.effect("turns a silent peer away after ten seconds by default, and not before", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving()
      const peer = yield* saying(network, "You re")
      yield* TestClock.adjust("9998 millis")
      expect(tags(events)).toEqual(["Accepted"])
      yield* TestClock.adjust("1 millis")
      expect(peer.heard()).toBe("No! Go away!\n")
      expect(events[1]).toMatchObject({ _tag: "Refused", reason: "Timeout" })
      yield* peer.end
      yield* peer.closed
    }))

  it.effect("of 0 turns away whoever is not ready at once, and nobody else", () =>
    Effect.gen(function*() {
      const waiting = yield* serving({ handshakeTimeout: 0 })
      const slow = yield* saying(waiting.network, "")
      expect(slow.heard()).toBe("No! Go away!\n")
      const immediate = yield* serving({ handshakeTimeout: 0, handshake: Effect.orDie(lines) })
      const quick = yield* saying(immediate.network, "Hello\n")
      expect(quick.heard()).toBe("Hello\n")
    }))

  it.effect("never strikes a connection that is ready", () =>
    Effect.gen(function*() {
      const { network } = yield* serving()
      const peer = yield* saying(network, "You ready?\n")
      yield* TestClock.adjust("1 day")
      yield* peer.write(utf8("still here\n"))
      yield* settled
      expect(peer.heard()).toBe("Bring it!\nstill here\n")
    }))
})

describe("the refusal", () => {
  /** A server of the line protocol that refuses in this way, and its counts. */
  const refusing = Effect.fnUntraced(function*(refuse: Handshake.Refuse) {
    const network = yield* MemorySocket.network()
    const server = yield* Server.make({ handshake: Handshake.withRefusal(Line.server, refuse), serve: echo }).pipe(
      Effect.provideService(SocketServer.SocketServer, network.server)
    )
    return { network, server }
  })

  it.effect("has a second to reach the peer, though its deadline passes meanwhile", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving()
      const peer = yield* saying(network, "")
      yield* TestClock.adjust("9500 millis")
      yield* peer.write(utf8("Hi there\n"))
      yield* TestClock.adjust("999 millis")
      expect(tags(events)).toEqual(["Accepted", "Refused"])
      yield* settled
      expect(tags(events)).toEqual(["Accepted", "Refused", "Closed"])
    }))

  it.effect("has a second to reach the peer, though a drain begins meanwhile", () =>
    Effect.gen(function*() {
      const { events, network, server } = yield* serving()
      yield* saying(network, "Hi there\n")
      const draining = yield* Effect.forkChild(server.drain)
      yield* TestClock.adjust("998 millis")
      expect(tags(events)).toEqual(["Accepted", "Refused"])
      yield* settled
      yield* Fiber.join(draining)
      expect(tags(events)).toEqual(["Accepted", "Refused", "Closed"])
    }))

  it.effect("that takes its time is not cut short by the deadline of another", () =>
    Effect.gen(function*() {
      const { network } = yield* refusing((why) => Effect.delay(Handshake.turnAway(Line.server, why), "1 second"))
      const first = yield* saying(network, "")
      yield* TestClock.adjust("500 millis")
      const second = yield* saying(network, "")
      yield* TestClock.adjust("12 seconds")
      expect([first.heard(), second.heard()]).toEqual(["No! Go away!\n", "No! Go away!\n"])
    }))

  it.effect("may still read when a drain begins meanwhile", () =>
    Effect.gen(function*() {
      const reading = Effect.gen(function*() {
        const transport = yield* lines
        yield* transport.receive
        yield* transport.send("No!")
        return yield* Effect.die("all is said")
      })
      const { network, server } = yield* refusing(() => Effect.orDie(reading))
      const peer = yield* saying(network, "")
      yield* TestClock.adjust("10 seconds")
      const draining = yield* Effect.forkChild(server.drain)
      yield* settled
      yield* peer.write(utf8("Who are you?\n"))
      yield* settled
      expect(peer.heard()).toBe("No!\n")
      yield* Effect.andThen(peer.end, peer.closed)
      yield* Fiber.join(draining)
    }))

  it.effect("that throws says nothing, and the connection is closed all the same", () =>
    Effect.gen(function*() {
      const { network, server } = yield* refusing(() => {
        throw new Error("a bug")
      })
      const peer = yield* saying(network, "")
      yield* TestClock.adjust("10 seconds")
      expect(peer.heard()).toBe("")
      yield* Effect.andThen(peer.end, peer.closed)
      yield* settled
      expect(yield* server.counts).toEqual({ connections: 0, pending: 0, refusing: 0 })
    }))
})

describe("the limits", () => {
  it.effect("maxConnections: one too many hears the refusal at once, and the place is given again", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving({ maxConnections: 2 })
      const [first] = [yield* saying(network, "You ready?\n"), yield* saying(network, "You ready?\n")]
      const third = yield* saying(network, "")
      expect(third.heard()).toBe("No! Go away!\n")
      expect(events.at(-1)).toMatchObject({ _tag: "Refused", reason: "Rejected" })
      yield* Effect.andThen(third.end, third.closed)
      yield* Effect.andThen(first.end, first.closed)
      yield* settled
      const fourth = yield* saying(network, "You ready?\n")
      expect(fourth.heard()).toBe("Bring it!\n")
    }))

  it.effect("a handshake without words says nothing for want of room, though its peer talks", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      yield* Server.make({ handshake: Handshake.send(lines, "Welcome"), serve: echo, maxConnections: 0 }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server)
      )
      const peer = yield* saying(network, "You ready?\n")
      expect(peer.heard()).toBe("")
      yield* Effect.andThen(peer.end, peer.closed)
    }))

  const wrapped: Record<
    string,
    (self: typeof Line.server) => Effect.Effect<
      Transport.Transport<string, string>,
      HandshakeError | TransportError,
      Socket.Socket | Scope.Scope
    >
  > = {
    "named": Handshake.named("other"),
    "given a deadline": Handshake.deadline("1 second"),
    "given a byte limit": Handshake.byteLimit(100),
    "extended": Handshake.extend({ protocol: "line" }),
    "a step": Handshake.step("mine"),
    "mapped": Effect.map(Transport.extend({ protocol: "line" })),
    "tapped": Effect.tap(() => Effect.void),
    "given a layer": Effect.provide(Layer.empty),
    "given a span": Effect.withSpan("mine"),
    "given a log annotation": Effect.annotateLogs("protocol", "line"),
    "given no failures": Effect.orDie,
    "caught": Effect.catch((error) => Effect.fail(error)),
    "timed": (self) => Effect.map(Effect.timed(self), ([, transport]) => transport),
    "begun later": (self) => Effect.suspend(() => self),
    "written by hand": (self) =>
      Effect.gen(function*() {
        yield* Effect.yieldNow
        return yield* self
      }),
    "raced": (self) => Effect.raceFirst(self, Effect.never),
    "ensured": Effect.ensuring(Effect.void),
    "a branch": (self) => Handshake.firstOf([{ name: "line", accepts: () => true, handshake: self }]),
    "inside another": Handshake.inside(lines)
  }
  it.effect.each(Object.entries(wrapped))(
    "a handshake that is %s keeps its refusal for want of room",
    ([, wrap]) =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network()
        yield* Server.make({ handshake: wrap(Line.server), serve: echo, maxConnections: 0 }).pipe(
          Effect.provideService(SocketServer.SocketServer, network.server)
        )
        const peer = yield* saying(network, "You")
        expect(peer.heard()).toBe("No! Go away!\n")
        yield* Effect.andThen(peer.end, peer.closed)
      })
  )

  it.effect.each(Object.entries(wrapped))(
    "a handshake that is %s keeps its refusal at the deadline",
    ([, wrap]) =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network()
        // Before the deadline of the one that has its own.
        const options = { handshake: wrap(Line.server), serve: echo, handshakeTimeout: "500 millis" } as const
        yield* Effect.provideService(Server.make(options), SocketServer.SocketServer, network.server)
        const peer = yield* saying(network, "You")
        yield* TestClock.adjust("498 millis")
        expect(peer.heard()).toBe("")
        yield* TestClock.adjust("1 millis")
        expect(peer.heard()).toBe("No! Go away!\n")
        yield* Effect.andThen(peer.end, peer.closed)
      })
  )

  it.effect.each(Object.entries(wrapped))(
    "a handshake that is %s keeps its refusal in a drain",
    ([, wrap]) =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network()
        const server = yield* Server.make({ handshake: wrap(Line.server), serve: echo }).pipe(
          Effect.provideService(SocketServer.SocketServer, network.server)
        )
        const peer = yield* saying(network, "You")
        const draining = yield* Effect.forkChild(server.drain)
        yield* settled
        expect(peer.heard()).toBe("No! Go away!\n")
        yield* Effect.andThen(peer.end, peer.closed)
        yield* Fiber.join(draining)
      })
  )

  it.effect("the words of the outer of two are said", () =>
    Effect.gen(function*() {
      const outer = Handshake.withRefusal(Line.server, (why) => Handshake.refuse(lines, `outer ${why}`))
      for (const [maxConnections, heard] of [[0, "outer capacity\n"], [1, "outer deadline\n"]] as const) {
        const network = yield* MemorySocket.network()
        yield* Server.make({ handshake: outer, serve: echo, maxConnections }).pipe(
          Effect.provideService(SocketServer.SocketServer, network.server)
        )
        const peer = yield* saying(network, "")
        yield* TestClock.adjust("10 seconds")
        expect(peer.heard()).toBe(heard)
        yield* Effect.andThen(peer.end, peer.closed)
      }
    }))

  it.effect("the words may need a service", () =>
    Effect.gen(function*() {
      class Words extends Context.Service<Words, { readonly no: string }>()("test/Words") {}
      const polite = Protocol.make({
        name: "polite",
        server: Line.server,
        client: Line.client,
        refuse: () => Effect.flatMap(Words, ({ no }) => Handshake.refuse(lines, no))
      })
      const network = yield* MemorySocket.network()
      yield* Server.make({ protocol: polite, serve: echo, maxConnections: 0 }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server),
        Effect.provideService(Words, { no: "Sorry" })
      )
      const peer = yield* saying(network, "")
      expect(peer.heard()).toBe("Sorry\n")
      yield* Effect.andThen(peer.end, peer.closed)
    }))

  it.effect("of two handshakes inside each other, the outer one says no where it has words", () =>
    Effect.gen(function*() {
      const outer = Handshake.withRefusal(lines, () => Handshake.refuse(lines, "421 full"))
      const network = yield* MemorySocket.network()
      yield* Server.make({ handshake: Handshake.inside(Line.server, outer), serve: echo, maxConnections: 0 }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server)
      )
      const peer = yield* saying(network, "")
      expect(peer.heard()).toBe("421 full\n")
      yield* Effect.andThen(peer.end, peer.closed)
    }))

  it.effect("of two handshakes inside each other, the outer one is done before the inner one says no", () =>
    Effect.gen(function*() {
      const outer = Handshake.expect(lines, "PROXY")
      const network = yield* MemorySocket.network()
      yield* Server.make({ handshake: Handshake.inside(Line.server, outer), serve: echo, maxConnections: 0 }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server)
      )
      const peer = yield* saying(network, "")
      expect(peer.heard()).toBe("")
      yield* peer.write(utf8("PROXY\nYou"))
      yield* settled
      expect(peer.heard()).toBe("No! Go away!\n")
      yield* Effect.andThen(peer.end, peer.closed)
    }))

  it.effect("of many protocols, the one that was asked for says no", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      const lines = Transport.framed(Codec.lines())
      const begins = (letter: string) => (bytes: Uint8Array) => bytes[0] === letter.charCodeAt(0)
      const handshake = Handshake.firstOf([
        { name: "line", accepts: begins("Y"), handshake: Line.server },
        {
          name: "mail",
          accepts: begins("M"),
          handshake: lines.pipe(Handshake.expect("MAIL"), Handshake.withRefusal(() => Handshake.refuse(lines, "FULL")))
        },
        { name: "mute", accepts: () => true, handshake: lines }
      ])
      yield* Server.make({ handshake, serve: echo, maxConnections: 0 }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server)
      )
      for (const [said, heard] of [["You ready?\n", "No! Go away!\n"], ["MAIL\n", "FULL\n"], ["?\n", ""]] as const) {
        const peer = yield* saying(network, said)
        expect(peer.heard()).toBe(heard)
        yield* Effect.andThen(peer.end, peer.closed)
      }
    }))

  it.effect("of many protocols, the one that was chosen says that it took too long, and who chose none hears nothing", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      const handshake = Handshake.firstOf([
        { name: "line", accepts: (bytes) => bytes[0] === 89, handshake: Line.server },
        { name: "other", accepts: (bytes) => bytes.length < 4 ? undefined : true, handshake: Line.server }
      ])
      yield* Server.make({ handshake, serve: echo, handshakeTimeout: "1 second" }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server)
      )
      const chosen = yield* saying(network, "Y")
      const undecided = yield* saying(network, "?")
      yield* TestClock.adjust("1 second")
      expect([chosen.heard(), undecided.heard()]).toEqual(["No! Go away!\n", ""])
      yield* undecided.closed
    }))

  it.effect("maxPendingHandshakes: counts those that are not ready, and only those", () =>
    Effect.gen(function*() {
      const { network } = yield* serving({ maxPendingHandshakes: 1 })
      const silent = yield* saying(network, "")
      const second = yield* saying(network, "You ready?\n")
      expect(second.heard()).toBe("No! Go away!\n")
      yield* silent.write(utf8("You ready?\n"))
      yield* settled
      const third = yield* saying(network, "You ready?\n")
      expect(third.heard()).toBe("Bring it!\n")
    }))
})

describe("drain", () => {
  it.effect("may be called by a handler, which is given up after drainTimeout if it waits for it", () =>
    Effect.gen(function*() {
      const known = yield* Deferred.make<Server.Server["Service"]>()
      const shutDown = Effect.as(Effect.flatMap(Deferred.await(known), (server) => server.drain), "Good night")
      const { network, server } = yield* serving({
        serve: Pipeline.serve<string, string>(() => shutDown),
        drainTimeout: "3 seconds"
      })
      yield* Deferred.succeed(known, server)
      const peer = yield* saying(network, "You ready?\nshut down\n")
      const drained = yield* Effect.forkChild(server.awaitDrained)
      yield* TestClock.adjust("2998 millis")
      expect(drained.pollUnsafe()).toBeUndefined()
      yield* settled
      yield* Fiber.join(drained)
      yield* peer.closed
    }))

  it.effect("lets what was taken be answered, and closes then", () =>
    Effect.gen(function*() {
      const { network, server } = yield* serving({ serve: slowEcho })
      const peer = yield* saying(network, "You ready?\nHello\n")
      const draining = yield* Effect.forkChild(server.drain)
      yield* settled
      // This one comes too late.
      yield* peer.write(utf8("Goodbye\n"))
      yield* TestClock.adjust("1 second")
      expect(peer.heard()).toBe("Bring it!\nHello\n")
      yield* peer.end
      yield* peer.closed
      yield* Fiber.join(draining)
      yield* server.awaitDrained
    }))

  /** How a service of each kind begins a request. */
  const kinds = (
    begin: (text: string) => Effect.Effect<string>,
    maxInFlight = 1
  ): Readonly<
    Record<string, (transport: Transport.Transport<string, string>) => Effect.Effect<unknown, TransportError>>
  > => {
    const bounds = { maxInFlight }
    const withHead = ({ head }: { readonly head: string }) =>
      Effect.map(begin(head), (head) => ({ head, body: undefined }))
    return {
      "Pipeline.serve": Pipeline.serve(begin, bounds),
      "Pipeline.serveStreaming": Pipeline.serveStreaming(inOrder, withHead, bounds),
      "Multiplex.serve": Multiplex.serve(byId, begin, bounds),
      "Multiplex.serveStreaming": Multiplex.serveStreaming(byIdWithBodies, withHead, bounds)
    }
  }

  it.effect.each(Object.keys(kinds(Effect.succeed)))(
    "begins no request that came before it and waits: %s",
    (kind) =>
      Effect.gen(function*() {
        const begun: Array<string> = []
        const begin = (text: string) => {
          begun.push(text)
          return Effect.delay(Effect.succeed(text), "1 second")
        }
        const { network, server } = yield* serving({ serve: kinds(begin)[kind] })
        const peer = yield* saying(network, "You ready?\n1 a\n2 b\n")
        const draining = yield* Effect.forkChild(server.drain)
        yield* TestClock.adjust("3 seconds")
        expect(begun.length).toBe(1)
        expect(peer.heard()).toBe("Bring it!\n1 a\n")
        yield* peer.end
        yield* Fiber.join(draining)
      })
  )

  it.effect.each(Object.keys(kinds(Effect.succeed)))(
    "begins no request behind one whose handler begins it: %s",
    (kind) =>
      Effect.gen(function*() {
        const known = yield* Deferred.make<Server.Server["Service"]>()
        const begun: Array<string> = []
        const begin = (text: string) => {
          begun.push(text)
          return Effect.flatMap(
            Deferred.await(known),
            ({ drain }) => Effect.as(Effect.forkDetach(drain, { startImmediately: true }), text)
          )
        }
        const { network, server } = yield* serving({ serve: kinds(begin, 8)[kind] })
        yield* Deferred.succeed(known, server)
        const peer = yield* saying(network, "You ready?\n1 a\n2 b\n")
        yield* TestClock.adjust("1 second")
        expect(begun.length).toBe(1)
        expect(peer.heard()).toBe("Bring it!\n1 a\n")
        yield* peer.end
        yield* server.awaitDrained
      })
  )

  it.effect("turns away those in mid-handshake and those who come now", () =>
    Effect.gen(function*() {
      const { events, network, server } = yield* serving({ serve: slowEcho })
      const busy = yield* saying(network, "You ready?\nHello\n")
      const pending = yield* saying(network, "You re")
      yield* Effect.forkChild(server.drain)
      yield* settled
      const late = yield* saying(network, "You ready?\n")
      expect([pending.heard(), late.heard()]).toEqual(["No! Go away!\n", "No! Go away!\n"])
      // The late one was never let in.
      expect(tags(events)).toEqual(["Accepted", "Ready", "Accepted", "Refused", "Refused"])
      yield* Effect.all([busy.end, pending.end, late.end])
      yield* TestClock.adjust("1 second")
      yield* server.awaitDrained
    }))

  it.effect("gives up on a request that takes longer than drainTimeout", () =>
    Effect.gen(function*() {
      const { network, server } = yield* serving({
        serve: Pipeline.serve<string, string>(() => Effect.never),
        drainTimeout: "3 seconds"
      })
      const peer = yield* saying(network, "You ready?\nHello\n")
      const draining = yield* Effect.forkChild(server.drain)
      yield* TestClock.adjust("2999 millis")
      expect(draining.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(draining)
      yield* peer.closed
    }))

  it.effect("waits for the end of a peer whose service has ended, no longer than its drainTimeout", () =>
    Effect.gen(function*() {
      const { counts, drain } = yield* leaving({ drainTimeout: "100 millis" })
      const draining = yield* Effect.forkChild(drain)
      yield* TestClock.adjust("99 millis")
      expect(draining.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(draining)
      expect(yield* counts).toMatchObject({ connections: 0 })
    }))

  it.effect("waits for the finalizers of a connection, whatever its drainTimeout", () =>
    Effect.gen(function*() {
      const done: Array<string> = []
      const { network, server } = yield* serving({
        handshake: Line.server.pipe(
          Effect.tap(Effect.addFinalizer(() => Effect.sync(() => done.push("first")))),
          Effect.tap(Effect.addFinalizer(() => Effect.delay(Effect.sync(() => done.push("second")), "3 seconds")))
        ),
        drainTimeout: "1 second"
      })
      const peer = yield* saying(network, "You ready?\n")
      yield* peer.end
      yield* settled
      const draining = yield* Effect.forkChild(server.drain)
      yield* TestClock.adjust("2 seconds")
      expect([done, draining.pollUnsafe()]).toEqual([[], undefined])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(draining)
      expect(done).toEqual(["second", "first"])
    }))

  it.effect("ends the stream of events, for those who listen and for those who come later", () =>
    Effect.gen(function*() {
      const { network, server } = yield* serving()
      const listening = yield* Effect.forkChild(Stream.runCollect(server.events))
      yield* settled
      const peer = yield* saying(network, "You ready?\n")
      yield* peer.end
      yield* server.drain
      expect(tags(yield* Fiber.join(listening))).toEqual(["Accepted", "Ready", "Closed"])
      expect(yield* Stream.runCollect(server.events)).toEqual([])
    }))

  it.effect("is harmless twice, and so is the end of the scope after it", () =>
    Effect.gen(function*() {
      const { close, server } = yield* serving()
      yield* server.drain
      yield* server.drain
      yield* close
      yield* server.awaitDrained
    }))

  it.effect("is what the end of the scope does", () =>
    Effect.gen(function*() {
      const { close, network } = yield* serving({ serve: slowEcho })
      const peer = yield* saying(network, "You ready?\nHello\n")
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("1 second")
      expect(peer.heard()).toBe("Bring it!\nHello\n")
      yield* peer.end
      yield* Fiber.join(closing)
    }))
})

describe("what it tells", () => {
  it.effect("logs nothing of what peers do, and warns of what the service does", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make((options) => {
        logged.push(`${options.logLevel} ${String(options.message)}`)
      })
      yield* Effect.gen(function*() {
        const { network } = yield* serving({
          serve: Pipeline.serve((line: string) => line === "bad" ? Effect.fail("no") : Effect.succeed(line))
        })
        for (const said of ["", "Hi\n", "\u0000\u0001", "You ready?\nHello\n", "You ready?\ncut"]) {
          const peer = yield* saying(network, said)
          yield* Effect.andThen(peer.end, peer.closed)
        }
        expect(logged).toEqual([])
        const peer = yield* saying(network, "You ready?\nbad\n")
        yield* Effect.andThen(peer.end, peer.closed)
        yield* settled
        expect(logged).toEqual([expect.stringContaining("the service of a connection has failed")])
      }).pipe(Effect.provide(Logger.layer([logger])))
    }))

  it.effect("counts connections, pending handshakes, outcomes and durations", () =>
    Effect.gen(function*() {
      const { network } = yield* serving()
      const good = yield* saying(network, "You ready?\n")
      const bad = yield* saying(network, "Hi\n")
      yield* Effect.andThen(bad.end, bad.closed)
      yield* saying(network, "You")
      const state = yield* Metric.snapshot
      const find = (id: string, attributes: Record<string, string>) =>
        state.find((metric) =>
          metric.id === id &&
          Object.entries(attributes).every(([key, value]) => metric.attributes?.[key] === value)
        )?.state
      const line = { "handshake.role": "server", "handshake.protocol": "line" }
      expect(find("handshake.connections", { "handshake.role": "server" })).toMatchObject({ value: 2 })
      expect(find("handshake.pending", { "handshake.role": "server" })).toMatchObject({ value: 1 })
      expect(find("handshake.outcomes", { ...line, "handshake.outcome": "ready" }))
        .toMatchObject({ count: 1 })
      expect(
        find("handshake.outcomes", { ...line, "handshake.outcome": "InvalidGreeting", "error.type": "InvalidGreeting" })
      )
        .toMatchObject({ count: 1 })
      expect(find("handshake.duration", { ...line, unit: "s" })).toMatchObject({ count: 1 })
      yield* good.end
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("counts a connection that could not even be opened as a handshake that has failed", () =>
    Effect.gen(function*() {
      const reason = new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("gone") })
      const broken = Socket.make({
        reader: Effect.fail(new Socket.SocketError({ reason })),
        writer: Effect.die("there is none")
      })
      const { server } = yield* MemorySocket.network()
      yield* Server.make({ protocol: Line.protocol, serve: echo }).pipe(
        Effect.provideService(SocketServer.SocketServer, {
          ...server,
          run: (handler) => Effect.andThen(Effect.orDie(handler(broken)), Effect.never)
        })
      )
      yield* settled
      const values = (yield* Metric.snapshot).map((
        { attributes, id, state }
      ) => [id, attributes?.["handshake.outcome"], state])
      expect(values).toEqual(expect.arrayContaining([
        ["handshake.connections", undefined, { value: 0 }],
        ["handshake.pending", undefined, { value: 0 }],
        ["handshake.outcomes", "ConnectionFailed", expect.objectContaining({ count: 1 })]
      ]))
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("warns of nobody who is turned away by a drain", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make((options) => {
        logged.push(`${options.logLevel} ${String(options.message)}`)
      })
      yield* Effect.gen(function*() {
        const { network, server } = yield* serving()
        const pending = yield* saying(network, "You re")
        const draining = yield* Effect.forkChild(server.drain)
        yield* settled
        yield* pending.end
        yield* Fiber.join(draining)
        expect(pending.heard()).toBe("No! Go away!\n")
      }).pipe(Effect.provide(Logger.layer([logger])))
      expect(logged).toEqual([])
    }))

  it.effect("names the span of a bare handshake as the handshake names itself", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recording()
      const network = yield* MemorySocket.network()
      yield* Effect.gen(function*() {
        yield* Server.make({ handshake: Line.server, serve: echo })
        const peer = yield* saying(network, "You ready?\n")
        yield* Effect.andThen(peer.end, peer.closed)
      }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server),
        Effect.provideService(Tracer.Tracer, tracer)
      )
      expect(spans.map((span) => span.name)).toEqual(["line handshake"])
    }))

  it.effect("has one span for each handshake, with protocol and outcome", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recording()
      yield* Effect.gen(function*() {
        const { network } = yield* serving()
        for (const said of ["You ready?\nHello\n", "Hi\n"]) {
          const peer = yield* saying(network, said)
          yield* Effect.andThen(peer.end, peer.closed)
        }
      }).pipe(Effect.provideService(Tracer.Tracer, tracer))
      expect(spans.map((span) => [span.name, span.attributes.get("handshake.outcome")])).toEqual([
        ["line handshake", "ready"],
        ["line handshake", "InvalidGreeting"]
      ])
    }))

  it.effect("has what TLS has agreed on, in the names of OpenTelemetry", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recording()
      const tls: Peer.Tls = {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384",
        alpn: "h2",
        servername: "example.com",
        resumed: false,
        verified: true,
        certificate: {
          subject: "CN=alice",
          issuer: "CN=root",
          subjectAltName: undefined,
          validFrom: new Date(0),
          validTo: new Date(1),
          serialNumber: "1",
          fingerprint256: "AB:CD",
          raw: new Uint8Array()
        },
        localCertificate: undefined
      }
      const annotated = Effect.contextWith((context: Context.Context<never>) =>
        Effect.sync(() => annotateTls(context, tls, "server"))
      )
      yield* Effect.withSpan(annotated, "handshake").pipe(Effect.provideService(Tracer.Tracer, tracer))
      expect(spans.map(({ attributes }) => Object.fromEntries(attributes))).toEqual([{
        "tls.established": true,
        "tls.protocol.name": "tls",
        "tls.protocol.version": "1.3",
        "tls.cipher": "TLS_AES_256_GCM_SHA384",
        "tls.resumed": false,
        "tls.next_protocol": "h2",
        "server.address": "example.com",
        "tls.client.subject": "CN=alice",
        "tls.client.hash.sha256": "ABCD"
      }])
    }))

  it.effect("says of a handshake that has failed how and at which step, and of no other", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recording()
      const own = lines.pipe(Handshake.expect("You ready?"), Effect.andThen(Effect.fail("no")), Handshake.named("own"))
      yield* Effect.gen(function*() {
        const network = yield* MemorySocket.network()
        yield* Effect.gen(function*() {
          for (const handshake of [Line.server, own]) {
            yield* Effect.scoped(Effect.gen(function*() {
              yield* Server.make({ handshake, serve: echo })
              for (const said of ["You ready?\n", "Hi\n"]) {
                const peer = yield* saying(network, said)
                yield* Effect.andThen(peer.end, peer.closed)
              }
            }))
          }
        }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
      }).pipe(Effect.provideService(Tracer.Tracer, tracer))
      expect(
        spans.map(({ attributes, kind }) => [kind, attributes.get("error.type"), attributes.get("handshake.step")])
      )
        .toEqual([
          ["server", undefined, undefined],
          ["server", "InvalidGreeting", "question"],
          ["server", "_OTHER", expect.any(String)],
          ["server", "InvalidGreeting", expect.any(String)]
        ])
    }))
})
