import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as Body from "../src/Body.ts"
import * as Client from "../src/Client.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import { ConnectionClosed, TransportError } from "../src/TransportError.ts"
import { cutInto, rawPeer, utf8 } from "./support/conversation.ts"
import { connectedRaw, lines } from "./support/linePeer.ts"
import { settled } from "./support/serving.ts"

/** An id, a space, and the rest. */
const byId: Multiplex.ClientFrames<{ frame: string; id: number; request: string; response: string }> = {
  request: (id, body) => `${id} ${body}`,
  fromServer: (line) => {
    const [id, body] = line.split(" ")
    return body === undefined ? undefined : { _tag: "Response", id: Number(id), body }
  }
}

const isPush = (line: string): boolean => line.startsWith("*")

type Options<R = never> = Omit<Pipeline.Unsolicited<string, never, R>, "is">
type Lines = Transport.Transport<string, string>

const kinds = [
  {
    kind: "Pipeline",
    answer: (_: number, body: string) => body,
    make: (transport: Lines, options: Options) =>
      Pipeline.client(transport, { unsolicited: { is: isPush, ...options } })
  },
  {
    kind: "Multiplex",
    answer: (id: number, body: string) => `${id} ${body}`,
    make: (transport: Lines, options: Options) =>
      Multiplex.client(byId, transport, { unsolicited: { is: isPush, ...options } })
  }
]

const calling = Effect.fnUntraced(function*(
  handle: Options["handle"],
  options?: Omit<Options, "handle">,
  socket?: MemorySocket.Options
) {
  const { peer, transport } = yield* connectedRaw(socket)
  return { peer, client: yield* kinds[0].make(transport, { handle, ...options }) }
})

describe.each(kinds)("of a $kind client", ({ answer, make }) => {
  const plan = {
    /** Whether each frame is a push, and how long it takes to handle, in milliseconds; 0 for at once. */
    frames: Schema.Array(Schema.Struct({
      isPush: Schema.Boolean,
      takes: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
    })).check(Schema.isMaxLength(12)),
    buffer: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })),
    isObserved: Schema.Boolean
  }

  it.effect.prop(
    "each answer goes to its call, and frames that nobody asked for are handled one by one in their order, however they are cut",
    plan,
    ({ buffer, frames, isObserved }) =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ segments: cutInto([3, 5, 1]) })
        const peer = yield* rawPeer(there)
        const transport = yield* lines.pipe(
          Effect.provideService(Socket.Socket, here),
          Effect.provideService(Transport.CurrentObserver, isObserved ? () => {} : undefined)
        )
        const log: Array<string> = []
        let handled = 0
        const client = yield* make(transport, {
          buffer,
          handle: (line) =>
            Effect.suspend(() => {
              log.push(line)
              const { takes } = frames[Number(line.slice(1))]
              const done = Effect.sync(() => handled++)
              return takes === 0 ? done : Effect.delay(done, takes)
            })
        })
        const answers = frames.flatMap(({ isPush }, i) => isPush ? [] : [i])
        const calls = yield* Effect.forkChild(
          Effect.forEach(answers, (i) => Effect.map(client.call(`ask ${i}`), (heard) => log.push(heard)), {
            concurrency: "unbounded"
          })
        )
        yield* settled
        yield* peer.write(utf8(
          frames.map(({ isPush }, i) => `${isPush ? `*${i}` : answer(answers.indexOf(i), `${i}`)}\n`).join("")
        ))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(calls)
        const pushes = frames.flatMap(({ isPush }, i) => isPush ? [`*${i}`] : [])
        expect(log.filter((line) => !isPush(line))).toEqual(answers.map(String))
        expect(log.filter(isPush)).toEqual(pushes)
        expect(handled).toBe(pushes.length)
        // None has gone past more of them than may wait.
        log.forEach((line, at) => {
          if (isPush(line)) return
          const before = pushes.filter((push) => Number(push.slice(1)) < Number(line)).length
          expect(log.slice(0, at).filter(isPush).length).toBeGreaterThanOrEqual(before - buffer)
        })
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 25 } }
  )

  it.effect("they are no answers, whether or not somebody waits for one", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const pushes = yield* Queue.unbounded<string>()
      const client = yield* make(transport, { handle: (line) => Queue.offer(pushes, line) })
      yield* peer.write(utf8("*first\n"))
      expect(yield* Queue.take(pushes)).toBe("*first")
      const call = yield* Effect.forkChild(client.call("a"))
      yield* settled
      yield* peer.write(utf8(`*second\n${answer(0, "A")}\n`))
      expect(yield* Fiber.join(call)).toBe("A")
      expect(yield* Queue.take(pushes)).toBe("*second")
    }))

  it.effect("what is none of either still ends the use of the connection", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const client = yield* make(transport, { handle: () => Effect.void })
      yield* peer.write(utf8("other\n"))
      expect((yield* Effect.flip(client.awaitEnd)).reason._tag).toBe("UnexpectedFrame")
    }))
})

describe("how they are handled", () => {
  it.effect("with room for none, one is handled, one is held, and nothing more is read", () =>
    Effect.gen(function*() {
      const gate = yield* Queue.unbounded<void>()
      const begun: Array<string> = []
      const { client, peer } = yield* calling(
        (line) => {
          begun.push(line)
          return Queue.take(gate)
        },
        {},
        { capacity: 10 }
      )
      const call = yield* Effect.forkChild(client.call("a"))
      yield* settled
      yield* peer.write(utf8("*1\n*2\n"))
      const more = yield* Effect.forkChild(Effect.forEach(
        ["A\n", "*3\n", "*4\n", "*5\n", "*6\n", "*7\n"],
        (line) => peer.write(utf8(line))
      ))
      yield* settled
      expect([begun, call.pollUnsafe(), more.pollUnsafe()]).toEqual([["*1"], undefined, undefined])
      yield* Queue.offer(gate, undefined)
      yield* settled
      expect([begun, call.pollUnsafe()]).toEqual([["*1", "*2"], Exit.succeed("A")])
      yield* Queue.offerAll(gate, Array(6).fill(undefined))
      yield* Fiber.join(more)
      yield* settled
      expect(begun).toHaveLength(7)
    }))

  it.effect("with room for one, that waits and answers go past it; with one more they do not", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling(() => Effect.never, { buffer: 1 })
      const [a, b] = [yield* Effect.forkChild(client.call("a")), yield* Effect.forkChild(client.call("b"))]
      yield* settled
      yield* peer.write(utf8("*1\n*2\nA\n*3\nB\n"))
      yield* settled
      expect([a.pollUnsafe(), b.pollUnsafe()]).toEqual([Exit.succeed("A"), undefined])
    }))

  it.effect("what is not handled in time ends the use of the connection, and what is handled just in time does not", () =>
    Effect.gen(function*() {
      const handled: Array<string> = []
      const { client, peer } = yield* calling(
        (line) => Effect.delay(Effect.sync(() => handled.push(line)), line === "*2" ? "5001 millis" : "4999 millis"),
        { timeout: "5 seconds" }
      )
      const ended = yield* Effect.forkChild(Effect.flip(client.awaitEnd))
      yield* peer.write(utf8("*1\n*2\n"))
      yield* TestClock.adjust("4998 millis")
      expect(handled).toEqual([])
      yield* TestClock.adjust("1 millis")
      expect(handled).toEqual(["*1"])
      yield* peer.write(utf8("*3\n"))
      yield* TestClock.adjust("4999 millis")
      expect(ended.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      const { fault, reason } = yield* Fiber.join(ended)
      expect([reason._tag === "TimedOut" && reason.waitedFor, fault]).toEqual(["handling", "local"])
    }))

  it.effect("one that is never done holds nothing up that is no such frame", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling(() => Effect.never)
      yield* peer.write(utf8("*1\n"))
      yield* TestClock.adjust("1 hour")
      const call = yield* Effect.forkChild(client.call("a"))
      yield* settled
      yield* peer.write(utf8("A\n"))
      expect(yield* Fiber.join(call)).toBe("A")
    }))

  const closed = new TransportError({ reason: new ConnectionClosed({ by: "peer" }) })

  it.effect.each<
    [how: string, handle: () => Effect.Effect<void, TransportError>, end: Exit.Exit<never, TransportError>]
  >([
    ["fails at once", () => Effect.fail(closed), Exit.fail(closed)],
    ["fails after a while", () => Effect.delay(Effect.fail(closed), 1), Exit.fail(closed)],
    ["dies", () => Effect.delay(Effect.die("a bug"), 1), Exit.die("a bug")],
    [
      "throws",
      () => {
        throw "a bug"
      },
      Exit.die("a bug")
    ]
  ])(
    "a handler that %s ends the use of the connection with that, and nothing more is handled",
    ([, handle, end]) =>
      Effect.gen(function*() {
        let begun = 0
        const { client, peer } = yield* calling((line) => line === "*0" ? Effect.sleep(1) : (begun++, handle()), {
          buffer: 9
        })
        const ended = yield* Effect.forkChild(client.awaitEnd)
        yield* peer.write(utf8("*0\n*1\n*2\n"))
        yield* TestClock.adjust("10 millis")
        expect([yield* Fiber.await(ended), begun]).toEqual([end, 1])
      })
  )

  it.effect("one that is interrupted is given up, and the next one is handled", () =>
    Effect.gen(function*() {
      const handled: Array<string> = []
      const { peer } = yield* calling((line) =>
        line === "*1" ? Effect.delay(Effect.interrupt, 1) : Effect.sync(() => handled.push(line))
      )
      yield* peer.write(utf8("*1\n*2\n"))
      yield* TestClock.adjust("10 millis")
      expect(handled).toEqual(["*2"])
    }))

  it.effect("when the connection has ended, what has come before is still handled", () =>
    Effect.gen(function*() {
      const handled: Array<string> = []
      const { client, peer } = yield* calling((line) => Effect.delay(Effect.sync(() => handled.push(line)), 1))
      yield* Effect.andThen(peer.write(utf8("*1\n*2\n*3\n")), peer.end)
      yield* TestClock.adjust("10 millis")
      expect((yield* Effect.flip(client.awaitEnd)).reason._tag).toBe("ConnectionClosed")
      expect(handled).toEqual(["*1", "*2", "*3"])
    }))

  it.effect("when the scope of the client closes, what is handled is interrupted and waited for, and the rest is dropped", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const scope = yield* Scope.make()
      const log: Array<string> = []
      yield* Scope.provide(
        kinds[0].make(transport, {
          buffer: 1,
          handle: (line) =>
            Effect.onInterrupt(
              Effect.andThen(Effect.sync(() => log.push(line)), Effect.never),
              () => Effect.delay(Effect.sync(() => log.push("interrupted")), "1 millis")
            )
        }),
        scope
      )
      yield* peer.write(utf8("*1\n*2\n"))
      yield* settled
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settled
      yield* Fiber.join(closing)
      expect(log).toEqual(["*1", "interrupted"])
    }))

  it.effect("a handler may close the client", () =>
    Effect.gen(function*() {
      const closed = yield* Deferred.make<void>()
      const { peer, transport } = yield* connectedRaw()
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(
        kinds[0].make(transport, {
          handle: () =>
            Effect.delay(Effect.tap(Scope.close(scope, Exit.void), () => Deferred.succeed(closed, undefined)), 1)
        }),
        scope
      )
      const ended = yield* Effect.forkChild(Effect.flip(client.awaitEnd))
      yield* peer.write(utf8("*bye\n"))
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(ended)).reason).toMatchObject({ _tag: "ConnectionClosed", by: "local" })
      expect(yield* Deferred.isDone(closed)).toBe(true)
    }))

  it.effect("a handler that has room may wait for a call of its own client", () =>
    Effect.gen(function*() {
      const answered = yield* Queue.unbounded<string>()
      const self = yield* Deferred.make<Pipeline.Client<string, string>>()
      const { client, peer } = yield* calling(
        (line) =>
          Effect.flatMap(Deferred.await(self), ({ call }) =>
            Effect.map(call(line), (answer) => Queue.offerUnsafe(answered, answer))),
        { buffer: 1 }
      )
      yield* Deferred.succeed(self, client)
      yield* peer.write(utf8("*1\n*2\n"))
      yield* settled
      yield* peer.write(utf8("A\n"))
      yield* settled
      yield* peer.write(utf8("B\n"))
      expect([yield* Queue.take(answered), yield* Queue.take(answered)]).toEqual(["A", "B"])
    }))
})

describe("behind a handshake, and with bodies", () => {
  it.effect("Client.connect handles them with its own services", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      const pushes = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(network.server.run((socket) =>
        Effect.flatMap(Effect.provideService(lines, Socket.Socket, socket), (transport) =>
          Effect.andThen(transport.sendAll(["*news", "A"]), transport.receive)).pipe(Effect.scoped)
      ))
      const client = yield* Client.connect({
        handshake: lines,
        sockets: [Effect.succeed(network.client)],
        unsolicited: {
          is: isPush,
          handle: (line) =>
            Queue.offer(pushes, line)
        }
      })
      expect([yield* client.call("a"), yield* Queue.take(pushes)]).toEqual(["A", "*news"])
    }))

  const bodies = {
    head: (head: string, hasBody: boolean) => `${hasBody ? "+" : "="}${head}`,
    chunk: (chunk: string) => `.${chunk}`,
    end: () => ";",
    read: (line: string): Body.Part<string, string> | undefined => {
      switch (line[0]) {
        case "+":
          return { _tag: "Head", head: line.slice(1), hasBody: true }
        case ".":
          return { _tag: "Chunk", chunk: line.slice(1) }
        case ";":
          return { _tag: "End" }
      }
    }
  }
  const withId = <P extends object>(part: P | undefined) => part && { ...part, id: 0 }
  const streaming = [
    {
      kind: "Pipeline",
      make: (transport: Lines, unsolicited: Pipeline.Unsolicited<string>) =>
        Pipeline.streamingClient({ request: bodies, response: bodies }, transport, {
          bodyTimeout: "1 second",
          unsolicited
        })
    },
    {
      kind: "Multiplex",
      make: (transport: Lines, unsolicited: Pipeline.Unsolicited<string>) => {
        const read = (line: string): Multiplex.MessagePart<number, string, string> | undefined =>
          withId(bodies.read(line))
        const request = {
          head: (_: number, head: string, hasBody: boolean) => bodies.head(head, hasBody),
          chunk: (_: number, chunk: string) => bodies.chunk(chunk),
          end: () => ";"
        }
        return Multiplex.streamingClient({ request, response: { read } }, transport, {
          bodyTimeout: "1 second",
          unsolicited
        })
      }
    }
  ]

  it.effect.each(streaming)(
    "one between the chunks of a body of a $kind client is none of it, and its wait is not the body's",
    ({ make }) =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connectedRaw()
        const handled: Array<string> = []
        const client = yield* make(transport, {
          is: isPush,
          handle: (line) => Effect.delay(Effect.sync(() => handled.push(line)), "5 seconds")
        })
        const call = yield* Effect.forkChild(Effect.scoped(
          Effect.flatMap(client.call({ head: "get", body: undefined }), ({ body = Stream.empty }) =>
            Stream.runCollect(body))
        ))
        yield* settled
        yield* peer.write(utf8("*1\n+head\n.a\n*2\n.b\n;\n"))
        yield* TestClock.adjust("4 seconds")
        expect(call.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("7 seconds")
        expect([yield* Fiber.join(call), handled]).toEqual([["a", "b"], ["*1", "*2"]])
      })
  )
})
