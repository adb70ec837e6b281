/**
 * A protocol of one's own, in three steps, over real TCP: the client names its version, the server sends a nonce, and the
 * client proves with it that it knows the key. Then each request is a JSON message.
 *
 *     C  { _tag: "Hello", version: 2 }
 *     S  { _tag: "Challenge", nonce }           or  { _tag: "No", why: "version" }
 *     C  { _tag: "Proof", proof }               HMAC-SHA-256 of the nonce
 *     S  { _tag: "Welcome" }                    or  { _tag: "No", why: "proof" }
 *
 * Both sides need services, here Effect's `Mac` and `SecureRandom`. They are in the type of the handshake and are given
 * to the server and to the client, not to the protocol.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Effect, Layer, Schema } from "effect"
import { Client, Codec, Handshake, HandshakeError, Pipeline, Protocol, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import { Mac, SecureRandom } from "effect/crypto"

// --- The messages: JSON, each preceded by its length in four bytes ---

const Bytes = Schema.Uint8ArrayFromBase64

const FromClient = Schema.Union([
  Schema.TaggedStruct("Hello", { version: Schema.Int }),
  Schema.TaggedStruct("Proof", { proof: Bytes }),
  Schema.TaggedStruct("Add", { a: Schema.Int, b: Schema.Int })
])

const FromServer = Schema.Union([
  Schema.TaggedStruct("Challenge", { nonce: Bytes }),
  Schema.TaggedStruct("Welcome", {}),
  Schema.TaggedStruct("Sum", { sum: Schema.Int }),
  Schema.TaggedStruct("No", { why: Schema.String })
])

const texts = Codec.lengthPrefixed({ bytes: 4, maxLength: 4096 }).pipe(
  Codec.map({
    decode: (bytes) => new TextDecoder().decode(bytes),
    encode: (text: string) => new TextEncoder().encode(text)
  })
)
const clientMessages = Codec.schema(texts, Schema.fromJsonString(FromClient))
const serverMessages = Codec.schema(texts, Schema.fromJsonString(FromServer))

// --- The handshake ---

const version = 2

const no = (why: string) => ({ _tag: "No", why }) as const

const server = (key: Mac.Key) =>
  Effect.gen(function*() {
    const mac = yield* Mac.Mac
    const random = yield* SecureRandom.SecureRandom
    // A nonce of its own for each connection
    const nonce = yield* random.randomBytes(16)
    return yield* Transport.framed(Codec.duplex(clientMessages, serverMessages)).pipe(
      Handshake.verify("version", (message) =>
        message._tag === "Hello" && message.version === version
          ? Effect.void
          : Effect.fail(
            new HandshakeError.UnsupportedVersion({
              offered: message._tag === "Hello" ? String(message.version) : message._tag,
              supported: [String(version)]
            })
          ), { orReply: no("version") }),
      Handshake.exchange("proof", { _tag: "Challenge", nonce }, (message) =>
        Effect.gen(function*() {
          const proof = message._tag === "Proof" ? message.proof : new Uint8Array()
          if (yield* Effect.orDie(mac.verify(key, proof, nonce))) return
          return yield* new HandshakeError.AuthenticationFailed({
            method: "hmac",
            detail: "the proof is wrong",
            fault: "peer"
          })
        }), { orReply: no("proof"), secret: true }),
      Handshake.send({ _tag: "Welcome" })
    )
  })

/** What a `No` of the server means: some are worth another try, later or elsewhere. */
const refusal = (why: string, version: number) => {
  switch (why) {
    case "version":
      return new HandshakeError.UnsupportedVersion({
        offered: String(version),
        supported: ["another one"],
        fault: "local"
      })
    case "proof":
      return new HandshakeError.AuthenticationFailed({ method: "hmac", detail: "the server said no", fault: "local" })
    default:
      return new HandshakeError.Rejected({ by: "peer", said: why, retryable: true })
  }
}

const unexpected = (expected: string, message: typeof FromServer.Type, version: number) =>
  message._tag === "No"
    ? refusal(message.why, version)
    : new HandshakeError.InvalidGreeting({ expected, received: message._tag })

const client = (key: Mac.Key, version: number) =>
  Effect.gen(function*() {
    const mac = yield* Mac.Mac
    const transport = yield* Transport.framed(Codec.duplex(serverMessages, clientMessages))
    yield* transport.send({ _tag: "Hello", version })
    const message = yield* transport.receive.pipe(Handshake.step("challenge"))
    if (message._tag !== "Challenge") return yield* unexpected("Challenge", message, version)
    const proof = yield* Effect.orDie(mac.sign(key, message.nonce))
    // From here on with steps: they know how to keep a secret.
    return yield* Handshake.send(transport, { _tag: "Proof", proof }, { name: "proof", secret: true }).pipe(
      Handshake.verify("welcome", (message) =>
        message._tag === "Welcome" ? Effect.void : Effect.fail(unexpected("Welcome", message, version)))
    )
  })

const sums = (options: { readonly key: Mac.Key; readonly version?: number }) =>
  Protocol.make({
    name: "sums",
    server: server(options.key),
    client: client(options.key, options.version ?? version),
    refuse: (why) => Handshake.refuse(Transport.framed(serverMessages), no(why))
  })

// --- A server and its clients ---

const keyOf = (text: string) => Effect.orDie(Mac.key(Mac.hmacSha256, new TextEncoder().encode(text)))

const SumServer = Layer.unwrap(Effect.gen(function*() {
  return Server.layer({
    protocol: sums({ key: yield* keyOf("a long and random key") }),
    serve: Pipeline.serve((message) =>
      Effect.succeed(message._tag === "Add" ? { _tag: "Sum" as const, sum: message.a + message.b } : no("request"))
    )
  })
})).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))

const visit = Effect.fnUntraced(function*(options: { readonly key: string; readonly version?: number }) {
  const { address } = yield* Server.Server
  const protocol = sums({ ...options, key: yield* keyOf(options.key) })
  const client = yield* Client.connect({ protocol, sockets: [Net.socket(address)] })
  const answer = yield* client.call({ _tag: "Add", a: 19, b: 23 })
  return answer._tag === "Sum" ? `accepted: the sum is ${answer.sum}` : "accepted, but not served"
}, (effect) =>
  effect.pipe(
    Effect.scoped,
    Effect.catchReasons("HandshakeError", {
      UnsupportedVersion: () => Effect.succeed("the server does not know our version"),
      AuthenticationFailed: ({ method }) => Effect.succeed(`the server does not accept our ${method} proof`),
      Rejected: ({ said }) => Effect.succeed(`the server has no time for us: ${said}`)
    })
  ))

const program = Effect.gen(function*() {
  console.log(yield* visit({ key: "a long and random key" }))
  // => accepted: the sum is 42

  console.log(yield* visit({ key: "a long and random key", version: 1 }))
  // => the server does not know our version

  console.log(yield* visit({ key: "a guess" }))
  // => the server does not accept our hmac proof

  // Nobody who drains takes anybody.
  const server = yield* Server.Server
  yield* server.drain
  const late = yield* Effect.flip(visit({ key: "a long and random key" }))
  console.log(late._tag === "HandshakeError" ? `${late.step}: ${late.reason._tag}, ${late.fault}` : late.message)
  // => connect: ConnectionFailed, network
})

await Effect.runPromise(
  program.pipe(Effect.provide(SumServer), Effect.provide([NodeCrypto.layerMac, NodeCrypto.layerSecureRandom]))
)
