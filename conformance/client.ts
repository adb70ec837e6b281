/**
 * A client that asks for `/` once and listens until the server has said what it wants to say: h2specd starts it for each of
 * its tests, with the address as the last argument.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import * as Net from "../src/node/Net.ts"
import * as Http2 from "../src/protocols/Http2.ts"

/** h2specd waits for three seconds, in which this has to start as well. */
const patience = "2 seconds"

/** `GET http://localhost/` without compression that remembers anything (RFC 7541 6.1 and 6.2.2). */
const get = Uint8Array.of(0x82, 0x86, 0x84, 0x01, 9, ...new TextEncoder().encode("localhost"))

/** Asks on stream 1 and passes on what is heard, until it is `done`. */
export const ask = Effect.fnUntraced(function*(
  host: string,
  port: number,
  done: (frame: Http2.Frame) => boolean
) {
  const socket = yield* Net.socket({ host, port })
  const transport = yield* Effect.provideService(Http2.client(), Socket.Socket, socket)
  yield* transport.send({ _tag: "Headers", streamId: 1, fragment: get, endStream: true, endHeaders: true })
  for (;;) {
    const frame = yield* transport.receive
    if (done(frame)) return frame
    if (frame._tag !== "Data") continue
    const increment = Http2.flowControlledLength(frame)
    if (increment > 0) yield* transport.send({ _tag: "WindowUpdate", streamId: 0, increment })
  }
}, Effect.scoped)

if (import.meta.main) {
  const { hostname, port } = new URL(process.argv.at(-1)!)
  const asking = ask(hostname, Number(port), ({ _tag }) => _tag === "GoAway").pipe(
    Effect.timeoutOption(patience),
    Effect.catch((error) => Console.log(Http2.errorCodeOf(error) ?? "", error.message))
  )
  await Effect.runPromise(asking)
}
