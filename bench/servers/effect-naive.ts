/**
 * Effect by hand, as its documentation leads one to write it: NodeSocketServer, the socket as a Stream of lines, one
 * write for each line.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import { listening } from "./listening.ts"

class HandshakeRefused extends Data.TaggedError("HandshakeRefused")<{ readonly line: string }> {}

const handle = (line: string): Effect.Effect<string> => Effect.succeed(line)

const serve = Effect.fnUntraced(
  function*(socket: Socket.Socket) {
    const writer = yield* socket.writer
    let ready = false
    yield* Socket.toStream(socket).pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => {
        if (ready) {
          return Effect.flatMap(handle(line), (answer) => writer.write(answer + "\n"))
        } else if (line === "You ready?") {
          ready = true
          return writer.write("Bring it!\n")
        } else {
          return Effect.andThen(writer.write("No! Go away!\n"), Effect.fail(new HandshakeRefused({ line })))
        }
      })
    )
  },
  Effect.scoped,
  Effect.catchTags({ HandshakeRefused: () => Effect.void, SocketError: () => Effect.void })
)

const program = Effect.gen(function*() {
  const server = yield* SocketServer.SocketServer
  yield* listening(server.address)
  return yield* server.run(serve)
}).pipe(
  Effect.provide(NodeSocketServer.layer({ host: "127.0.0.1", port: Number(process.argv[2]), noDelay: true }))
)

NodeRuntime.runMain(program)
