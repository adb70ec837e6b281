/**
 * A codec with a memory and a middleware of one's own, on real TCP. Each frame has its number before it, and a frame that is not
 * sent, for it is too long, takes its number back. Whoever has not said who he is in time is sent away in the words of the protocol.
 */
import { Duration, Effect, Result } from "effect"
import {
  Bytes,
  Client,
  Codec,
  Excerpt,
  Middleware,
  Pipeline,
  Protocol,
  Server,
  Transport,
  TransportError
} from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import { Socket, SocketServer } from "effect/socket"

const encoder = new TextEncoder()
const malformed = (problem: string, frame: string | Uint8Array, fault: "peer" | "local") =>
  Result.fail(new Codec.MalformedFrame({ problem, excerpt: Excerpt.ofFrame(frame), fault }))

// A byte with the number, a byte with the length, and text.
const numbered = Codec.make<string>({
  decoder: () => {
    let due = 0
    return {
      decode: (input) => {
        if (input.length < 2 || input.length < 2 + input.at(1)) return undefined
        const bytes = input.take(2 + input.at(1))
        if (bytes[0] !== due++ % 256) return malformed("a frame is missing", bytes, "peer")
        const text = Bytes.decodeUtf8(bytes, 2)
        return text === undefined ? malformed("not UTF-8", bytes, "peer") : Result.succeed(text)
      }
    }
  },
  encoder: () => {
    let next = 0
    return {
      encode: (text, into) => {
        const bytes = encoder.encode(text)
        into.bytes(Uint8Array.of(next++ % 256, bytes.length))
        // What was written of it before is not sent, and its number is given to the next one.
        if (bytes.length > 255) return malformed("a text of more than 255 bytes", text, "local")
        into.bytes(bytes)
      },
      checkpoint: () => {
        const before = next
        return () => {
          next = before
        }
      }
    }
  }
})

/** The first frame has to say who it is, within this time. */
const loginWithin = (after: Duration.Duration) =>
  Middleware.make<Transport.Transport<string, string>>((link) => {
    const until = link.heardAt + Duration.toMillis(after)
    let isIn = false
    return {
      decide: (text) => {
        isIn ||= text.startsWith("LOGIN ")
        return undefined
      },
      watch: (now) => {
        if (isIn || link.hasEnded) return Infinity
        if (now < until) return until
        link.farewell("BYE too slow")
        const reason = new TransportError.TimedOut({ waitedFor: "frame", after })
        link.giveUp(new TransportError.TransportError({ reason }), false)
        return Infinity
      }
    }
  })

const framed = Transport.framed(numbered)
const protocol = Protocol.make({ name: "numbered", server: framed, client: framed })

const program = Effect.gen(function*() {
  const echo = Pipeline.serve((text: string) => Effect.succeed(`you said ${text}`))
  const { address } = yield* Effect.provideServiceEffect(
    Server.make({ protocol, serve: (transport) => Effect.flatMap(loginWithin(Duration.millis(200))(transport), echo) }),
    SocketServer.SocketServer,
    Net.makeServer({ host: "127.0.0.1", port: 0 })
  )
  const socket = Net.socket(address)

  const client = yield* Client.connect({ protocol, sockets: [socket] })
  console.log(yield* client.call("LOGIN ann")) // => you said LOGIN ann
  const error = yield* Effect.flip(client.call("a".repeat(300)))
  console.log(error.message)
  // => a text of more than 255 bytes: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"…
  console.log(yield* client.call("still here")) // => you said still here

  const silent = yield* Effect.provideServiceEffect(framed, Socket.Socket, socket)
  console.log(yield* silent.receive) // => BYE too slow
})

await Effect.runPromise(Effect.scoped(program))
