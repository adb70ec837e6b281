/**
 * The two ways from the bytes of a connection to its service and back, with the same peers on both.
 *
 * | | slow | fast |
 * |---|---|---|
 * | the listener | hands connections to a handler, in a fiber of its own | hands them over as they come |
 * | the socket | any, pulled | connected already, written to without a fiber |
 * | observer | yes: frame by frame | none: all that is there at once |
 * | the handshake and the service | in a fiber | on the events of the connection |
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as NetAddress from "effect/net/NetAddress"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as Codec from "../../src/Codec.ts"
import { isHandshakeError } from "../../src/HandshakeError.ts"
import * as Server from "../../src/Server.ts"
import * as Fast from "../../src/testing/internal/fast.ts"
import { Simulation } from "../../src/testing/internal/simulation.ts"
import { Tap } from "../../src/testing/internal/tap.ts"
import { watched } from "../../src/testing/internal/watched.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import { isTransportError } from "../../src/TransportError.ts"
import { join, text } from "../support/conversation.ts"
import { line } from "../support/handshakes.ts"

export type Lines = Transport.Transport<string, string>

/** What a client does, whatever it hears. */
export interface Client {
  /** Said one every ten milliseconds. */
  readonly said: ReadonlyArray<Uint8Array>
  /** It ends its side and listens on, is reset, or is gone, so that nobody takes what is still written to it. */
  readonly end: "end" | "reset" | "gone"
  /** How long after its last word it ends, in milliseconds. */
  readonly stays: number
  /** How long it does not listen before it takes the next of what has come, over and over, in milliseconds. */
  readonly pauses: ReadonlyArray<number>
  /** How many bytes the connection holds in each direction. */
  readonly capacity: number
}

/** What came of one connection. */
export interface Outcome {
  heard: string
  /** The code with which the client's side was closed. */
  closed: unknown
  /** What the server said of it. */
  readonly events: Array<string>
  /** How the service has ended. */
  served: string | undefined
  /** What the service has left to the next codec, to the end. */
  rest: string | undefined
  /** What its handlers did. */
  readonly log: Array<string>
}

/** Serves the requests of one connection, and notes what its handlers do. */
export type Service = (transport: Lines, log: (what: string) => void) => Effect.Effect<void, unknown>

export const tell = (error: unknown): string =>
  isTransportError(error)
    ? `TransportError ${error.reason._tag}: ${error.message}`
    : isHandshakeError(error)
    ? `HandshakeError ${error.reason._tag} at ${error.step}: ${error.message}`
    : String(error)

export const tellExit = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) ? "done" : `${Cause.hasDies(exit.cause) ? "died" : "failed"}: ${tell(Cause.squash(exit.cause))}`

const tellEvent = (event: Server.Event): string =>
  event._tag === "Refused" || event._tag === "Failed"
    ? `${event._tag} ${event.reason}: ${tell(event.error)}`
    : event._tag === "Closed" && event.error !== undefined
    ? `Closed: ${tell(event.error)}`
    : event._tag

/** How connections come to a server. */
export interface Way {
  readonly name: string
  readonly observer: Transport.Observer | undefined
  readonly open: Effect.Effect<{
    readonly server: SocketServer.SocketServer["Service"]
    /** Dials, and waits until the server has the connection. */
    readonly dial: (options: MemorySocket.Options) => Effect.Effect<Socket.Socket, unknown, Scope.Scope>
    /** What it still holds of its connections. */
    readonly left: () => ReadonlyArray<string>
    /** How many writes have waited for a client. */
    readonly waited: () => number
  }>
}

export const slow: Way = {
  name: "slow",
  observer: () => {},
  open: Effect.map(Deferred.make<(socket: Socket.Socket) => void>(), (taking) => {
    let handling = 0
    const server: SocketServer.SocketServer["Service"] = {
      address: NetAddress.unixPathAddress("nowhere"),
      run: (handler) =>
        Effect.contextWith((context) => {
          const fork = Effect.runForkWith(context)
          const take = (socket: Socket.Socket) => {
            handling++
            // All that a handler needs is in the context of `run`, which its type cannot say.
            fork(handler(socket) as Effect.Effect<unknown>).addObserver(() => handling--)
          }
          return Effect.andThen(Deferred.succeed(taking, take), Effect.never)
        })
    }
    return {
      server,
      dial: Effect.fnUntraced(function*(options: MemorySocket.Options) {
        const take = yield* Deferred.await(taking)
        const [here, there] = yield* MemorySocket.pair(options)
        take(there)
        return here
      }),
      left: () => handling === 0 ? [] : [`${handling} handlers`],
      waited: () => 0
    }
  })
}

export const fast: Way = {
  name: "fast",
  observer: undefined,
  open: Effect.map(Fast.listener(), ({ server, take }) => {
    const taps: Array<Tap> = []
    return {
      server,
      dial: Effect.fnUntraced(function*(options: MemorySocket.Options) {
        const accept = yield* take
        const [here, there] = yield* MemorySocket.pair(options)
        const tap = new Tap(yield* Fast.accepted(there), { isFast: true, counts: false })
        taps.push(tap)
        accept(tap.socket)
        return here
      }),
      left: () =>
        taps.flatMap(({ opened, released }, i) =>
          opened === 1 && released === 1 ? [] : [`connection ${i}: opened ${opened} times, released ${released} times`]
        ),
      waited: () => taps.reduce((sum, { waited }) => sum + waited, 0)
    }
  })
}

const readAll = Effect.fnUntraced(function*(transport: Lines) {
  const raw = yield* Transport.switchCodec(transport, Codec.bytes)
  const chunks: Array<Uint8Array> = []
  for (;;) {
    const exit = yield* Effect.exit(raw.receive)
    if (Exit.isFailure(exit)) return `${text(join(chunks))}|${tellExit(exit)}`
    chunks.push(exit.value)
  }
})

const speak = (socket: Socket.Socket, client: Client, outcome: Outcome) =>
  Effect.scoped(Effect.gen(function*() {
    const pull = yield* Socket.readerBytes(socket)
    const writer = yield* socket.writer
    const heard: Array<Uint8Array> = []
    const listening = yield* Effect.forkScoped(
      Effect.exit(Effect.gen(function*() {
        for (let i = 0;; i++) {
          const pause = client.pauses[i % client.pauses.length]
          if (pause > 0) yield* Effect.sleep(pause)
          heard.push(...(yield* pull))
        }
      }))
    )
    yield* Effect.ignore(Effect.gen(function*() {
      for (const chunk of client.said) {
        yield* writer.write(chunk)
        yield* Effect.sleep(10)
      }
    }))
    yield* Effect.sleep(client.stays)
    if (client.end === "gone") {
      yield* Fiber.interrupt(listening)
    } else {
      yield* writer.write(new Socket.CloseEvent(client.end === "end" ? 1000 : 1006))
      const exit = yield* Fiber.join(listening)
      outcome.closed = Exit.isFailure(exit) && String(Cause.squash(exit.cause))
    }
    outcome.heard = text(join(heard))
  }))

const noOutcome = (): Outcome => ({
  heard: "",
  closed: undefined,
  events: [],
  served: undefined,
  rest: undefined,
  log: []
})

/** A server of the line protocol that notes what comes of its first `connections`, in the order in which they come. */
export const serving = Effect.fnUntraced(
  function*(
    observer: Transport.Observer | undefined,
    service: Service,
    connections: number,
    /** Whether what the service leaves is read to the end, before the connection is closed. */
    { readsRest = true }: { readonly readsRest?: boolean } = {}
  ) {
    const outcomes = Array.from({ length: connections }, noOutcome)
    const of = new WeakMap<Lines, Outcome>()
    let begun = 0
    const shaking = observer === undefined
      ? line.server
      : Effect.provideService(line.server, Transport.CurrentObserver, observer)
    const handshake = watched(shaking, () => {
      // They begin in the order in which they come.
      const outcome = outcomes[begun++]
      return {
        onExit: (exit) => {
          if (Exit.isSuccess(exit)) of.set(exit.value, outcome)
        },
        behind: (exit) => exit
      }
    })
    const server = yield* Server.make({
      protocol: { name: line.name, server: handshake },
      serve: (transport) => {
        const outcome = of.get(transport)!
        return watched(service(transport, (what) => outcome.log.push(what)), () => ({
          onExit: () => {},
          behind: Effect.fnUntraced(function*(exit) {
            outcome.served = tellExit(exit)
            if (readsRest) outcome.rest = yield* readAll(transport)
            return yield* exit
          })
        }))
      }
    })
    yield* Effect.forkScoped(
      Stream.runForEach(
        server.events,
        (event) => Effect.sync(() => outcomes[event.id - 1].events.push(tellEvent(event)))
      ),
      { startImmediately: true }
    )
    return { outcomes, server }
  },
  // What a connection has died of is no news here.
  Effect.provideService(References.CurrentLoggers, new Set())
)

/**
 * Serves some clients on one server, each of which comes a millisecond after the one before. The server may drain while
 * they are there.
 */
export const converse = (way: Way, service: Service, clients: ReadonlyArray<Client>, drainsAt: number | undefined) =>
  Effect.scoped(Effect.gen(function*() {
    const { dial, left, server: socketServer, waited } = yield* way.open
    const { outcomes, server } = yield* serving(way.observer, service, clients.length).pipe(
      Effect.provideService(SocketServer.SocketServer, socketServer)
    )
    if (drainsAt !== undefined) yield* Effect.forkScoped(Effect.andThen(Effect.sleep(drainsAt), server.drain))
    yield* Effect.forEach(
      clients,
      (client, i) =>
        Effect.sleep(i).pipe(
          Effect.andThen(dial({ capacity: client.capacity })),
          Effect.flatMap((socket) => speak(socket, client, outcomes[i]))
        ),
      { concurrency: "unbounded", discard: true }
    )
    // A handler may have some time to go, and a connection its second to linger.
    yield* Effect.sleep("5 seconds")
    const { connections, pending, refusing } = yield* server.counts
    return {
      outcomes,
      waited: waited(),
      left: [...left(), ...(connections + pending + refusing === 0 ? [] : ["connections that the server counts"])]
    }
  }))

/** Runs an effect in a time of its own, in which nothing has to be waited for. */
export const inItsTime = <A, E>(effect: Effect.Effect<A, E>, breathe?: Effect.Effect<void>): Effect.Effect<A, E> =>
  Effect.flatMap(
    Effect.suspend(() => new Simulation().run(effect, breathe)),
    (exit) => exit ?? Effect.die(new Error("nothing can happen any more, and the conversation has not ended"))
  )

export const simulate = (way: Way, service: Service, clients: ReadonlyArray<Client>, drainsAt?: number) =>
  inItsTime(converse(way, service, clients, drainsAt))
