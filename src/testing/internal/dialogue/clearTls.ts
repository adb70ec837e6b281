/**
 * TLS that encrypts nothing: both sides say that it begins, and go on in clear.
 *
 * What a dialogue has to say of TLS is where it begins, and so its laws need none that takes real time. What comes in clear where
 * it has to begin is refused, as by the real one. With which options each side begins it is told, for what these say of certificates.
 *
 * @internal
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Socket from "effect/socket/Socket"
import * as Connection from "../../../internal/connection/connection.ts"
import * as PullSource from "../../../internal/connection/pullSource.ts"
import {
  type Source,
  type SourceEvents,
  SourceSocket,
  StandIn,
  type TlsOptions
} from "../../../internal/connection/source.ts"
import type * as Peer from "../../../Peer.ts"
import * as Transport from "../../../Transport.ts"
import { TlsFailure } from "../../../TransportError.ts"

/** How each side begins: a record of TLS 1.2 (RFC 8446 5.1) with nothing in it. */
const hello = Uint8Array.of(0x16, 0x03, 0x03, 0x00, 0x00)

export const isHello = (bytes: Uint8Array): boolean =>
  bytes.length === hello.length && hello.every((byte, i) => bytes[i] === byte)

const tls: Peer.Tls = {
  version: "TLSv1.3",
  cipher: "TLS_NULL_WITH_NULL_NULL",
  alpn: undefined,
  servername: undefined,
  resumed: false,
  verified: true,
  certificate: undefined,
  localCertificate: undefined
}

const failed = (kind: "not-tls" | "protocol", detail: string) => new TlsFailure({ kind, detail, fault: "peer" })

/** A source whose TLS is none; with which options it begins is told. */
const clear = (source: Source, told: Told): Source => {
  let events: SourceEvents
  /** What takes bytes while TLS begins. */
  let beginning: ((bytes: Uint8Array) => void) | undefined
  let onEnd: (() => void) | undefined
  let kept: Array<Uint8Array> = []
  let hasEnded: (() => void) | undefined
  const flow = { isWanted: false }
  const deliver = () => {
    while (flow.isWanted) {
      const next = kept.shift()
      if (next === undefined) break
      events.onBytes(next)
    }
    if (kept.length === 0) {
      hasEnded?.()
      hasEnded = undefined
    }
  }
  return {
    get peer() {
      return source.peer
    },
    attach: (given) => {
      events = given
      source.attach({
        onBytes: (bytes) => beginning === undefined ? given.onBytes(bytes) : beginning(bytes),
        onEnd: (error) => {
          if (onEnd !== undefined) onEnd()
          else if (kept.length > 0) hasEnded = () => given.onEnd(error)
          else given.onEnd(error)
        }
      })
    },
    resume: () => {
      flow.isWanted = true
      deliver()
      if (flow.isWanted) source.resume()
    },
    pause: () => {
      flow.isWanted = false
      source.pause()
    },
    write: (chunks) => source.write(chunks),
    get room() {
      return source.room
    },
    endWrite: (isOver) => source.endWrite(isOver),
    onFlushed: (done) => source.onFlushed(done),
    abort: (error) => source.abort?.(error),
    destroy: () => source.destroy?.(),
    ...(source.view !== undefined && { view: (unread) => source.view!(unread) }),
    startTls: (options, unread) =>
      Effect.gen(function*() {
        const { role } = options
        told(options)
        const begun = Deferred.makeUnsafe<void, TlsFailure>()
        let seen: Array<number> = []
        const take = (bytes: Uint8Array) => {
          seen = [...seen, ...bytes]
          if (seen.some((byte, i) => i < hello.length && byte !== hello[i])) {
            source.pause()
            Deferred.doneUnsafe(begun, Exit.fail(failed("not-tls", "what came is no TLS")))
          } else if (seen.length >= hello.length) {
            source.pause()
            if (seen.length > hello.length) kept = [Uint8Array.from(seen.slice(hello.length))]
            beginning = undefined
            Deferred.doneUnsafe(begun, Exit.void)
          }
        }
        beginning = take
        onEnd = () => Deferred.doneUnsafe(begun, Exit.fail(failed("protocol", "the peer ended the connection")))
        const begin = Effect.gen(function*() {
          // Where messages end is known by what is told of them.
          const observer = yield* Transport.CurrentObserver
          observer?.({ _tag: "Sent", frame: "the beginning of TLS", bytes: hello, length: hello.length })
          yield* Effect.ignore(source.write([hello]))
        })
        // The client speaks first in TLS: what a server said before it could be there before the client has begun.
        if (role === "client") yield* begin
        if (unread.length > 0) take(unread)
        if (!Deferred.isDoneUnsafe(begun)) source.resume()
        yield* Deferred.await(begun)
        if (role === "server") yield* begin
        onEnd = undefined
        return tls
      })
  }
}

/** Hears with which options a side begins TLS. */
export type Told = (options: TlsOptions) => void

/** The same socket, with such a TLS of its own. */
export const over = (socket: Socket.Socket, told: Told = () => {}): SourceSocket =>
  Connection.alsoMadeOf(
    new StandIn(
      socket,
      Effect.map(
        SourceSocket.is(socket) ? socket.source : PullSource.make(socket),
        (source) => clear(source, told)
      )
    ),
    socket
  )

/** Gives a side of a conversation such a socket in the place of its own. */
export const within = <A, E, R>(
  side: Effect.Effect<A, E, R | Socket.Socket>,
  told?: Told
): Effect.Effect<A, E, R | Socket.Socket> =>
  Effect.flatMap(Socket.Socket, (socket) => Effect.provideService(side, Socket.Socket, over(socket, told)))
