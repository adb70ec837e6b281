/**
 * An HTTP/2 server with everything on that is on by default: it opens the windows again for what it has read, and answers a
 * request at its end.
 *
 * `ours-http2.ts PORT`
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Net from "../../src/node/Net.ts"
import * as Http2 from "../../src/protocols/Http2.ts"
import * as Server from "../../src/Server.ts"
import { listening } from "../servers/listening.ts"

// `:status 200` is one byte of HPACK.
const ok = Uint8Array.of(0x88)

/** As `node:http2` does it: the window of the connection when half of it is used up. A stream that has ended needs none. */
const half = Http2.defaultSettings.initialWindowSize >> 1

const serve = (transport: Http2.Http2Transport) => {
  let read = 0
  return Stream.runForEachArray(transport.incoming, (frames) => {
    const answers: Array<Http2.Frame> = []
    for (const frame of frames) {
      if (frame._tag === "Data") read += Http2.flowControlledLength(frame)
      if ((frame._tag === "Data" || frame._tag === "Headers") && frame.endStream) {
        answers.push({
          _tag: "Headers",
          streamId: frame.streamId,
          fragment: ok,
          endHeaders: true,
          endStream: true
        })
      }
    }
    if (read >= half) {
      answers.push({ _tag: "WindowUpdate", streamId: 0, increment: read })
      read = 0
    }
    return answers.length === 0 ? Effect.void : transport.sendAll(answers)
  })
}

const server = Server.layer({ handshake: Http2.server(), serve }).pipe(
  Layer.provide(Net.layerServer({ host: "127.0.0.1", port: Number(process.argv[2]) }))
)

Effect.gen(function*() {
  const { address } = yield* Server.Server
  yield* listening(address)
  return yield* Effect.never
}).pipe(Effect.provide(server), NodeRuntime.runMain)
