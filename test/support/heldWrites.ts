/**
 * A connection whose writes wait until the test says how they end.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Socket from "effect/socket/Socket"
import type * as Codec from "../../src/Codec.ts"
import * as Transport from "../../src/Transport.ts"
import { text, utf8 } from "./conversation.ts"

export const epipe = new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("EPIPE") }) })

const shown = (chunk: Uint8Array | string | Socket.CloseEvent) =>
  typeof chunk === "string" ? chunk : chunk instanceof Uint8Array ? text(chunk) : ""

export const connectedWith = Effect.fnUntraced(function*(codec: Codec.Codec<string, string>) {
  const incoming = yield* Queue.unbounded<string>()
  const written: Array<string> = []
  const writes: Array<(how: Effect.Effect<void, Socket.SocketError>) => void> = []
  const write = (chunks: ReadonlyArray<Uint8Array | string | Socket.CloseEvent>) =>
    Effect.callback<void, Socket.SocketError>((resume) => {
      written.push(chunks.map(shown).join(""))
      writes.push(resume)
    })
  const socket = Socket.make({
    reader: Effect.succeed({
      pull: Effect.map(Queue.take(incoming), (said) => [utf8(said)] as const),
      upgrade: Socket.SocketUpgradeError.unsupported
    }),
    writer: Effect.succeed({ write: (chunk) => write([chunk]), writeAll: (chunks) => write(chunks) })
  })
  const transport = yield* Effect.provideService(Transport.framed(codec), Socket.Socket, socket)
  return { transport, say: (said: string) => Queue.offer(incoming, said), written, writes }
})
