/**
 * Runs one side of an HTTP/2 connection against a peer that is nothing but bytes.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../../src/Codec.ts"
import { type HandshakeError, isHandshakeError } from "../../../src/HandshakeError.ts"
import { concat } from "../../../src/internal/bytes/primitives.ts"
import * as Http2 from "../../../src/protocols/Http2.ts"
import * as MemorySocket from "../../../src/testing/MemorySocket.ts"
import { isTransportError, type TransportError } from "../../../src/TransportError.ts"
import { settled } from "../../support/serving.ts"
import { raw } from "./frames.ts"

export const preface = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

const anyFrames = Http2.codec({ maxFrameSize: 2 ** 24 - 1, maxHeaderBlock: Infinity, maxContinuations: Infinity })

export const bytesOf = (...frames: ReadonlyArray<Http2.Frame>): Uint8Array =>
  Codec.encodeAll(Http2.codec({ peerMaxFrameSize: 2 ** 24 - 1 }), frames)

export const noSettings = raw(4, 0, 0)
export const settingsAck = raw(4, 1, 0)

export interface Peer {
  readonly write: (...bytes: ReadonlyArray<Uint8Array>) => Effect.Effect<void>
  readonly end: Effect.Effect<void>
  /** What was heard so far, without a preface. */
  readonly heard: () => ReadonlyArray<Http2.Frame>
  readonly heardBytes: () => Uint8Array
  /** Stops to take what is said. */
  readonly deafen: Effect.Effect<void>
  /** Waits until the side under test has closed. */
  readonly closed: Effect.Effect<unknown>
}

export const peerOf = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const pull = yield* Socket.readerBytes(socket)
  const writer = yield* socket.writer
  const chunks: Array<Uint8Array> = []
  const listening = yield* Effect.forkScoped(
    Effect.ignore(Effect.forever(Effect.map(pull, (pulled) => chunks.push(...pulled))))
  )
  const peer: Peer = {
    write: (...bytes) => Effect.orDie(writer.write(concat(bytes))),
    end: Effect.orDie(writer.write(new Socket.CloseEvent(1000))),
    heardBytes: () => concat(chunks),
    heard: () => {
      const bytes = concat(chunks)
      const isClient = bytes[0] === preface[0]
      return Codec.decodeAll(anyFrames, isClient ? bytes.subarray(preface.length) : bytes)
    },
    deafen: Fiber.interrupt(listening),
    closed: Fiber.await(listening)
  }
  return peer
})

type Shaking = Effect.Effect<Http2.Http2Transport, HandshakeError, Socket.Socket | Scope.Scope>

/** Begins a handshake, in a scope of its own that is closed when it fails, and with `close`. */
export const beginning = Effect.fnUntraced(function*(handshake: Shaking, options?: MemorySocket.Options) {
  const [here, there] = yield* MemorySocket.pair(options)
  const leaving = yield* Scope.fork(yield* Effect.scope)
  const peer = yield* Scope.provide(peerOf(there), leaving)
  const scope = yield* Scope.fork(yield* Effect.scope)
  const fiber = yield* Effect.forkScoped(
    handshake.pipe(
      Effect.provideService(Socket.Socket, here),
      Scope.provide(scope),
      Effect.tapCause((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  )
  // At the end of a test the peer leaves first: nobody is there to let the time pass in which its end is waited for.
  yield* Effect.addFinalizer(() => Scope.close(leaving, Exit.void))
  yield* settled
  return { peer, fiber, close: Scope.close(scope, Exit.void) }
})

/** A server whose client has said its part, and acknowledged. */
export const serverOf = Effect.fnUntraced(function*(options?: Http2.Options, socket?: MemorySocket.Options) {
  const { close, fiber, peer } = yield* beginning(Http2.server(options), socket)
  yield* peer.write(preface, noSettings, settingsAck)
  yield* settled
  return { close, peer, transport: yield* Fiber.join(fiber) }
})

/** A client whose server has said its part, and acknowledged. */
export const clientOf = Effect.fnUntraced(function*(options?: Http2.ClientOptions) {
  const { close, fiber, peer } = yield* beginning(Http2.client(options))
  yield* peer.write(noSettings, settingsAck)
  yield* settled
  return { close, peer, transport: yield* Fiber.join(fiber) }
})

/** All frames that come, up to the failure. */
export const taking = Effect.fnUntraced(function*(transport: Http2.Http2Transport) {
  const frames: Array<Http2.Frame> = []
  for (;;) {
    const exit = yield* Effect.exit(transport.receive)
    if (Exit.isFailure(exit)) {
      const error = Cause.squash(exit.cause)
      if (!isTransportError(error)) throw error
      return { frames, error }
    }
    frames.push(exit.value)
  }
})

export interface Verdict {
  /** What the side under test fails with. */
  readonly error: HandshakeError | TransportError
  /** The name of its error code, as users ask for it. */
  readonly code: string | undefined
  /** The code of the GOAWAY that the peer has heard at last. */
  readonly told: string | undefined
  /** The stream that this names. */
  readonly lastStream: number | undefined
  /** What had come before. */
  readonly frames: ReadonlyArray<Http2.Frame>
}

const verdictOf = (
  error: HandshakeError | TransportError,
  peer: Peer,
  frames: ReadonlyArray<Http2.Frame> = []
): Verdict => {
  const last = peer.heard().at(-1)
  const goAway = last?._tag === "GoAway" ? last : undefined
  return {
    error,
    code: Http2.errorCodeOf(error),
    told: goAway && Http2.errorCodeName(goAway.code),
    lastStream: goAway?.lastStreamId,
    frames
  }
}

/** How a side judges what is said behind its handshake. The peer ends its side then. */
export const judged = Effect.fnUntraced(function*(
  { close, peer, transport }: {
    readonly close: Effect.Effect<void>
    readonly peer: Peer
    readonly transport: Http2.Http2Transport
  },
  ...said: ReadonlyArray<Uint8Array>
) {
  const service = yield* Effect.forkScoped(Effect.tap(taking(transport), () => close))
  yield* Effect.forkScoped(peer.write(...said))
  yield* settled
  yield* Effect.forkScoped(peer.end)
  const { error, frames } = yield* Fiber.join(service)
  yield* peer.closed
  return verdictOf(error, peer, frames)
})

/** How a handshake judges what is said to it. The peer ends its side then. */
export const refused = Effect.fnUntraced(function*(handshake: Shaking, ...said: ReadonlyArray<Uint8Array>) {
  const { fiber, peer } = yield* beginning(handshake)
  yield* peer.write(...said)
  yield* settled
  yield* peer.end
  const error = yield* Effect.flip(Fiber.join(fiber))
  if (!isHandshakeError(error)) throw new Error("unreachable")
  yield* peer.closed
  return verdictOf(error, peer)
})
