/**
 * The start of HTTP/2 with peers that nobody here wrote: Node's client gets an answer from a server of ours, our client
 * learns the settings of Node's server, and whoever floods our server is sent away. Streams and HPACK are not of this
 * package: header blocks are bytes.
 */
import { Effect, Layer, Stream } from "effect"
import { Client, Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Http2 from "effect-handshake/protocols/Http2"
import * as NodeHttp2 from "node:http2"
import type { AddressInfo } from "node:net"

// `:status 200` is one byte of HPACK.
const ok = Uint8Array.of(0x88)
const body = new TextEncoder().encode("The handshake is an Effect.")

/** Answers each request when its headers are there. It needs no windows for a body that is so short. */
const serve = (transport: Http2.Http2Transport) =>
  Stream.runForEach(transport.incoming, (frame) =>
    frame._tag === "Headers" && frame.endHeaders
      ? transport.sendAll([
        { _tag: "Headers", streamId: frame.streamId, fragment: ok, endHeaders: true, endStream: false },
        { _tag: "Data", streamId: frame.streamId, data: body, endStream: true }
      ])
      : Effect.void)

const Answers = Server.layer({
  handshake: Http2.server({
    settings: { maxConcurrentStreams: 10 },
    cheapFrames: { burst: 100, perSecond: 10 }
  }),
  serve
}).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))

// --- Peers that nobody here wrote ---

const nodeClient = (port: number) =>
  Effect.promise(() =>
    new Promise<string>((resolve, reject) => {
      const session = NodeHttp2.connect(`http://127.0.0.1:${port}`).on("error", reject)
      const request = session.request({ ":path": "/" })
      let answer = ""
      request.on("response", (headers) => (answer += `${headers[":status"]} `))
      request.setEncoding("utf8").on("data", (text: string) => (answer += text))
      request.on("end", () => {
        session.close()
        resolve(`${answer} (at most ${session.remoteSettings.maxConcurrentStreams} at once)`)
      })
    })
  )

const nodeServer = Effect.acquireRelease(
  Effect.callback<NodeHttp2.Http2Server>((resume) => {
    const server = NodeHttp2.createServer({ settings: { maxConcurrentStreams: 7, maxFrameSize: 32_768 } })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
    })
).pipe(Effect.map((server) => Net.socket({ host: "127.0.0.1", port: (server.address() as AddressInfo).port })))

const program = Effect.gen(function*() {
  const { address } = yield* Server.Server
  const port = address._tag === "UnixPathAddress" ? 0 : address.port

  console.log(yield* nodeClient(port))
  // => 200 The handshake is an Effect. (at most 10 at once)

  // What a server has announced, before anything is asked of it
  yield* Effect.scoped(Effect.gen(function*() {
    const { settings } = yield* Client.connect({
      handshake: Http2.client({ awaitAcknowledgement: true }),
      sockets: [yield* nodeServer],
      client: Effect.succeed
    })
    console.log(settings.remote.maxConcurrentStreams, settings.remote.maxFrameSize, settings.isAcknowledged)
    // => 7 32768 true
  }))

  // A peer that only pings hears GOAWAY.
  yield* Effect.scoped(Effect.gen(function*() {
    const transport = yield* Client.connect({
      handshake: Http2.client(),
      sockets: [Net.socket(address)],
      client: Effect.succeed
    })
    yield* transport.sendAll(Array.from({ length: 500 }, () => ({ _tag: "Ping", data: new Uint8Array(8) }) as const))
    for (;;) {
      const frame = yield* transport.receive
      if (frame._tag === "GoAway") return console.log(Http2.errorCodeName(frame.code)) // => ENHANCE_YOUR_CALM
    }
  }))
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, Answers)))
