/**
 * TCP and Unix sockets on Node, for clients and servers.
 *
 * Any `Socket` and `SocketServer` of Effect serves this package. These are faster, because their bytes come from the
 * socket's own events and not through a fiber, and they are complete: they know the peer's address, they let answers
 * follow the peer's half-close, a write to a dead connection fails, and a draining server stops listening.
 *
 * @since 0.1.0
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as NodeNet from "node:net"
import { peerOf } from "../internal/netSocket.ts"
import {
  type Chunks,
  type Source,
  type SourceEvents,
  type SourceSocket,
  SourceTypeId,
  type StoppableServer,
  StopTypeId
} from "../internal/source.ts"

const socketError = (reason: Socket.SocketErrorReason) => new Socket.SocketError({ reason })

const writeError = (cause: unknown) => socketError(new Socket.SocketWriteError({ cause }))

/**
 * The source of a connected Node socket.
 *
 * | event | inbox | a write that waits |
 * |---|---|---|
 * | `data` | the bytes | |
 * | `end` | ended in order | goes on: the connection is half-closed |
 * | `drain` | | succeeds |
 * | `error` | broken | `close` follows |
 * | `close` | ended, where neither of the two came before | fails |
 */
const makeSource = (conn: NodeNet.Socket): Source => {
  let events: SourceEvents | undefined
  let broken = conn.errored ?? undefined
  let onDrain: ((result: Effect.Effect<void, Socket.SocketError>) => void) | undefined

  const drained = (result: Effect.Effect<void, Socket.SocketError>): void => {
    const resume = onDrain
    onDrain = undefined
    resume?.(result)
  }
  conn.on("error", (error) => {
    broken = error
    events?.onEnd(socketError(new Socket.SocketReadError({ cause: error })))
  })

  const awaitDrain = Effect.callback<void, Socket.SocketError>((resume) => {
    if (conn.destroyed) return resume(Effect.fail(writeError(broken ?? new Error("the connection is closed"))))
    if (!conn.writableNeedDrain) return resume(Effect.void)
    onDrain = resume
    return Effect.sync(() => {
      onDrain = undefined
    })
  })

  const writeNow = (chunks: Chunks): Effect.Effect<void, Socket.SocketError> | undefined => {
    if (broken !== undefined) return Effect.fail(writeError(broken))
    if (!conn.writable) return Effect.fail(writeError(new Error("the connection is closed")))
    if (chunks.length === 1) {
      conn.write(chunks[0])
    } else {
      conn.cork()
      for (const chunk of chunks) conn.write(chunk)
      conn.uncork()
    }
    return conn.writableNeedDrain ? awaitDrain : undefined
  }

  return {
    peer: peerOf(conn),
    attach: (to) => {
      events = to
      conn.on("data", to.onBytes)
      conn.on("end", () => to.onEnd(undefined))
      conn.on("drain", () => drained(Effect.void))
      conn.on("close", () => {
        to.onEnd(undefined)
        if (onDrain !== undefined) drained(Effect.fail(writeError(broken ?? new Error("the connection is closed"))))
      })
      // It broke between its birth and now.
      if (broken !== undefined) to.onEnd(socketError(new Socket.SocketReadError({ cause: broken })))
      else if (conn.destroyed) to.onEnd(undefined)
    },
    resume: () => {
      conn.resume()
    },
    pause: () => {
      conn.pause()
    },
    write: function write(chunks: Chunks): Effect.Effect<void, Socket.SocketError> {
      return Effect.suspend(() =>
        // Whoever waited for this was interrupted; what it wrote still fills the buffer.
        conn.writableNeedDrain && conn.writable
          ? Effect.andThen(awaitDrain, write(chunks))
          : writeNow(chunks) ?? Effect.void
      )
    },
    writeNow,
    endWrite: () => {
      if (!conn.writableEnded) conn.end()
      return conn.destroyed || conn.writableLength === 0
    },
    // `close` follows, and fails the write.
    abort: () => {
      conn.destroy()
    },
    flushed: Effect.callback<void>((resume) => {
      if (conn.destroyed || conn.writableFinished) return resume(Effect.void)
      const done = () => {
        conn.off("finish", done)
        conn.off("close", done)
        resume(Effect.void)
      }
      conn.once("finish", done)
      conn.once("close", done)
      return Effect.sync(() => {
        conn.off("finish", done)
        conn.off("close", done)
      })
    })
  }
}

// A Socket for whoever uses it as any other, and a source for those who know of it, who never make the other. `release`
// differs: the one flushes by itself, the other was flushed by its connection.
const fromConnection = (
  open: (release: (conn: NodeNet.Socket) => void) => Effect.Effect<NodeNet.Socket, Socket.SocketError, Scope.Scope>
): SourceSocket => {
  let known: Socket.Socket | undefined
  const socket = Effect.suspend(() =>
    known !== undefined ? Effect.succeed(known) : Effect.map(
      NodeSocket.fromDuplex(open((conn) => conn.destroySoon())),
      (socket) => {
        known = socket
        return socket
      }
    )
  )
  return {
    ...Socket.make({
      reader: Effect.flatMap(socket, (socket) => socket.reader),
      writer: Effect.flatMap(socket, (socket) => socket.writer)
    }),
    [SourceTypeId]: Effect.map(open((conn) => conn.destroy()), makeSource)
  }
}

/**
 * How to dial.
 *
 * **Details**
 *
 * Node's options of `net.connect`, with `noDelay` and `allowHalfOpen` on: small requests travel at once, and a server that
 * ends its side can still be heard and answered.
 *
 * @category models
 * @since 0.1.0
 */
export type DialOptions = NodeNet.NetConnectOpts

/**
 * A socket that dials a TCP port or a Unix path each time its connection is opened.
 *
 * **Details**
 *
 * It takes Node's options, or an address such as that of a `Server`. How long dialling may take is the handshake's
 * deadline. Interrupted, it gives up at once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const socket = (to: DialOptions | NetAddress.SocketAddress): Effect.Effect<Socket.Socket> => {
  const options = NetAddress.isSocketAddress(to) ? dialOptions(to) : to
  return Effect.sync(() =>
    fromConnection((release) =>
      Effect.acquireRelease(
        Effect.callback<NodeNet.Socket, Socket.SocketError>((resume) => {
          const conn = NodeNet.connect({ noDelay: true, allowHalfOpen: true, ...options })
          const refused = (cause: Error) =>
            resume(Effect.fail(socketError(new Socket.SocketOpenError({ kind: "Unknown", cause }))))
          conn.once("error", refused)
          conn.once("connect", () => {
            conn.off("error", refused)
            conn.pause()
            // Whoever has it now listens for errors; one that comes before that must not end the process.
            conn.on("error", ignore)
            resume(Effect.succeed(conn))
          })
          return Effect.sync(() => {
            conn.on("error", ignore)
            conn.destroy()
          })
        }),
        (conn) => Effect.sync(() => release(conn)),
        { interruptible: true }
      )
    )
  )
}

const dialOptions = (address: NetAddress.SocketAddress): DialOptions =>
  address._tag === "UnixPathAddress"
    ? { path: address.path }
    : { host: NetAddress.formatHost(address), port: address.port }

const ignore = () => {}

/**
 * Provides the `Socket` of {@link socket}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSocket = (to: DialOptions | NetAddress.SocketAddress): Layer.Layer<Socket.Socket> =>
  Layer.effect(Socket.Socket, socket(to))

/**
 * How to listen.
 *
 * **Details**
 *
 * Node's options of `net.createServer` and of `listen`, with `noDelay` and `allowHalfOpen` on.
 *
 * @category models
 * @since 0.1.0
 */
export type ListenOptions = NodeNet.ServerOpts & NodeNet.ListenOptions

const openError = (cause: unknown) =>
  new SocketServer.SocketServerError({ reason: new SocketServer.SocketServerOpenError({ cause }) })

const addressOf = (address: string | NodeNet.AddressInfo): NetAddress.SocketAddress =>
  typeof address === "string"
    ? NetAddress.unixPathAddress(address)
    : NetAddress.inetAddressFromIpStringUnsafe(address.address, address.port)

/**
 * Listens on a TCP port or a Unix path until the scope closes.
 *
 * **Details**
 *
 * Fails with `SocketServerError` where the address cannot be had. Connections that come before `run` wait for it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeServer = Effect.fnUntraced(function*(
  options: ListenOptions
): Effect.fn.Return<SocketServer.SocketServer["Service"], SocketServer.SocketServerError, Scope.Scope> {
  const parked = new Set<NodeNet.Socket>()
  let accept: ((conn: NodeNet.Socket) => void) | undefined

  const server = NodeNet.createServer(
    { noDelay: true, allowHalfOpen: true, ...options, pauseOnConnect: true },
    (conn) => {
      conn.on("error", ignore)
      if (accept !== undefined) return accept(conn)
      parked.add(conn)
      conn.once("close", () => parked.delete(conn))
    }
  )
  const stop = Effect.sync(() => {
    server.close()
    for (const conn of parked) conn.destroy()
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, SocketServer.SocketServerError>((resume) => {
      server.once("error", (cause) => resume(Effect.fail(openError(cause))))
      server.listen(options, () => resume(Effect.void))
    }),
    () => stop
  )
  // Accepting can fail later for want of file descriptors; the server goes on when there are some again.
  server.on("error", ignore)

  const run = Effect.fnUntraced(function*<R, E, _>(handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>) {
    const scope = yield* Scope.make()
    const fork = Effect.runForkWith(Context.omit(Scope.Scope)(yield* Effect.context<R>()) as Context.Context<R>)
    const track = Fiber.runIn(scope)
    accept = (conn) => {
      const socket = fromConnection((release) =>
        Effect.acquireRelease(Effect.succeed(conn), (conn) => Effect.sync(() => release(conn)))
      )
      const handled = Effect.suspend(() => handler(socket)).pipe(
        Effect.ignoreCause({ log: "Unhandled", message: "Unhandled error in SocketServer" }),
        // A handler that never opens its connection would leave it to the peer.
        Effect.ensuring(Effect.sync(() => conn.destroySoon()))
      )
      track(fork(handled))
    }
    for (const conn of parked) {
      parked.delete(conn)
      accept(conn)
    }
    return yield* Effect.ensuring(
      Effect.never,
      Effect.suspend(() => {
        accept = undefined
        return Scope.close(scope, Exit.void)
      })
    )
  })

  const service: SocketServer.SocketServer["Service"] & StoppableServer = {
    address: addressOf(server.address()!),
    run,
    [StopTypeId]: stop
  }
  return service
})

/**
 * Provides the `SocketServer` of {@link makeServer}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerServer = (
  options: ListenOptions
): Layer.Layer<SocketServer.SocketServer, SocketServer.SocketServerError> =>
  Layer.effect(SocketServer.SocketServer, makeServer(options))
