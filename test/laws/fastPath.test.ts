/**
 * What a connection says and how it ends is the same on the fast way, on which nobody watches and nothing costs a fiber
 * that need not wait, as on the slow one.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as diagnostics from "node:diagnostics_channel"
import type * as NodeNet from "node:net"
import * as Codec from "../../src/Codec.ts"
import * as Connection from "../../src/internal/connection/connection.ts"
import type { Source } from "../../src/internal/connection/source.ts"
import * as Multiplex from "../../src/Multiplex.ts"
import * as Net from "../../src/node/Net.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Server from "../../src/Server.ts"
import * as Fast from "../../src/testing/internal/fast.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import { cutInto, join, rawPeer, text, utf8 } from "../support/conversation.ts"
import { password, vault } from "../support/handshakes.ts"
import { settled } from "../support/serving.ts"
import * as Tcp from "../support/tcp.ts"
import {
  type Client,
  fast,
  inItsTime,
  type Lines,
  type Outcome,
  type Service,
  serving,
  simulate,
  slow,
  tell,
  tellExit
} from "./paths.ts"

// ---------------------------------------------------------------------------------------------------------------------
// The service: a request says what becomes of it
// ---------------------------------------------------------------------------------------------------------------------

const big = "b".repeat(50)

const handlerOf = (log: (what: string) => void) => (request: string): Effect.Effect<string, string> => {
  const [what, millis] = request.split(" ")
  const wait = Effect.sleep(Number(millis)).pipe(
    Effect.onExit((exit) => Effect.sync(() => log(`${request} ${exit._tag}`)))
  )
  log(request)
  switch (what) {
    case "sync":
      return Effect.sync(() => request.toUpperCase())
    case "wait":
      return Effect.as(wait, request.toUpperCase())
    case "big":
      return Effect.succeed(big)
    case "bigwait":
      return Effect.as(wait, big)
    case "fail":
      return Effect.fail(request)
    case "failwait":
      return Effect.andThen(wait, Effect.fail(request))
    case "die":
      return Effect.die(new Error(request))
    case "diewait":
      return Effect.andThen(wait, Effect.die(new Error(request)))
    case "throw":
      throw new Error(request)
    case "long":
      return Effect.succeed("x".repeat(65))
    default:
      return Effect.succeed(request.toUpperCase())
  }
}

// No handler takes a multiple of ten milliseconds, so that none ends in the same instant in which something is said.
const good = ["ready", "ready more", "", "sync", "wait 3", "wait 24", "wait 107", "big", "bigwait 13"]
const bad = ["fail", "failwait 33", "die", "diewait 13", "throw", "long"]

interface Settings {
  readonly maxInFlight: number
  /** Whether the failure of a request is an answer. */
  readonly answersFailures: boolean
}

const pipelined = ({ answersFailures, maxInFlight }: Settings): Service => (transport, log) => {
  const handler = handlerOf(log)
  const serve = answersFailures
    ? Pipeline.serve(handler, { maxInFlight, failure: (error) => `-${error}` })
    : Pipeline.serve(handler, { maxInFlight })
  return serve(transport)
}

const read = (line: string) => {
  const [id, ...words] = line.split(" ")
  return { id: Number(id), body: words.join(" ") }
}

/** `1 request` asks, `1 !` cancels, and `1 answer` answers. */
const frames = {
  fromClient: (line: string): Multiplex.FromClient<number, string> | undefined => {
    const { body, id } = read(line)
    if (!(id >= 0)) return undefined
    return body === "!" ? { _tag: "Cancel", id } : { _tag: "Request", id, body }
  },
  response: (id: number, body: string) => `${id} ${body}`
}

/** `1 -why` is the failure of a request. */
const failing: Multiplex.Frames<{ frame: string; id: number; request: string; response: string; failure: string }> = {
  ...frames,
  request: (id, body) => `${id} ${body}`,
  cancel: (id) => `${id} !`,
  failure: (id, error) => `${id} -${error}`,
  fromServer: (line) => {
    const { body, id } = read(line)
    return body.startsWith("-")
      ? { _tag: "Failure", id, error: body.slice(1) }
      : { _tag: "Response", id, body }
  }
}

const multiplexed = ({ answersFailures, maxInFlight }: Settings): Service => (transport, log) => {
  const handler = handlerOf(log)
  const serve = answersFailures
    ? Multiplex.serve(failing, handler, { maxInFlight, refuse: (request) => `busy ${request}` })
    : Multiplex.serve(frames, handler, { maxInFlight })
  return serve(transport)
}

// ---------------------------------------------------------------------------------------------------------------------
// What clients do
// ---------------------------------------------------------------------------------------------------------------------

const ints = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const oneOf = <A>(values: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(ints(0, values.length - 1), (i) => values[i])

const list = <A>(of: Arbitrary.Arbitrary<A>, minLength: number, maxLength: number) =>
  Arbitrary.array(of, { minLength, maxLength })

const settings: Arbitrary.Arbitrary<Settings> = Arbitrary.all({
  maxInFlight: oneOf([1, 2, 5, 64]),
  answersFailures: Arbitrary.schema(Schema.Boolean)
})

const garbage = [utf8(`${"x".repeat(65)}\n`), Uint8Array.of(0x61, 0xff, 0x0a)]

/** Most requests are good, or nothing would come behind a bad one. */
const lines = (prefix: ReadonlyArray<string>): Arbitrary.Arbitrary<Uint8Array> => {
  const ordinary = prefix.flatMap((id) =>
    [...good, ...good, ...good, ...bad].map((request) => utf8(`${id}${request}\n`))
  )
  return oneOf([...ordinary, ...garbage.flatMap((bytes) => prefix.map(() => bytes))])
}

const manners = {
  lengths: list(oneOf([1, 2, 7, 11, 19, 40, 1000]), 1, 4),
  stays: oneOf([0, 5, 55, 500]),
  pauses: list(oneOf([0, 0, 5, 45, 305]), 1, 4),
  capacity: oneOf([1, 40, 65_536])
}

type Manners = Omit<Client, "said" | "end"> & { readonly lengths: ReadonlyArray<number> }

const clients = (line: Arbitrary.Arbitrary<Uint8Array>): Arbitrary.Arbitrary<Client> =>
  Arbitrary.map(
    Arbitrary.all({
      ...manners,
      greeting: oneOf([...Array.from({ length: 15 }, () => "You ready?\n"), "Hello\n"]),
      requests: list(line, 0, 12),
      cut: oneOf([0, 0, 0, 1, 3]),
      end: oneOf(["end", "end", "end", "reset", "gone"] as const)
    }),
    ({ cut, greeting, lengths, requests, ...client }) => {
      const bytes = join([utf8(greeting), ...requests])
      return { ...client, said: cutInto(lengths)(bytes.subarray(0, bytes.length - cut)) }
    }
  )

const services = [
  { name: "Pipeline", serve: pipelined, prefix: [""] },
  { name: "Multiplex", serve: multiplexed, prefix: ["1 ", "2 ", "3 ", "4 ", "5 "] }
]

/** All the ways in which a service can end. */
const endOf = ({ served }: Outcome): string =>
  served === undefined
    ? "not ready"
    : /TransportError \w+/.exec(served)?.[0] ?? served.replace(/:.*/, "")

const ends = [
  "not ready",
  "done",
  "died",
  "failed",
  "TransportError ConnectionFailed",
  "TransportError Truncated",
  "TransportError MalformedFrame",
  "TransportError FrameTooLarge"
]

for (const { name, prefix, serve } of services) {
  describe(`${name}, fast and slow`, () => {
    const line = lines(prefix)
    const met = new Set<string>()
    let waited = 0

    it.effect.prop(
      "the same answers, the same end, the same events, and the same bytes left to the next codec",
      [settings, clients(line), oneOf([undefined, undefined, 6, 46, 96, 206])],
      ([settings, client, drainsAt]) =>
        Effect.gen(function*() {
          const expected = yield* simulate(slow, serve(settings), [client], drainsAt)
          const actual = yield* simulate(fast, serve(settings), [client], drainsAt)
          expect(actual.outcomes).toEqual(expected.outcomes)
          // Law 7: nothing stays open.
          expect([...actual.left, ...expected.left]).toEqual([])
          actual.outcomes.forEach((outcome) => met.add(endOf(outcome)))
          waited += actual.waited
        }),
      { arbitrary: { runs: 400, seed: 4 } }
    )

    it("those were all the ways in which it can end, and writes that had to wait", () => {
      expect([...met]).toEqual(expect.arrayContaining(ends))
      expect(waited).toBeGreaterThan(100)
    })

    it.effect.prop(
      "law 10, isolation: each of several connections at once is as it is alone",
      [settings, list(clients(line), 2, 5)],
      ([settings, clients]) =>
        Effect.gen(function*() {
          const alone = yield* Effect.forEach(clients, (client) => simulate(slow, serve(settings), [client]))
          const together = yield* simulate(fast, serve(settings), clients)
          expect(together.outcomes).toEqual(alone.flatMap(({ outcomes }) => outcomes))
          expect(together.left).toEqual([])
        }),
      { arbitrary: { runs: 60 } }
    )
  })
}

/** Requests that are answered, or not, without waiting. */
const atOnce = (prefix: string): ReadonlyArray<Uint8Array> =>
  [...good, ...good, ...bad].filter((request) => !request.includes("wait")).map((request) =>
    utf8(`${prefix}${request}\n`)
  )

describe("the fast way", () => {
  const answerTo = (request: string) => request.startsWith("big") ? big : request.toUpperCase()

  const conversations = Arbitrary.all({
    requests: list(oneOf(good), 0, 12),
    maxInFlight: oneOf([1, 2, 5, 64]),
    client: Arbitrary.all(manners)
  })

  const heardBy = (
    service: (settings: Settings) => Service,
    said: string,
    maxInFlight: number,
    { lengths, ...client }: Manners
  ) =>
    Effect.map(
      simulate(fast, service({ maxInFlight, answersFailures: false }), [
        { ...client, end: "end", said: cutInto(lengths)(utf8(`You ready?\n${said}`)) }
      ]),
      ({ outcomes }) => outcomes[0].heard
    )

  it.effect.prop(
    "answers each request of a pipeline once and in its turn, however long any of them and the client takes",
    [conversations],
    ([{ client, maxInFlight, requests }]) =>
      Effect.gen(function*() {
        const said = requests.map((request) => `${request}\n`).join("")
        const expected = requests.map((request) => `${answerTo(request)}\n`).join("")
        expect(yield* heardBy(pipelined, said, maxInFlight, client)).toBe(`Bring it!\n${expected}`)
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect.prop(
    "answers each multiplexed request once, however long any of them and the client takes",
    [conversations],
    ([{ client, maxInFlight, requests }]) =>
      Effect.gen(function*() {
        const said = requests.map((request, id) => `${id} ${request}\n`).join("")
        const [greeting, ...answers] = (yield* heardBy(multiplexed, said, maxInFlight, client)).split("\n").slice(0, -1)
        expect(greeting).toBe("Bring it!")
        const inOrder = answers.toSorted((a, b) => read(a).id - read(b).id)
        expect(inOrder).toEqual(requests.map((request, id) => `${id} ${answerTo(request)}`))
      }),
    { arbitrary: { runs: 200 } }
  )

  /** What is heard, by the definition of the protocol: as far as every request can be answered at once. */
  const answersTo = (said: string, answersFailures: boolean): string => {
    const [greeting, ...requests] = said.split("\n").slice(0, -1)
    if (greeting !== "You ready?") return "No! Go away!\n"
    let heard = "Bring it!\n"
    for (const request of requests) {
      const handled = request.length > 64 || request.includes("\ufffd") ? undefined : handlerOf(() => {})
      if (handled === undefined || ["die", "throw", "long"].includes(request)) return heard
      const answer = request === "fail" ? (answersFailures ? "-fail" : undefined) : request === "big" ? big : undefined
      if (request === "fail" && answer === undefined) return heard
      heard += `${answer ?? request.toUpperCase()}\n`
    }
    return heard
  }

  it.effect.prop(
    "answers the requests of a pipeline up to the first that it cannot answer, however they come",
    [settings, clients(oneOf([...atOnce(""), ...garbage]))],
    ([settings, client]) =>
      Effect.gen(function*() {
        const { outcomes } = yield* simulate(fast, pipelined(settings), [{ ...client, end: "end" }])
        expect(outcomes[0].heard).toBe(answersTo(text(join(client.said)), settings.answersFailures))
      }),
    { arbitrary: { runs: 200 } }
  )

  /** Lines, and how many came and went at once. */
  const watchedLines = () => {
    const lines = Codec.lines({ maxLength: 64 })
    const batches: Array<string> = []
    const codec = Codec.make<string>({
      decoder: () => {
        const decoder = lines.decoder()
        return {
          decode: (input) => decoder.decode(input),
          decodeMany: (input, max) => {
            const frames = decoder.decodeMany!(input, max)
            batches.push(`${frames.length} in`)
            return frames
          }
        }
      },
      encode: lines.encode,
      encodeMany: (frames, into) => {
        batches.push(`${frames.length} out`)
        return lines.encodeMany!(frames, into)
      }
    })
    return { codec, batches }
  }

  const serveOver = Effect.fnUntraced(function*(observer: Transport.Observer | undefined) {
    const { batches, codec } = watchedLines()
    const [here, there] = yield* MemorySocket.pair()
    const socket = yield* Fast.accepted(there)
    // To write in any other way than at once is not expected.
    const { value: source } = socket.source as Exit.Success<Source>
    source.write = () => Effect.die("a write in a fiber")
    const peer = yield* rawPeer(here)
    yield* Effect.forkScoped(
      Transport.framed(codec).pipe(
        Effect.flatMap(Pipeline.serve((line: string) => Effect.succeed(line.toUpperCase()))),
        Effect.provideService(Socket.Socket, socket),
        Effect.provideService(Transport.CurrentObserver, observer)
      )
    )
    yield* settled
    yield* peer.write(utf8("a\nb\nc\nd"))
    yield* settled
    return { batches, heard: peer.heard() }
  })

  it.effect("takes what is there at once, answers it at once, and writes without a fiber", () =>
    Effect.gen(function*() {
      expect(yield* serveOver(undefined)).toEqual({ batches: ["3 in", "0 in", "3 out"], heard: "A\nB\nC\n" })
    }))

  for (const { name, prefix, serve } of services) {
    it.effect(`${name} fails where an answer cannot be written any more`, () =>
      Effect.gen(function*() {
        const said = [utf8(`You ready?\n${prefix[0]}wait 24\n`)]
        const client: Client = { said, end: "gone", stays: 0, pauses: [0], capacity: 65_536 }
        const { left, outcomes } = yield* simulate(fast, serve({ maxInFlight: 64, answersFailures: false }), [client])
        expect(outcomes[0].served).toMatch(/TransportError ConnectionFailed: .*write/)
        expect(left).toEqual([])
      }))
  }

  it.effect("writes one after another, whoever writes", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 1 })
      const socket = yield* Fast.accepted(there)
      const { value: source } = socket.source as Exit.Success<Source>
      let writing = 0
      let most = 0
      const counted = <A, E>(write: Effect.Effect<A, E>) => {
        most = Math.max(most, ++writing)
        return Effect.ensuring(write, Effect.sync(() => writing--))
      }
      const writeNow = source.writeNow!.bind(source)
      const write = source.write.bind(source)
      source.writeNow = (chunks) => counted(writeNow(chunks) ?? Effect.void)
      source.write = (chunks) => Effect.suspend(() => counted(write(chunks)))
      const transport = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, socket))
      const lines = ["a", "b", "c", "d"]
      const sending = yield* Effect.forkScoped(
        Effect.forEach(lines, (line) => transport.send(line), { concurrency: "unbounded" })
      )
      yield* settled
      const peer = yield* rawPeer(here)
      yield* Fiber.join(sending)
      yield* settled
      expect(peer.heard()).toBe("a\nb\nc\nd\n")
      expect(most).toBe(1)
    }))

  it.effect("keeps nothing of what still comes while it waits for the end of its peer", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const connection = Connection.accepted(yield* Fast.accepted(there), { lingers: true })!
      const peer = yield* rawPeer(here)
      yield* peer.write(utf8("before"))
      const closing = yield* Effect.forkScoped(connection.closing(Exit.void))
      yield* settled
      yield* peer.write(utf8("after"))
      yield* settled
      expect(closing.pollUnsafe()).toBeUndefined()
      expect(connection.inbox.unread.length).toBe(0)
      yield* peer.end
      yield* Fiber.join(closing)
    }))

  it.effect("goes frame by frame where somebody watches", () =>
    Effect.gen(function*() {
      expect(yield* serveOver(() => {})).toEqual({ batches: [], heard: "A\nB\nC\n" })
    }))
})

describe("law 10, isolation", () => {
  it.effect("whoever is cut off at the deadline is told of its own step, whatever others on its server have come to", () =>
    Effect.gen(function*() {
      const { server: socketServer, take } = yield* Fast.listener()
      const server = yield* Server.make({
        protocol: vault,
        serve: (transport) => Stream.runDrain(transport.incoming),
        handshakeTimeout: "1 second"
      })
        .pipe(
          Effect.provideService(SocketServer.SocketServer, socketServer)
        )
      const steps: Array<string> = []
      yield* server.events.pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => {
            if (event._tag === "Refused") steps.push(`${event.id}: ${tell(event.error)}`)
            if (event._tag === "Ready") steps.push(`${event.id}: ready`)
          })
        ),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* settled
      const accept = yield* take
      const dial = Effect.fnUntraced(function*() {
        const [here, there] = yield* MemorySocket.pair()
        accept(yield* Fast.accepted(there))
        return yield* rawPeer(here)
      })
      const halfway = yield* dial()
      yield* halfway.write(utf8("HELLO 2\n"))
      const ready = yield* dial()
      yield* ready.write(utf8(`HELLO 2\n${password}\n`))
      yield* dial()
      yield* settled
      yield* TestClock.adjust("2 seconds")
      expect(steps).toEqual([
        "2: ready",
        expect.stringMatching(/^1: HandshakeError Timeout at password/),
        expect.stringMatching(/^3: HandshakeError Timeout at version/)
      ])
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// Clients
// ---------------------------------------------------------------------------------------------------------------------

interface Calls {
  readonly calls: ReadonlyArray<{
    readonly request: string
    /** When it is made, and how long it is waited for. */
    readonly at: number
    readonly patience: number
  }>
  readonly maxInFlight: number
  readonly lengths: ReadonlyArray<number>
  readonly capacity: number
}

const calls: Arbitrary.Arbitrary<Calls> = Arbitrary.all({
  calls: list(
    Arbitrary.all({
      // The last one is too long to be sent.
      request: oneOf([...good, ...good, ...good, ...bad, "y".repeat(65)]),
      at: Arbitrary.map(ints(0, 8), (tens) => 10 * tens),
      patience: oneOf([5, 36, 10_000, 10_000])
    }),
    1,
    10
  ),
  maxInFlight: oneOf([1, 2, 64]),
  lengths: list(oneOf([1, 2, 7, 19, 1000]), 1, 4),
  capacity: oneOf([1, 40, 65_536])
})

type Caller = {
  readonly call: (request: string) => Effect.Effect<string, unknown>
  readonly awaitEnd: Effect.Effect<never, unknown>
}

/** What comes of calls, and what the server has seen of them. */
const callOver = (
  isFast: boolean,
  clientOf: (transport: Lines, maxInFlight: number) => Effect.Effect<Caller, never, Scope.Scope>,
  service: Service,
  { calls, capacity, lengths, maxInFlight }: Calls
) =>
  Effect.scoped(Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair({ capacity, segments: cutInto(lengths) })
    const framed = Transport.framed(Codec.lines({ maxLength: 64 }))
    const log: Array<string> = []
    const served = yield* framed.pipe(
      Effect.flatMap((transport) => service(transport, (what) => log.push(what))),
      Effect.scoped,
      Effect.provideService(Socket.Socket, there),
      Effect.exit,
      Effect.forkScoped({ startImmediately: true })
    )
    const answers = yield* Effect.scoped(Effect.gen(function*() {
      const client = yield* clientOf(
        yield* framed.pipe(
          Effect.provideService(Socket.Socket, isFast ? Fast.dialled(here) : here),
          Effect.provideService(Transport.CurrentObserver, isFast ? undefined : () => {})
        ),
        maxInFlight
      )
      const ended = yield* Effect.forkScoped(Effect.exit(client.awaitEnd))
      const answers = yield* Effect.forEach(
        calls,
        ({ at, patience, request }) =>
          Effect.sleep(at).pipe(
            Effect.andThen(Effect.timeoutOption(client.call(request), patience)),
            Effect.exit,
            Effect.map((exit) => Exit.isSuccess(exit) ? Option.getOrElse(exit.value, () => "given up") : tellExit(exit))
          ),
        { concurrency: "unbounded" }
      )
      const end = ended.pollUnsafe()
      return [...answers, end === undefined ? "open" : tellExit(yield* end)]
    }))
    return { answers, log, served: tellExit(yield* Fiber.join(served)) }
  }))

const clientsOf = [
  {
    name: "Pipeline",
    clientOf: (transport: Lines, maxInFlight: number) => Pipeline.client(transport, { maxInFlight }),
    serve: pipelined
  },
  {
    name: "Multiplex",
    clientOf: (transport: Lines, maxInFlight: number) => Multiplex.client(failing, transport, { maxInFlight }),
    serve: multiplexed
  }
]

for (const { clientOf, name, serve } of clientsOf) {
  describe(`${name}, a client fast and slow`, () => {
    const met = new Set<string>()

    it.effect.prop(
      "the same answers to the same calls, and the same calls reach the server",
      [settings, calls],
      ([settings, calls]) =>
        Effect.gen(function*() {
          const over = (isFast: boolean) =>
            inItsTime(callOver(isFast, clientOf, serve(settings), calls), Effect.promise(() => Promise.resolve()))
          const expected = yield* over(false)
          const actual = yield* over(true)
          expect(actual).toEqual(expected)
          actual.answers.forEach((answer) => met.add(answer.replace(/.*TransportError (\w+):.*/, "$1")))
        }),
      { arbitrary: { runs: 200, seed: 6 } }
    )

    it("some of them were answered, some given up, and some ended with the connection", () => {
      expect([...met]).toEqual(
        expect.arrayContaining(["READY", "WAIT 24", big, "given up", "ConnectionClosed", "FrameTooLarge", "open"])
      )
    })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Real sockets
// ---------------------------------------------------------------------------------------------------------------------

/** The sockets that Node's servers make in this process. */
const accepting = Effect.acquireRelease(
  Effect.sync(() => {
    const sockets: Array<NodeNet.Socket> = []
    const channel = diagnostics.channel("net.server.socket")
    const onSocket = (message: unknown) => {
      sockets.push((message as { readonly socket: NodeNet.Socket }).socket)
    }
    channel.subscribe(onSocket)
    return { sockets, stop: () => channel.unsubscribe(onSocket) }
  }),
  ({ stop }) => Effect.sync(stop)
)

/** What `serving` gives, on a port of its own, and all sockets of its side. */
const servingOnNet = Effect.fnUntraced(function*(
  service: Service,
  connections: number,
  options?: { readonly readsRest: boolean }
) {
  const { sockets } = yield* accepting
  const socketServer = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
  if (socketServer.address._tag === "UnixPathAddress") throw new Error("a TCP server has a port")
  const served = yield* serving(undefined, service, connections, options).pipe(
    Effect.provideService(SocketServer.SocketServer, socketServer)
  )
  const until = (holds: () => boolean) =>
    Effect.repeat(Effect.sleep("2 millis"), { until: holds }).pipe(Effect.timeout("8 seconds"))
  return {
    ...served,
    sockets,
    port: socketServer.address.port,
    /** Waits until all are closed. */
    none: until(() => served.outcomes.every(({ events }) => events.at(-1)?.startsWith("Closed"))),
    /** Waits until the first one is held back by its peer, and serves no more. */
    heldBack: Effect.gen(function*() {
      yield* until(() => sockets.length > 0 && sockets[0].writableNeedDrain)
      const { log } = served.outcomes[0]
      for (let before = -1; before < log.length;) {
        before = log.length
        yield* Effect.sleep("50 millis")
      }
    })
  }
})

describe("on the sockets of Node", () => {
  for (const { name, prefix, serve } of services) {
    it.live.prop(
      `${name} says the same and ends the same as on the slow way, and closes each socket`,
      [settings, list(clients(oneOf([...prefix.flatMap(atOnce), ...garbage])), 1, 6)],
      ([settings, clients]) =>
        Effect.scoped(Effect.gen(function*() {
          const ending = clients.map((client): Client => ({ ...client, end: "end", pauses: [0], capacity: 65_536 }))
          const alone = yield* Effect.forEach(ending, (client) => simulate(slow, serve(settings), [client]))
          const { none, outcomes, port, sockets } = yield* servingOnNet(serve(settings), clients.length)
          // They are accepted in the order in which they dial.
          const peers = yield* Effect.forEach(clients, () => Tcp.dial(port))
          const heard = yield* Effect.forEach(
            peers,
            (peer, i) =>
              Effect.gen(function*() {
                for (const chunk of clients[i].said) yield* Effect.andThen(peer.say(chunk), Tcp.turn)
                const [outcome] = alone[i].outcomes
                // Every second one has heard its answers before it ends.
                if (i % 2 === 0 && outcome.served === "done") yield* peer.hears(outcome.heard)
                yield* peer.end
                return yield* peer.ended
              }),
            { concurrency: "unbounded" }
          )
          yield* none
          // How much had come, and was with its handlers, when an answer could not be written is up to the network.
          const fixed = ({ events, served }: Outcome) => ({ events, served })
          expect(outcomes.map(fixed)).toEqual(alone.map(({ outcomes: [outcome] }) => fixed(outcome)))
          expect(heard).toEqual(alone.map(({ outcomes: [outcome] }) => outcome.heard))
          expect(sockets.map(({ destroyed }) => destroyed)).toEqual(clients.map(() => true))
        })),
      { arbitrary: { runs: 12 } }
    )
  }

  it.live("holds back a peer that does not listen, goes on when it does, and loses nothing", () =>
    Effect.gen(function*() {
      const requests = 400_000
      const { heldBack, none, outcomes: [outcome], port, sockets } = yield* servingOnNet(
        pipelined({ maxInFlight: 64, answersFailures: false }),
        1
      )
      const peer = yield* Tcp.dial(port)
      yield* peer.deafen
      peer.socket.write("You ready?\n")
      for (let i = 0; i < requests / 10_000; i++) peer.socket.write("big\n".repeat(10_000))
      peer.socket.end()
      yield* heldBack
      const [socket] = sockets
      expect(outcome.log.length).toBeGreaterThan(0)
      expect(outcome.log.length).toBeLessThan(requests)
      // It holds the answers to one chunk of requests, and reads no more: all of them are 1.6 MB, and 20 MB of answers.
      expect(socket.writableLength).toBeLessThan(2_000_000)
      expect(socket.bytesRead).toBeLessThan(1_000_000)
      yield* peer.listen
      const heard = yield* peer.ended
      expect(heard === `Bring it!\n${`${big}\n`.repeat(requests)}`).toBe(true)
      yield* none
      expect(outcome.events).toEqual(["Accepted", "Ready", "Closed"])
      expect(socket.destroyed).toBe(true)
    }))

  it.live("law 11, refusal is heard: what was answered is heard though much is unread, and nothing waits for ever", () =>
    Effect.gen(function*() {
      const { none, outcomes: [outcome], port, sockets } = yield* servingOnNet(
        pipelined({ maxInFlight: 1, answersFailures: false }),
        1,
        { readsRest: false }
      )
      const peer = yield* Tcp.dial(port)
      yield* peer.deafen
      peer.socket.write(`You ready?\nready\nfail\n${"ready\n".repeat(300_000)}`)
      yield* Effect.sleep("200 millis")
      expect(outcome.served).toBe("failed: fail")
      yield* peer.listen
      yield* peer.hears("Bring it!\nREADY\n")
      // It never ends its side.
      yield* none
      expect(sockets[0].destroyed).toBe(true)
    }))

  it.live("gives up all that it holds of a peer that is reset while a write waits for it", () =>
    Effect.gen(function*() {
      const { heldBack, none, outcomes: [outcome], port, sockets } = yield* servingOnNet(
        pipelined({ maxInFlight: 64, answersFailures: false }),
        1
      )
      const peer = yield* Tcp.dial(port)
      yield* peer.deafen
      peer.socket.write(`You ready?\n${"big\n".repeat(400_000)}`)
      yield* heldBack
      yield* peer.reset
      yield* none
      expect(outcome.served).toMatch(/TransportError ConnectionFailed/)
      expect(outcome.events).toEqual(["Accepted", "Ready", expect.stringMatching(/^Closed: .*ConnectionFailed/)])
      expect(sockets[0].destroyed).toBe(true)
    }))
})
