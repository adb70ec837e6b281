/**
 * Runs one side of a handshake against a peer that is nothing but bytes.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../src/Codec.ts"
import { isHandshakeError } from "../../src/HandshakeError.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

export const join = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(chunks.flatMap((c) => [...c]))

/** Cuts bytes after each of these lengths, over and over. */
export const cutInto = (lengths: ReadonlyArray<number>) => (bytes: Uint8Array): Array<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = Math.max(1, lengths[i % lengths.length])
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}

/** The other end of a memory socket, as bytes. */
export const rawPeer = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const pull = yield* Socket.readerBytes(socket)
  const writer = yield* socket.writer
  const heard: Array<Uint8Array> = []
  const listening = yield* Effect.forkScoped(
    Effect.ignore(Effect.forever(Effect.map(pull, (chunks) => heard.push(...chunks))))
  )
  return {
    write: (bytes: Uint8Array) => Effect.orDie(writer.write(bytes)),
    say: (said: string) => Effect.orDie(writer.write(utf8(said))),
    end: Effect.orDie(writer.write(new Socket.CloseEvent(1000))),
    heard: () => text(join(heard)),
    /** Waits until the side under test has closed. */
    closed: Fiber.await(listening)
  }
})

export interface Outcome {
  /** `ready`, or the handshake's error with all of its fields. */
  readonly result: unknown
  /** What the peer heard, until the connection was closed. */
  readonly heard: string
  /** The bytes behind the handshake. */
  readonly rest: string
}

type Shaking<R> = Effect.Effect<Transport.Transport<unknown, never>, unknown, Socket.Socket | Scope.Scope | R>

const describe = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) return "ready"
  const error = Cause.squash(exit.cause)
  return isHandshakeError(error) ? { step: error.step, reason: { ...error.reason }, message: error.message } : error
}

/**
 * Says `bytes`, ends its side, and tells how the handshake took it and what it left.
 */
export const outcomeOf = <R = never>(handshake: Shaking<R>, bytes: Uint8Array, options?: MemorySocket.Options) =>
  Effect.scoped(Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair(options)
    const peer = yield* rawPeer(there)
    yield* Effect.forkScoped(Effect.andThen(peer.write(bytes), peer.end))
    const [exit, rest] = yield* Effect.scoped(Effect.gen(function*() {
      const exit = yield* Effect.exit(handshake)
      if (Exit.isFailure(exit)) return [exit, ""] as const
      const raw = yield* Transport.switchCodec(exit.value, Codec.bytes)
      return [exit, yield* readAll(raw)] as const
    })).pipe(Effect.provideService(Socket.Socket, here))
    yield* peer.closed
    const outcome: Outcome = { result: describe(exit), heard: peer.heard(), rest }
    return outcome
  }))

/** Everything up to the end, cut or not. */
export const readAll = Effect.fnUntraced(function*(raw: Transport.Transport<Uint8Array, Uint8Array>) {
  const chunks: Array<Uint8Array> = []
  for (;;) {
    const exit = yield* Effect.exit(raw.receive)
    if (Exit.isFailure(exit)) return text(join(chunks))
    chunks.push(exit.value)
  }
})
