/**
 * Sockets in memory: a connected pair, and a server with its clients, without a network.
 *
 * **When to use**
 *
 * Use to test a handshake against a peer that is written in the test, and to run a server and its clients in one
 * process under `TestClock`.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as NetworkServer from "./internal/networkServer.ts"
import { Pipe, PipeEnd } from "./internal/pipe.ts"

/**
 * How bytes travel between the two ends.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Cuts what is written into the pieces that the other end pulls, one at a time. Without it each write arrives as it
   * is, and writes that nobody has pulled yet arrive together.
   */
  readonly segments?: ((bytes: Uint8Array) => ReadonlyArray<Uint8Array>) | undefined
  /** How many bytes one direction holds before a write waits. Default: 64 KiB. */
  readonly capacity?: number | undefined
}

/**
 * Two sockets, each the other's peer.
 *
 * **Details**
 *
 * Closing the scope of a socket's writer ends that direction; closing the scope of its reader closes both. An end is a
 * clean one, as of a TCP connection that was closed in order.
 *
 * **Example** (One byte at a time)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [left, right] = yield* MemorySocket.pair({
 *     segments: (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte))
 *   })
 *   const a = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, left))
 *   const b = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, right))
 *   yield* a.send("Hello")
 *   return yield* b.receive
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => Hello
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const pair = (options: Options = {}): Effect.Effect<readonly [Socket.Socket, Socket.Socket]> =>
  Effect.sync(() => {
    const there = new Pipe(options)
    const back = new Pipe(options)
    return [new PipeEnd(back, there), new PipeEnd(there, back)] as const
  })

/**
 * A server in memory, and how to reach it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Network {
  readonly server: SocketServer.SocketServer["Service"]
  /** A socket of a client; each acquisition of its reader dials anew. */
  readonly client: Socket.Socket
}

/**
 * Makes a server in memory. Connections that come before it runs wait for it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const network = (options: Options = {}): Effect.Effect<Network> =>
  Effect.sync(() => {
    const { accept, server } = NetworkServer.make()
    const dial = Effect.map(pair(options), ([here, there]) => {
      accept({ socket: there })
      return here
    })
    // The writer belongs to the connection that the reader has dialled last.
    let dialled: Socket.Socket | undefined
    const client = Socket.make({
      reader: Effect.flatMap(dial, (socket) => {
        dialled = socket
        return socket.reader
      }),
      writer: Effect.suspend(() => dialled === undefined ? Effect.die("the reader comes first") : dialled.writer)
    })
    return { server, client }
  })
