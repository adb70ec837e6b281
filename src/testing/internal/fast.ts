/**
 * The way that a connection goes in production: a socket that is connected already and is written to without a fiber, and
 * a server that takes it from its listener as it comes.
 *
 * @internal
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as PullSource from "../../internal/connection/pullSource.ts"
import {
  type Chunks,
  runDirectly,
  type Source,
  type SourceEvents,
  SourceSocket,
  StandIn
} from "../../internal/connection/source.ts"
import * as Server from "../../Server.ts"
import type * as Transport from "../../Transport.ts"

type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

/** Any source, as one that can be written to without a fiber, and that its connection gives up. */
class FastSource implements Source {
  private readonly source: Source
  private readonly fork: Fork
  private readonly release: Effect.Effect<void>

  constructor(source: Source, fork: Fork, release: Effect.Effect<void>) {
    this.source = source
    this.fork = fork
    this.release = release
  }

  get peer() {
    return this.source.peer
  }

  attach(events: SourceEvents): void {
    this.source.attach(events)
  }

  resume(): void {
    this.source.resume()
  }

  pause(): void {
    this.source.pause()
  }

  write(chunks: Chunks): Effect.Effect<void, Socket.SocketError> {
    return this.source.write(chunks)
  }

  writeNow(chunks: Chunks): Effect.Effect<void, Socket.SocketError> | undefined {
    const writing = this.fork(this.source.write(chunks))
    const exit = writing.pollUnsafe()
    if (exit === undefined) {
      return Effect.onInterrupt(Fiber.join(writing), () => Effect.sync(() => writing.interruptUnsafe()))
    }
    return Exit.isSuccess(exit) ? undefined : exit
  }

  get room(): Effect.Effect<void, Socket.SocketError> | undefined {
    return this.source.room
  }

  endWrite(isOver?: boolean): boolean {
    return this.source.endWrite(isOver)
  }

  onFlushed(done: () => void): void {
    this.source.onFlushed(done)
  }

  abort(error: Socket.SocketError): void {
    this.source.abort?.(error)
  }

  destroy(): void {
    this.source.destroy?.()
    this.fork(this.release)
  }
}

const socketOf = (
  socket: Socket.Socket,
  source: Effect.Effect<Source, Socket.SocketError, Scope.Scope>
): SourceSocket => new StandIn(socket, source)

const open = (socket: Socket.Socket) => SourceSocket.is(socket) ? socket.source : PullSource.make(socket)

/** The socket of a server's connection. It is given up with the scope, if not before. */
export const accepted = Effect.fnUntraced(function*(
  socket: Socket.Socket
): Effect.fn.Return<SourceSocket, Socket.SocketError, Scope.Scope> {
  if (SourceSocket.is(socket) && Exit.isExit(socket.source)) return socket
  const scope = yield* Scope.fork(yield* Effect.scope)
  const source = yield* Scope.provide(open(socket), scope)
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  return socketOf(socket, Exit.succeed(new FastSource(source, fork, Scope.close(scope, Exit.void))))
})

/** The socket of a client. Its scope gives it up. */
export const dialled = (socket: Socket.Socket): SourceSocket =>
  socketOf(
    socket,
    Effect.contextWith((context) =>
      Effect.map(open(socket), (source) =>
        source.writeNow === undefined ? new FastSource(source, Effect.runForkWith(context), Effect.void) : source)
    )
  )

/** A listener whose connections are handed to it, once somebody takes them. */
export const listener = Effect.fnUntraced(function*() {
  const taking = yield* Deferred.make<(socket: SourceSocket) => void>()
  const server: SocketServer.SocketServer["Service"] = {
    address: NetAddress.inetAddressFromIpStringUnsafe("127.0.0.1", 1),
    run: runDirectly(() => Effect.die(new Error("the connections of a direct server are taken directly")), {
      accept: (take) => Effect.andThen(Deferred.succeed(taking, take), Effect.never)
    })
  }
  return { server, take: Deferred.await(taking) }
})

/**
 * Runs a `Server` for one connection, which it takes as it takes any other, and tells what happens to it. Interrupted, it
 * drains.
 */
export const serve = (options: {
  readonly socket: SourceSocket
  readonly handshake: Effect.Effect<Transport.Transport.Any, unknown, Socket.Socket | Scope.Scope>
  readonly serve: (transport: Transport.Transport.Any) => Effect.Effect<unknown, unknown, Scope.Scope>
  readonly handshakeTimeout: Duration.Input
  readonly onEvent: (event: Server.Event) => void
}): Effect.Effect<void> =>
  Effect.scoped(Effect.gen(function*() {
    const { server: socketServer, take } = yield* listener()
    const { handshake, handshakeTimeout, serve } = options
    const server = yield* Server.make({ handshake, serve, handshakeTimeout }).pipe(
      Effect.provideService(SocketServer.SocketServer, socketServer)
    )
    const closed = yield* server.events.pipe(
      Stream.tap((event) => Effect.sync(() => options.onEvent(event))),
      Stream.takeUntil(({ _tag }) => _tag === "Closed"),
      Stream.runDrain,
      Effect.forkScoped({ startImmediately: true })
    )
    const accept = yield* take
    accept(options.socket)
    yield* Fiber.join(closed)
  }))
