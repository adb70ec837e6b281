/**
 * The `SocketServer` of connections that exist in this process only.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"

/** A connection that has come to the server. */
export interface Incoming {
  readonly socket: Socket.Socket
  /** Whether it is over before a handler has seen it. */
  readonly isGone?: (() => boolean) | undefined
}

interface Accepting<C> {
  readonly server: SocketServer.SocketServer["Service"]
  /** Hands a connection to the handler, or lets it wait for one. */
  readonly accept: (connection: C) => void
  readonly waiting: () => ReadonlyArray<C>
}

export const make = <C extends Incoming>(): Accepting<C> => {
  let handle: ((socket: Socket.Socket) => void) | undefined
  let parked: Array<C> = []

  const run = Effect.fnUntraced(function*<R, E, _>(handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>) {
    const scope = yield* Scope.make()
    const fork = Effect.runForkWith(Context.omit(Scope.Scope)(yield* Effect.context<R>()) as Context.Context<R>)
    const track = Fiber.runIn(scope)
    const before = handle
    handle = (socket) => {
      track(
        fork(Effect.ignoreCause(handler(socket), { log: "Unhandled", message: "Unhandled error in SocketServer" }))
      )
    }
    const early = parked
    parked = []
    for (const { isGone, socket } of early) if (isGone?.() !== true) handle(socket)
    return yield* Effect.ensuring(
      Effect.never,
      Effect.suspend(() => {
        handle = before
        return Scope.close(scope, Exit.void)
      })
    )
  })

  return {
    server: SocketServer.SocketServer.of({
      address: NetAddress.inetAddressFromIpStringUnsafe("127.0.0.1", 1),
      run
    }),
    accept: (connection) => {
      if (handle === undefined) parked.push(connection)
      else handle(connection.socket)
    },
    waiting: () => parked
  }
}
