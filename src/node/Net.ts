/**
 * TCP and Unix sockets on Node, for clients and servers.
 *
 * Any `Socket` and `SocketServer` of Effect serves this package. These are faster, because their bytes come from the
 * socket's own events and not through a fiber, and they are complete: they know the peer's address, they let answers
 * follow the peer's half-close, a write to a dead connection fails, and a draining server stops listening.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as NodeNet from "node:net"
import * as Addresses from "../internal/connection/netSocket.ts"
import { type Direct, runDirectly, type Source, SourceSocket, stoppable } from "../internal/connection/source.ts"
import * as Descriptors from "../internal/node/descriptors.ts"
import { listenToErrors } from "../internal/node/hearing.ts"
import { NetSource } from "../internal/node/netSource.ts"

const socketError = (reason: Socket.SocketErrorReason) => new Socket.SocketError({ reason })

/** Node's socket as Effect's own Node sockets have it; it flushes by itself when its scope closes. */
type Generic = Effect.Effect<Socket.Socket>

/**
 * A Socket for whoever uses it as any other, and a source for those who know of it. Whichever is not asked for is not
 * made.
 */
abstract class NetSocket extends SourceSocket {
  /** Opens the connection, and gives it up in the end as an ordinary socket does. */
  protected abstract readonly duplex: Effect.Effect<NodeNet.Socket, Socket.SocketError, Scope.Scope>
  private known: Socket.Socket | undefined = undefined

  private get generic(): Generic {
    return Effect.suspend(() =>
      this.known !== undefined ? Effect.succeed(this.known) : Effect.map(
        NodeSocket.fromDuplex(this.duplex),
        (socket) => this.known = socket
      )
    )
  }

  readonly reader: Effect.Effect<Socket.Reader, Socket.SocketError, Scope.Scope> = Effect.suspend(() =>
    Effect.flatMap(this.generic, (socket) => socket.reader)
  )

  readonly writer: Effect.Effect<Socket.Writer, never, Scope.Scope> = Effect.suspend(() =>
    Effect.flatMap(this.generic, (socket) => socket.writer)
  )
}

class AcceptedSocket extends NetSocket {
  readonly conn: NodeNet.Socket

  constructor(conn: NodeNet.Socket) {
    super()
    this.conn = conn
  }

  get source(): Exit.Exit<Source> {
    return Exit.succeed(new NetSource(this.conn))
  }

  /** What was written is flushed. */
  giveUp(): void {
    if (!this.conn.destroyed) this.conn.destroySoon()
  }

  protected get duplex() {
    return Effect.acquireRelease(
      Effect.sync(() => this.conn),
      (conn) => Effect.sync(() => conn.destroySoon())
    )
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
 * TCP's own keep-alive is `keepAlive`, with `keepAliveInitialDelay` in milliseconds of silence before the first probe, and how
 * it goes on from there in {@link KeepAliveProbes}. Node has no TCP_USER_TIMEOUT. What bounds a peer that takes nothing is
 * `Middleware.keepAlive`, and `writeTimeout` of a `Server`.
 *
 * @category models
 * @since 0.1.0
 */
export type DialOptions = NodeNet.NetConnectOpts & KeepAliveProbes

/**
 * How TCP's own keep-alive goes on, where `keepAlive` is on.
 *
 * **Details**
 *
 * A peer that answers no probe is given up, with the error ETIMEDOUT, after `keepAliveInitialDelay` and `keepAliveCount` times
 * `keepAliveInterval`. Versions of Node whose `setKeepAlive` does not take these two, such as 22, probe each second, ten times.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeepAliveProbes {
  /** Milliseconds between probes, in whole seconds. Default: 1000. */
  readonly keepAliveInterval?: number | undefined
  /** How many probes without an answer there may be. Default: 10. */
  readonly keepAliveCount?: number | undefined
}

/**
 * A socket that dials a TCP port or a Unix path each time its connection is opened.
 *
 * **Details**
 *
 * It takes Node's options, or an address such as that of a `Server`. A link-local address of IPv6 has its zone behind it, by
 * the name of the interface or its number: `fe80::1%eth0`. How long dialling may take is the handshake's deadline.
 * Interrupted, it gives up at once.
 *
 * Options that Node does not take, such as port 70000, and an address whose zone is no interface of this machine, fail
 * the dial with a `SocketError`, as a refused connection does.
 *
 * @category constructors
 * @since 0.1.0
 */
export const socket = (to: DialOptions | NetAddress.SocketAddress): Effect.Effect<Socket.Socket> => {
  const options = NetAddress.isSocketAddress(to) ? dialOptions(to) : to
  return Effect.sync(() => new DialledSocket(options))
}

/** A host as Node takes it; it throws where its zone is none. */
const nativeHost = (host: string): string => {
  const problem = Addresses.zoneProblem(host)
  if (problem !== undefined) throw new Error(problem)
  return Addresses.nativeHost(host)
}

/** Options as Node takes them. */
const native = <A extends object>(options: A): A => {
  const { host, localAddress }: { readonly host?: unknown; readonly localAddress?: unknown } = options
  return {
    ...options,
    ...typeof host === "string" && { host: nativeHost(host) },
    ...typeof localAddress === "string" && { localAddress: nativeHost(localAddress) }
  }
}

/** The bounds of Linux, tcp(7), which are those of TCP_KEEPINTVL and TCP_KEEPCNT elsewhere or lie within them. */
const probeBounds: ReadonlyArray<readonly [keyof KeepAliveProbes, number, number]> = [
  ["keepAliveInterval", 1000, 32_767_000],
  ["keepAliveCount", 1, 127]
]

/** Throws where these are none that the system takes, which Node would not say. */
const checkProbes = (probes: KeepAliveProbes): void => {
  for (const [name, least, greatest] of probeBounds) {
    const value = probes[name]
    if (value !== undefined && !(value >= least && value <= greatest)) {
      throw new RangeError(`${name} is from ${least} to ${greatest}, not ${value}`)
    }
  }
}

const setProbes = (
  conn: NodeNet.Socket,
  { keepAlive, keepAliveCount, keepAliveInitialDelay, keepAliveInterval }: NodeNet.ServerOpts & KeepAliveProbes
): void => {
  if (keepAlive !== true || (keepAliveInterval === undefined && keepAliveCount === undefined)) return
  conn.setKeepAlive(true, keepAliveInitialDelay ?? 0, keepAliveInterval ?? 1000, keepAliveCount ?? 10)
}

/** Node's `net.connect`, which throws at what it does not take, and would keep what it has made of the socket. */
const connect = (options: DialOptions): NodeNet.Socket => {
  checkProbes(options)
  const all = { noDelay: true, allowHalfOpen: true, ...native(options) }
  const conn = new NodeNet.Socket(all)
  try {
    setProbes(conn, all)
    if (all.timeout) conn.setTimeout(all.timeout)
    return conn.connect(all)
  } catch (cause) {
    conn.on("error", ignore)
    conn.destroy()
    throw cause
  }
}

/** How many bytes the path of a Unix socket may have: unix(7), and unix(4) of the others. */
const longestPath = process.platform === "linux" ? 107 : 103

/** Where to, as far as it is looked at when it has failed. */
interface Whereto {
  readonly host?: unknown
  readonly path?: unknown
}

/** What a code of the system means for this address, where the system only says that it is invalid. */
const addressProblem = ({ host, path }: Whereto, code: unknown): string | undefined => {
  if (code !== "EINVAL" && code !== "ENAMETOOLONG") return undefined
  if (typeof path === "string") {
    const length = Buffer.byteLength(path)
    return length > longestPath ? `its path has ${length} bytes, and no more than ${longestPath} go` : undefined
  }
  return typeof host === "string" && /^fe[89ab][0-9a-f]:/i.test(host)
    ? `${host} is a link-local address, which needs the name of an interface behind it, as in fe80::1%eth0`
    : undefined
}

/** An error of dialling or of listening. What the system has no words for has some of ours, and keeps its code. */
const inWords = (cause: unknown, to: Whereto): unknown => {
  if (!(cause instanceof Error) || !("code" in cause)) return cause
  const words = Descriptors.outOf(cause) ?? addressProblem(to, cause.code)
  return words === undefined ? cause : Object.assign(new Error(words), cause)
}

const dial = (
  options: DialOptions,
  release: (conn: NodeNet.Socket) => void
): Effect.Effect<NodeNet.Socket, Socket.SocketError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<NodeNet.Socket, Socket.SocketError>((resume) => {
      const refused = (cause: unknown) => {
        const error = inWords(cause, options)
        resume(Effect.fail(socketError(new Socket.SocketOpenError({ kind: "Unknown", cause: error }))))
      }
      let conn: NodeNet.Socket
      try {
        conn = connect(options)
      } catch (cause) {
        return refused(cause)
      }
      conn.once("error", refused)
      conn.once("connect", () => {
        conn.off("error", refused)
        conn.pause()
        listenToErrors(conn)
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

class DialledSocket extends NetSocket {
  private readonly options: DialOptions

  constructor(options: DialOptions) {
    super()
    this.options = options
  }

  get source(): Effect.Effect<Source, Socket.SocketError, Scope.Scope> {
    // It was flushed by its connection.
    return Effect.map(dial(this.options, (conn) => conn.destroy()), (conn) => new NetSource(conn))
  }

  protected get duplex() {
    return dial(this.options, (conn) => conn.destroySoon())
  }
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
 * Node's options of `net.createServer` and of `listen`, with `noDelay` and `allowHalfOpen` on. TCP's own keep-alive is as in
 * {@link DialOptions}, for each connection that is accepted.
 *
 * @category models
 * @since 0.1.0
 */
export type ListenOptions = NodeNet.ServerOpts & NodeNet.ListenOptions & KeepAliveProbes

// As Effect's own socket servers report it.
const unhandled = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.ignoreCause(Effect.failCause(cause), {
    log: "Unhandled",
    message: "Unhandled error in SocketServer"
  })

const openError = (options: ListenOptions) => (cause: unknown) =>
  new SocketServer.SocketServerError({
    reason: new SocketServer.SocketServerOpenError({ cause: inWords(cause, options) })
  })

/** Where a server listens. Of a Unix socket that it was given as a descriptor Node does not know the path. */
const addressOf = (address: string | NodeNet.AddressInfo | null): NetAddress.SocketAddress =>
  address === null || typeof address === "string"
    ? NetAddress.unixPathAddress(address ?? "")
    : Result.getOrThrow(Addresses.address(address.address, address.port))

/**
 * Listens on a TCP port or a Unix path until the scope closes.
 *
 * **Details**
 *
 * Fails with `SocketServerError` where the address cannot be had, and where Node does not take the options. Connections
 * that come before `run` wait for it. Where the process has no file descriptors left, connections are closed as they
 * come; this is counted as `handshake.accept_failures` and logged as a warning once a minute.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeServer = Effect.fnUntraced(function*(
  options: ListenOptions
): Effect.fn.Return<SocketServer.SocketServer["Service"], SocketServer.SocketServerError, Scope.Scope> {
  const descriptors = Descriptors.limit()
  const acceptFailed = Descriptors.acceptFailed(
    yield* Clock.Clock,
    Effect.runForkWith(yield* Effect.context<never>())
  )
  const parked = new Set<NodeNet.Socket>()
  let accept: ((conn: NodeNet.Socket) => void) | undefined

  const failed = openError(options)
  const server = yield* Effect.try({
    try: () => {
      checkProbes(options)
      return NodeNet.createServer(
        { noDelay: true, allowHalfOpen: true, ...options, pauseOnConnect: true },
        (conn) => {
          listenToErrors(conn)
          setProbes(conn, options)
          if (Descriptors.isLast(conn, descriptors)) acceptFailed(Descriptors.exhausted())
          if (accept !== undefined) return accept(conn)
          parked.add(conn)
          conn.once("close", () => parked.delete(conn))
        }
      )
    },
    catch: failed
  })
  const stop = Effect.sync(() => {
    server.close()
    for (const conn of parked) conn.destroy()
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, SocketServer.SocketServerError>((resume) => {
      const refused = (cause: unknown) => resume(Effect.fail(failed(cause)))
      server.once("error", refused)
      // Its `signal` closes it, and says nothing.
      server.once("close", () => refused(new Error("it was closed before it listened")))
      try {
        server.listen(native(options), () => resume(Effect.void))
      } catch (cause) {
        refused(cause)
      }
    }),
    () => stop
  )
  // The server goes on when there are file descriptors again; until then the system's queue is emptied by closing what comes.
  server.on("error", acceptFailed)

  const acceptWith = (take: (conn: NodeNet.Socket) => void): Effect.Effect<never> =>
    Effect.callback<never>(() => {
      accept = take
      for (const conn of parked) {
        parked.delete(conn)
        take(conn)
      }
      return Effect.sync(() => {
        accept = undefined
      })
    })

  const run = Effect.fnUntraced(function*<R, E, _>(handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>) {
    const fork = Effect.runForkWith(Context.omit(Scope.Scope)(yield* Effect.context<R>()) as Context.Context<R>)
    const handling = new Set<Fiber.Fiber<unknown, unknown>>()
    const accepting = acceptWith((conn) => {
      const socket = new AcceptedSocket(conn)
      const handled = Effect.onExit(
        // Of a socket that somebody has decorated, this one tells who is at the other end.
        Effect.provideService(Effect.suspend(() => handler(socket)), NodeSocket.NetSocket, conn),
        (exit) => {
          // A handler that never opens its connection would leave it to the peer.
          socket.giveUp()
          return Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? Effect.void : unhandled(exit.cause)
        }
      )
      const fiber = fork(handled)
      handling.add(fiber)
      fiber.addObserver(() => handling.delete(fiber))
    })
    return yield* Effect.ensuring(accepting, Effect.suspend(() => Fiber.interruptAll(handling)))
  })

  const address = yield* Effect.try({ try: () => addressOf(server.address()), catch: failed })
  const accepting: Direct["accept"] = (take) => acceptWith((conn) => take(new NetSource(conn)))
  return stoppable({ address, run: runDirectly(run, { accept: accepting }) }, stop)
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
