/**
 * What a handshake is tried on: from plain function calls to real sockets. The laws are the same on each rung.
 *
 * @stability experimental
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Direct from "./internal/direct.ts"
import * as MemorySocket from "./MemorySocket.ts"
import * as SimulatedNetwork from "./SimulatedNetwork.ts"

/**
 * The two sockets of one connection. A server's may be there only when the client has dialled, so each is waited for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Link {
  readonly client: Effect.Effect<Socket.Socket>
  readonly server: Effect.Effect<Socket.Socket>
}

const both = ([client, server]: readonly [Socket.Socket, Socket.Socket]): Link => ({
  client: Effect.succeed(client),
  server: Effect.succeed(server)
})

/**
 * A kind of connection that handshakes are tried on.
 *
 * **Details**
 *
 * - `time`: whether the laws may let time pass as they like. With `virtual` time a day is over at once; with `real` time
 *   they wait, and try fewer cases.
 * - `lag`: how long, in milliseconds, it takes at most until what one side does has reached the other.
 * - `isFast`: whether the side under test goes the way of production, see {@link fast}.
 * - `connect`: makes one connection, which lives as long as the scope. What is drawn by chance is drawn from the seed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rung {
  readonly name: string
  readonly time: "virtual" | "real"
  readonly lag: number
  readonly isFast?: boolean | undefined
  readonly connect: (seed: number) => Effect.Effect<Link, unknown, Scope.Scope>
}

/**
 * Plain function calls: no event loop, no clock, nothing in between. A handshake that waits for a promise cannot run here.
 *
 * @category rungs
 * @since 0.1.0
 */
export const pure: Rung = {
  name: "pure",
  time: "virtual",
  lag: 1,
  connect: () => Effect.sync(() => both(Direct.pair()))
}

/**
 * Effect's own kind of sockets, in memory: each segment is pulled on its own.
 *
 * @see {@link MemorySocket}
 *
 * @category rungs
 * @since 0.1.0
 */
export const memory: Rung = {
  name: "memory",
  time: "virtual",
  lag: 1,
  connect: () => Effect.map(MemorySocket.pair({ segments: (bytes) => [bytes] }), both)
}

/**
 * The simulated network, under conditions that the seed decides: how far away the peer is, how unevenly segments travel,
 * and how they are split and joined. With conditions given, only the rest is drawn. Resets are harsh, as on the systems
 * where last words are lost most easily.
 *
 * @see {@link SimulatedNetwork}
 *
 * @category rungs
 * @since 0.1.0
 */
export const simulated = (conditions?: SimulatedNetwork.Conditions): Rung => ({
  name: "simulated",
  time: "virtual",
  lag: 200 + 2 * millisOf(conditions?.latency) + 2 * millisOf(conditions?.jitter),
  connect: (seed) => {
    const drawn = (salt: number, most: number) => (Math.imul(seed ^ salt, 0x9e37_79b1) >>> 16) % (most + 1)
    const way = (salt: number): SimulatedNetwork.Conditions => ({
      segments: { min: 1, max: [1460, 8, 64, 16_384][drawn(salt, 3)] },
      latency: drawn(salt + 1, 40),
      jitter: drawn(salt + 2, 20),
      ...conditions
    })
    return Effect.map(SimulatedNetwork.pair({ seed, toServer: way(1), toClient: way(7), harshResets: true }), both)
  }
})

const millisOf = (duration: Duration.Input | undefined): number =>
  duration === undefined ? 0 : Duration.toMillis(Duration.fromInputUnsafe(duration))

/**
 * A rung whose side under test goes the way of production. The others are watched on their way, and what is watched is
 * taken frame by frame.
 *
 * **Details**
 *
 * Nobody observes it. A server side is run by `Server`, which takes its connection without a fiber and sets the deadline of
 * the handshake; what comes behind the handshake is taken by `Pipeline.serve` as soon as it comes, and both write without a
 * fiber where they need not wait. So law 9 looks at everything but a transcript, and a violation is not drawn.
 *
 * **Example** (Both ways on the simulated network)
 *
 * ```ts
 * import { Rung } from "effect-handshake/testing"
 *
 * const rungs = [Rung.simulated(), Rung.fast(Rung.simulated())]
 *
 * console.log(rungs.map(({ name }) => name)) // => [ 'simulated', 'fast simulated' ]
 * ```
 *
 * @category rungs
 * @since 0.1.0
 */
export const fast = (rung: Rung): Rung => ({ ...rung, name: `fast ${rung.name}`, isFast: true })

/**
 * Real sockets, or whatever else provides a `SocketServer` and a way to dial it. The server listens while the laws of one
 * connection run, so give it a free port.
 *
 * **Example** (TCP on loopback)
 *
 * ```ts
 * import * as Net from "effect-handshake/node/Net"
 * import { Rung } from "effect-handshake/testing"
 *
 * const tcp = Rung.sockets({
 *   name: "tcp",
 *   server: Net.makeServer({ host: "127.0.0.1", port: 0 }),
 *   dial: Net.socket
 * })
 *
 * console.log(tcp.time) // => real
 * ```
 *
 * @category rungs
 * @since 0.1.0
 */
export const sockets = <E>(options: {
  /** What tests and violations call it. */
  readonly name: string
  /** Listens, for as long as its scope is open. */
  readonly server: Effect.Effect<SocketServer.SocketServer["Service"], E, Scope.Scope>
  /** Makes the socket of a client to that server. */
  readonly dial: (address: NetAddress.SocketAddress) => Effect.Effect<Socket.Socket>
}): Rung => ({
  name: options.name,
  time: "real",
  lag: 20,
  connect: Effect.fnUntraced(function*() {
    const server = yield* options.server
    const accepted = yield* Deferred.make<Socket.Socket>()
    const over = yield* Deferred.make<void>()
    yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
    yield* Effect.forkScoped(
      server.run((socket) => Effect.andThen(Deferred.succeed(accepted, socket), Deferred.await(over)))
    )
    return { client: options.dial(server.address), server: Deferred.await(accepted) }
  })
})
