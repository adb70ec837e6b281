/**
 * The other end of a memory socket, as lines, and how many writes they came in; and a transport at this end.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../src/Codec.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import { rawPeer, text, utf8 } from "./conversation.ts"

export const lines = Transport.framed(Codec.lines())

export const linePeer = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const pull = yield* Socket.readerBytes(socket)
  const writer = yield* socket.writer
  const writes: Array<string> = []
  const listening = yield* Effect.forkScoped(
    Effect.ignore(Effect.forever(Effect.map(pull, (chunks) => writes.push(...chunks.map(text)))))
  )
  return {
    say: (...said: ReadonlyArray<string>) => Effect.orDie(writer.write(utf8(said.map((line) => `${line}\n`).join("")))),
    sayBytes: (said: string) => Effect.orDie(writer.write(utf8(said))),
    end: Effect.orDie(writer.write(new Socket.CloseEvent(1000))),
    /** What each write has brought. */
    writes,
    heard: () => writes.join("").split("\n").slice(0, -1),
    /** Waits until the side under test has closed. */
    closed: Fiber.await(listening)
  }
})

export type LinePeer = Effect.Success<ReturnType<typeof linePeer>>

const between = Effect.fnUntraced(function*<Peer, R>(
  peerOf: (socket: Socket.Socket) => Effect.Effect<Peer, Socket.SocketError, R>,
  options?: MemorySocket.Options
) {
  const [here, there] = yield* MemorySocket.pair(options)
  const peer = yield* peerOf(there)
  return { peer, transport: yield* Effect.provideService(lines, Socket.Socket, here) }
})

/** A transport of lines, and its peer. */
export const connected = () => between(linePeer, { segments: (bytes) => [bytes] })

/** The same with a peer that is nothing but bytes. */
export const connectedRaw = (options?: MemorySocket.Options) => between(rawPeer, options)
