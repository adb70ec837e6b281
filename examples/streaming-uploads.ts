/**
 * Uploads over real TCP, all on one connection: the body of a request is a Stream of bytes. First a question is answered in
 * the middle of an upload. Then the disk of the server stands still, and so does an upload that would never end, until it is
 * refused for its length.
 *
 * Behind the greeting of the line protocol each frame is preceded by its length, and is
 *
 *     kind, one byte     id of the request, four bytes     payload
 */
import { Effect, Latch, Layer, Stream } from "effect"
import { type Body, Client, Codec, Handshake, Multiplex, Protocol, Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"

// --- The protocol ---

// Payload: a text for a head (HeadOnly: no body follows) and an abort, bytes for a chunk, nothing for an end.
const [HeadOnly, Head, Chunk, End, Abort] = [0, 1, 2, 3, 4]

const frame = (kind: number, id: number, payload: Uint8Array = new Uint8Array()) => {
  const bytes = new Uint8Array(5 + payload.length)
  bytes[0] = kind
  new DataView(bytes.buffer).setUint32(1, id)
  bytes.set(payload, 5)
  return bytes
}

const bytesOf = (text: string) => new TextEncoder().encode(text)

const message = {
  head: (id: number, head: string, hasBody: boolean) => frame(hasBody ? Head : HeadOnly, id, bytesOf(head)),
  chunk: (id: number, chunk: Uint8Array) => frame(Chunk, id, chunk),
  end: (id: number) => frame(End, id),
  abort: (id: number, error = "") => frame(Abort, id, bytesOf(error)),
  read: (bytes: Uint8Array): Multiplex.MessagePart<number, string, Uint8Array, string> | undefined => {
    // What is no part of a message ends the connection.
    if (bytes.length < 5) return undefined
    const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1)
    const payload = bytes.subarray(5)
    const text = () => new TextDecoder().decode(payload)
    switch (bytes[0]) {
      case HeadOnly:
      case Head:
        return { _tag: "Head", id, head: text(), hasBody: bytes[0] === Head }
      case Chunk:
        return { _tag: "Chunk", id, chunk: payload }
      case End:
        return { _tag: "End", id }
      case Abort:
        return payload.length === 0 ? { _tag: "Abort", id } : { _tag: "Abort", id, error: text() }
    }
  }
}

type Bytes = Uint8Array
const frames: Multiplex.StreamingFrames<{
  frame: Bytes
  id: number
  request: string
  response: string
  chunk: Bytes
  failure: string // what an abort tells of
}> = { request: message, response: message }

const codec = Codec.lengthPrefixed({ bytes: 4 })
const uploads = Protocol.make({
  name: "uploads",
  server: Handshake.switchCodec(Line.server, codec),
  client: Handshake.switchCodec(Line.client, codec)
})

// --- The server ---

const maxSize = 8 * 1024 * 1024

const program = Effect.gen(function*() {
  const disk = yield* Latch.make(true)
  const sizes = new Map<string, number>()

  const store = (name: string) => (chunk: Bytes) =>
    Effect.suspend(() => {
      const size = (sizes.get(name) ?? 0) + chunk.length
      if (size > maxSize) return Effect.fail(`${name} is longer than ${maxSize} bytes`)
      sizes.set(name, size)
      // While this waits nothing more is taken of the body, and soon the connection is read no further.
      return disk.await
    })

  const context = yield* Layer.build(
    Server.layer({
      protocol: uploads,
      serve: Multiplex.serveStreaming(frames, ({ body, head: name }) => {
        const size = Effect.sync(() => ({ head: String(sizes.get(name) ?? 0), body: undefined }))
        // A request with a body stores it; one without asks how much there is.
        return body === undefined ? size : Effect.andThen(Stream.runForEach(body, store(name)), size)
      }, { bodyTimeout: "1 minute" })
    }).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))
  )

  // --- The client ---

  const { address } = yield* Effect.provide(Server.Server, context)
  const client = yield* Client.connect({
    protocol: uploads,
    sockets: [Net.socket(address)],
    client: (transport) => Multiplex.streamingClient(frames, transport)
  })
  const call = (head: string, body?: Stream.Stream<Bytes, string | Body.ReadError>) =>
    Effect.scoped(Effect.map(client.call({ head, body }), (response) => response.head))

  const chunk = new Uint8Array(32 * 1024)
  const chunks = Stream.forever(Stream.succeed(chunk))

  // Half of it is sent, and the other half when the server has the first one.
  const half = Stream.take(chunks, 32)
  const hasHalf = Effect.repeat(call("film"), { until: (size) => size === String(32 * chunk.length) })
  const asked = Stream.fromEffectDrain(
    Effect.map(hasHalf, (size) => console.log(`${size} bytes of the film are there`))
  )
  const stored = yield* call("film", half.pipe(Stream.concat(asked), Stream.concat(half)))
  console.log(`${stored} bytes of the film are stored`)
  // => 1048576 bytes of the film are there
  // => 2097152 bytes of the film are stored

  // A body is pulled as the connection takes it: what is on its way is bounded, whoever is slow.
  yield* disk.close
  let sent = 0
  const endless = chunks.pipe(
    Stream.tap(() => Effect.sync(() => sent++)),
    Stream.ensuring(Effect.sync(() => console.log("nothing more is sent")))
  )
  const stopped = Effect.gen(function*() {
    for (let before = -1; before !== sent;) {
      before = sent
      yield* Effect.sleep("200 millis")
    }
    console.log("the disk stands still, and so does the upload")
    yield* disk.open
  })
  const [refused] = yield* Effect.all([Effect.flip(call("endless", endless)), stopped], { concurrency: "unbounded" })
  console.log(refused)
  // => the disk stands still, and so does the upload
  // => nothing more is sent
  // => endless is longer than 8388608 bytes
})

await Effect.runPromise(Effect.scoped(program))
