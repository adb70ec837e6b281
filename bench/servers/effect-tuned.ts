/**
 * Effect by hand on `Socket.reader.pull`: what was pulled is decoded once, the handlers of its lines run inline in the
 * connection's fiber, and there is one write.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import type * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import { encode, Lines } from "./lines.ts"
import { listening } from "./listening.ts"

const handle = (line: string): Effect.Effect<string> => Effect.succeed(line)

const serve = Effect.fnUntraced(
  function*(socket: Socket.Socket) {
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    const splitter = new Lines()
    let ready = false
    while (true) {
      const chunks: ReadonlyArray<unknown> = yield* pull
      for (const chunk of chunks) {
        const lines = splitter.push(chunk as Buffer) // that is what NodeSocket pulls
        if (lines === undefined) continue
        let n = 0
        if (!ready) {
          if (lines[0] !== "You ready?") return yield* writer.write("No! Go away!\n")
          ready = true
          lines[n++] = "Bring it!"
        }
        for (; n < lines.length; n++) lines[n] = yield* handle(lines[n])
        yield* writer.write(encode(lines))
      }
    }
  },
  Effect.scoped,
  Effect.catchTag("SocketError", () => Effect.void)
)

const program = Effect.gen(function*() {
  const server = yield* SocketServer.SocketServer
  yield* listening(server.address)
  return yield* server.run(serve)
}).pipe(
  Effect.provide(
    NodeSocketServer.layer({ host: "127.0.0.1", port: Number(process.argv[2]), noDelay: true, allowHalfOpen: true })
  )
)

NodeRuntime.runMain(program)
