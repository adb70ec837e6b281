/**
 * What the compiler says: nothing to the examples of the documentation, and to somebody who has made a mistake one message,
 * which stands at the mistake, names it, and is short.
 */
import { assert, beforeAll, describe, it } from "vitest"
import { compile, documented, type Fence, fixture, nameOf, passing } from "./support/docs.ts"

const illTyped = fixture(80, `const one: number = 1\nexport const two: string = one\n`)
const fences = documented()

const imports = `import { Client, Codec, Dialogue, Handshake, HandshakeError, Middleware } from "effect-handshake"
import { type Body, Multiplex, Pipeline, Protocol, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"
import { Context, Effect, Schema, Stream } from "effect"

type Types = { frame: string; id: number; request: string; response: string; chunk: string }
declare const message:
  & Pipeline.MessageReader<string, string, string>
  & Pipeline.MessageWriter<string, string, string>
declare const plain: Pipeline.StreamingFrames<Types>
declare const failing: Pipeline.StreamingFrames<Types & { failure: "busy" }>
declare const ofNumbers: Pipeline.StreamingFrames<Omit<Types, "frame"> & { frame: number }>
declare const plainById: Multiplex.StreamingFrames<Types>
declare const failingById: Multiplex.StreamingFrames<Types & { failure: "busy" }>
declare const failingAnswers: Multiplex.Frames<Types & { failure: "busy" }>

class Vault extends Dialogue.make<Vault>()({
  name: "vault",
  live: Codec.lines(),
  messages: { Hello: { version: Schema.Int }, StartTls: {}, Nonce: { nonce: Schema.String }, Again: {}, Denied: { why: Schema.String } },
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "challenge", StartTls: Dialogue.encrypted("greeting") }),
    challenge: Dialogue.server({ Nonce: Dialogue.ready, Again: "greeting", Denied: Dialogue.refused() })
  }
}) {}
const written = { name: "x", live: Codec.lines(), messages: { A: {}, No: { why: Schema.String } } } as const

`

interface Mistake {
  readonly code: string
  /** The text at which the message stands. */
  readonly at: string
  readonly says: ReadonlyArray<string>
  /** How long the message may be. Default: 400 characters. */
  readonly within?: number
}

const socket = "Net.socket({ port: 1 })"
const noEffect = "Type 'string' is not assignable to type 'Effect<Socket, never, never>'"
const chunk = 720 // of which 230 are the compiler's about exactOptionalPropertyTypes
const noKnownProperty = "'host' does not exist in type 'Effect<Socket, never, never>'"

const mistakes: Record<string, Mistake> = {
  "a dialogue in which is said what may not be said there": {
    code: `Vault.client((greeting) => Effect.andThen(greeting.say("Nonce", { nonce: "" }), Effect.never))`,
    at: `"Nonce"`,
    says: [`'"Nonce"' is not assignable to parameter of type '"Hello" | "StartTls"'`]
  },
  "a dialogue in which a side receives in its own turn": {
    code: "Vault.client((greeting) => greeting.receive)",
    at: "receive",
    says: [`Property 'receive' does not exist on type 'Speaking<"greeting", Vault, "client">'`]
  },
  "a dialogue in which a side speaks in the other's turn": {
    code: `Vault.server((greeting) => greeting.say("Hello", { version: 2 }))`,
    at: "say",
    says: [`Property 'say' does not exist on type 'Listening<"greeting", Vault, "server">'`]
  },
  "a dialogue in which a message has a field of another type": {
    code: `Vault.client((greeting) => Effect.asVoid(greeting.say("Hello", { version: "2" })) as never)`,
    at: "version:",
    says: ["Type 'string' is not assignable to type 'number'"]
  },
  "a dialogue in which a message lacks its fields": {
    code: `Vault.client((greeting) => Effect.asVoid(greeting.say("Hello")) as never)`,
    at: "say",
    says: ["Expected 2 arguments, but got 1"]
  },
  "a dialogue that ends elsewhere": {
    code: `Vault.client((greeting) => greeting.say("Hello", { version: 2 }))`,
    at: "greeting.say",
    says: [`Property '[EndedTypeId]' is missing in type 'Listening<"challenge", Vault, "client">'`],
    within: 450 // of which 115 are the compiler's about exactOptionalPropertyTypes
  },
  "a dialogue that does not look at all that it may hear": {
    code: `Vault.server((greeting) =>
  Effect.andThen(Effect.flatMap(greeting.receive, (hello) => hello.then.say("Nonce", { nonce: "" })), Effect.never))`,
    at: "say",
    says: [`Property 'say' does not exist on type 'Securing<"greeting", Vault, "server">'`]
  },
  "a dialogue in which is refused with what is no refusal": {
    code: `Vault.server((greeting) =>
  Effect.flatMap(greeting.receive, (hello) =>
    hello._tag === "Hello" ? hello.then.refuse("Nonce", { nonce: "" }) : Effect.never))`,
    at: `"Nonce"`,
    says: [`'"Nonce"' is not assignable to parameter of type '"Denied"'`]
  },
  "a dialogue with a state that is not there": {
    code: `Dialogue.make()({ ...written, start: "a", states: { a: Dialogue.client({ A: "b", No: Dialogue.ready }) } })`,
    at: "a:",
    says: ["there is no state b"],
    within: 440 // of which 115 are the compiler's about exactOptionalPropertyTypes
  },
  "a dialogue with a message that is not there": {
    code: `Dialogue.make()({ ...written, start: "a", states: { a: Dialogue.client({ B: Dialogue.ready }) } })`,
    at: "a:",
    says: ["there is no message B"],
    within: 440 // of which 115 are the compiler's about exactOptionalPropertyTypes
  },
  "a dialogue that starts in a state that is not there": {
    code: `Dialogue.make()({ ...written, start: "z", states: { a: Dialogue.client({ A: Dialogue.ready }) } })`,
    at: "start:",
    says: [`Type '"z"' is not assignable to type '"a"'`]
  },
  "a dialogue that says otherwise what needs fields": {
    code: `Dialogue.make()({
  ...written,
  start: "a",
  states: { a: Dialogue.client({ A: Dialogue.ready }) },
  otherwise: { server: "No" }
})`,
    at: "server:",
    says: [`Type '"No"' is not assignable to type`]
  },
  "a client that is run without a scope and a socket": {
    code: "await Effect.runPromise(Client.connect({ protocol: Line.protocol }))",
    at: "Client.connect",
    says: ["Type 'Scope | Socket' is not assignable to type 'never'"],
    within: 430 // of which 115 are the compiler's about exactOptionalPropertyTypes, with which it has nothing to do
  },
  "a client that is run without a scope": {
    code: `await Effect.runPromise(Client.connect({ protocol: Line.protocol, sockets: [${socket}] }))`,
    at: "Client.connect",
    says: ["Type 'Scope' is not assignable to type 'never'"]
  },
  "a layer of a client that is used without a socket": {
    code: `class Echo extends Context.Service<Echo, Client.Client<string, string>>()("Echo") {}
const program = Effect.flatMap(Echo, (echo) => echo.call("a"))
await Effect.runPromise(Effect.provide(program, Client.layer(Echo, { protocol: Line.protocol })))`,
    at: "Effect.provide",
    says: ["Type 'Socket' is not assignable to type 'never'"]
  },
  "a call of another type": {
    code: "Effect.flatMap(Client.connect({ protocol: Line.protocol }), (client) => client.call(42))",
    at: "42",
    says: ["'number' is not assignable to parameter of type 'string'"]
  },
  "an address in the place of a socket": {
    code: `Client.connect({ protocol: Line.protocol, sockets: [${socket}, { host: "127.0.0.1", port: 1 }] })`,
    at: "host:",
    says: [noKnownProperty]
  },
  "an address in the place of a socket, for a layer": {
    code: `class Echo extends Context.Service<Echo, Client.Client<string, string>>()("Echo") {}
Client.layer(Echo, { protocol: Line.protocol, sockets: [{ host: "127.0.0.1", port: 1 }] })`,
    at: "host:",
    says: [noKnownProperty]
  },
  "a text in the place of a socket": {
    code: `Client.connect({ protocol: Line.protocol, sockets: [${socket}, "127.0.0.1:1"] })`,
    at: `"127.0.0.1:1"`,
    says: [noEffect]
  },
  "a function that makes a socket and is not called": {
    code: "Client.connect({ protocol: Line.protocol, sockets: [Net.socket] })",
    at: "Net.socket",
    says: ["is not assignable to type 'Effect<Socket, never, never>'"]
  },
  "nowhere to connect to": {
    code: "Client.connect({ protocol: Line.protocol, sockets: [] })",
    at: "sockets",
    says: ["Source has 0 element(s) but target requires 1"]
  },
  "an option that is misspelt": {
    code: "Client.connect({ protocol: Line.protocol, handshakeTimeOut: 1 })",
    at: "handshakeTimeOut",
    says: ["'handshakeTimeOut' does not exist"]
  },
  "a bound for calls in order where there are none": {
    code: "Client.connect({ protocol: Line.protocol, client: (t) => Pipeline.client(t), maxInFlight: 4 })",
    at: "maxInFlight",
    says: ["'maxInFlight' does not exist"]
  },
  "a client that makes something else than its service": {
    code: `class Shop extends Context.Service<Shop, { readonly order: string }>()("Shop") {}
Client.layer(Shop, { protocol: Line.protocol, client: (transport) => Pipeline.client(transport) })`,
    at: "Pipeline.client",
    says: ["Property 'order' is missing in type 'Client<string, string, never>'"]
  },
  "a layer of calls in order under a service that is none": {
    code: `class Shop extends Context.Service<Shop, { readonly order: string }>()("Shop") {}
Client.layer(Shop, { protocol: Line.protocol, sockets: [${socket}] })`,
    at: "{ protocol",
    says: ["Property 'client' is missing"],
    within: 1200 // what is missing has no place, and all the options are shown
  },
  "a protocol given as the handshake of a client": {
    code: "Client.connect({ handshake: Line.protocol })",
    at: "handshake",
    says: ["missing the following properties from type 'Effect<"]
  },
  "a handshake given as the protocol of a client": {
    code: "Client.connect({ protocol: Line.client })",
    at: "protocol",
    says: ["missing the following properties", "name, client"]
  },
  "a protocol given as the handshake of a server": {
    code: "Server.layer({ handshake: Line.protocol, serve: () => Effect.void })",
    at: "handshake",
    says: ["missing the following properties from type 'Effect<"]
  },
  "a frame of another type": {
    code: `Transport.framed(Codec.bytes).pipe(Handshake.expect("HELLO"))`,
    at: `"HELLO"`,
    says: ["'string' is not assignable to parameter of type 'Uint8Array"]
  },
  "a service of other frames": {
    code: "Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((n: number) => Effect.succeed(n + 1)) })",
    at: "serve:",
    says: ["Type 'string' is not assignable to type 'number'"],
    within: 420 // with both functions and both transports
  },
  "a type left out of the record of a protocol": {
    code: "declare const frames: Pipeline.StreamingFrames<{ frame: string; request: string; chunk: string }>",
    at: "{ frame: string; request",
    says: ["Property 'response' is missing in type '{ frame: string; request: string; chunk: string; }'"]
  },
  "one direction left out of the record of a protocol": {
    code: `declare const frames: Pipeline.StreamingFrames<Omit<Types, "frame"> & { toServer: string }>`,
    at: "Omit",
    says: ["Property 'toClient' is missing"],
    within: 480 // three times the whole record
  },
  "a description that does not say how a body ends": {
    code: `const frames: Pipeline.StreamingFrames<Types> = {
  request: message,
  response: { read: message.read, head: message.head, chunk: message.chunk }
}`,
    at: "response",
    says: ["Property 'end' is missing", "required in type 'MessageWriter<string, string, string>'"],
    within: 600 // twice all that is there
  },
  "a description that is not declared and does not say how a body ends": {
    code: `Pipeline.serveStreaming(
  { request: message, response: { head: (head: string) => head, chunk: (chunk: string) => chunk } },
  () => Effect.succeed({ head: "a", body: undefined })
)`,
    at: "response",
    says: ["Property 'end' is missing", "required in type 'MessageWriter<string, string, string>'"]
  },
  "a description that writes another frame": {
    code:
      `const frames: Pipeline.StreamingFrames<Types> = { request: message, response: { ...message, end: () => 0 } }`,
    at: "0",
    says: ["Type 'number' is not assignable to type 'string'"]
  },
  "a description that does not say how a failure is told": {
    code:
      `const frames: Pipeline.StreamingFrames<Types & { failure: "busy" }> = { request: message, response: message }`,
    at: "response",
    says: ["Property 'abort' is missing", `required in type 'MessageAbort<string, "busy">'`],
    within: 420 // twice all that is there
  },
  "a chunk of another type": {
    code: `Pipeline.serveStreaming(plain, () => Effect.succeed({ head: "a", body: Stream.make(1) }))`,
    at: "Effect.succeed",
    says: ["Type 'number' is not assignable to type 'string'"],
    within: chunk
  },
  "a chunk of another type, where failures are told": {
    code: `Pipeline.serveStreaming(failing, () => Effect.succeed({ head: "a", body: Stream.make(1) }))`,
    at: "Effect.succeed",
    says: ["Type 'number' is not assignable to type 'string'"],
    within: chunk
  },
  "a chunk of another type, by id": {
    code: `Multiplex.serveStreaming(plainById, () => Effect.succeed({ head: "a", body: Stream.make(1) }))`,
    at: "Effect.succeed",
    says: ["Type 'number' is not assignable to type 'string'"],
    within: chunk
  },
  "a chunk of another type, by id, where failures are told": {
    code: `Multiplex.serveStreaming(failingById, () => Effect.succeed({ head: "a", body: Stream.make(1) }))`,
    at: "Effect.succeed",
    says: ["Type 'number' is not assignable to type 'string'"],
    within: chunk
  },
  "a response of another type, where failures are told": {
    code: "Multiplex.serve(failingAnswers, () => Effect.succeed(1))",
    at: "Effect.succeed",
    says: ["Type 'number' is not assignable to type 'string'"]
  },
  "a response without a word about its body": {
    code: `Pipeline.serveStreaming(plain, () => Effect.succeed({ head: "a" }))`,
    at: "Effect.succeed",
    says: ["Property 'body' is missing in type '{ head: string; }'"]
  },
  "a failure that the protocol cannot tell of": {
    code: "Pipeline.serveStreaming(failing, () => Effect.fail(1))",
    at: "Effect.fail",
    says: [`Type 'number' is not assignable to type '"busy" | ReadError'`]
  },
  "a failure that the protocol cannot tell of, by id": {
    code: "Multiplex.serveStreaming(failingById, () => Effect.fail(1))",
    at: "Effect.fail",
    says: [`Type 'number' is not assignable to type '"busy" | ReadError'`]
  },
  "a refusal that the protocol cannot tell of": {
    code:
      `Multiplex.serveStreaming(plainById, () => Effect.succeed({ head: "a", body: undefined }), { refuse: () => "busy" })`,
    at: "refuse",
    says: ["is not assignable to type 'undefined'"]
  },
  "a service with bodies of other frames": {
    code: `Server.layer({
  protocol: Line.protocol,
  serve: Pipeline.serveStreaming(ofNumbers, () => Effect.succeed({ head: "a", body: undefined }))
})`,
    at: "serve:",
    says: ["Type 'string' is not assignable to type 'number'"],
    within: 420 // with both functions and both transports
  },
  "a client with bodies of other frames": {
    code: "Client.connect({ protocol: Line.protocol, client: (t) => Pipeline.streamingClient(ofNumbers, t) })",
    at: "ofNumbers",
    says: ["Type 'number' is not assignable to type 'string'"],
    within: 1000 // both descriptions, and twice what each says of the direction that is wrong
  }
}

const right: Record<string, string> = {
  "a codec that only receives": `const oneWay = Transport.framed(
  Codec.make<string, never>({ decoder: () => ({ decode: () => undefined }), encode: () => {} })
)
oneWay.pipe(Handshake.verify("x", () => Effect.void), Handshake.named("x"))
Server.make({ handshake: oneWay.pipe(Handshake.named("x")), serve: () => Effect.never })`,
  "two kinds of refusal in one decision": `Transport.framed(Codec.lines()).pipe(Handshake.verify("x", (line) =>
  line === "a" ? Effect.void : line === "b"
    ? Effect.fail(new HandshakeError.UnsupportedVersion({ offered: "1", supported: ["2"] }))
    : Effect.fail(new HandshakeError.InvalidGreeting({ expected: "a", received: "?" }))))`,
  "a literal as a pong": `type M = { readonly op: "ping" | "pong" }
declare const transport: Transport.Transport<M, M>
Middleware.pingPong(transport, { pong: (m) => m.op === "ping" ? { op: "pong" } : undefined })
transport.pipe(Middleware.pingPong({ pong: (m) => m.op === "ping" ? { op: "pong" } : undefined }))`,
  "a refusal that needs a service": `class Words extends Context.Service<Words, { readonly no: string }>()("Words") {}
const refuse = () => Effect.flatMap(Words, (words) => Handshake.refuse(Transport.framed(Codec.lines()), words.no))
Protocol.make({ name: "x", server: Line.server, client: Line.client, refuse })`
}

const fenceOf = (kind: string, code: string, index: number): Fence => ({
  file: `${kind}-${index}`,
  line: 0,
  title: "",
  language: "ts",
  tag: "",
  code: imports + code
})
const wrongFences = Object.values(mistakes).map(({ code }, index) => fenceOf("wrong", code, index))
const rightFences = Object.values(right).map((code, index) => fenceOf("right", code, index))

let errors: Awaited<ReturnType<typeof compile>>
beforeAll(async () => {
  errors = await compile([passing, illTyped, ...fences, ...wrongFences, ...rightFences])
}, 60_000)

describe("an example", () => {
  it("may leave a name unused", () => assert.isUndefined(errors.get(passing)))

  it("that has type errors is told of them, with their place", () =>
    assert.deepStrictEqual(errors.get(illTyped), [
      "fixture.md:82:14 error TS2322: Type 'number' is not assignable to type 'string'."
    ]))

  for (const fence of fences) {
    it(`${nameOf(fence)} compiles`, () => assert.isUndefined(errors.get(fence)?.join("\n")))
  }
})

describe("the compiler names", () => {
  for (const [index, [name, { at, says, within = 400 }]] of Object.entries(mistakes).entries()) {
    it(name, () => {
      const fence = wrongFences[index]
      const lines = errors.get(fence) ?? []
      const first = /^wrong-\d+:(\d+):(\d+) error TS\d+: /.exec(lines[0] ?? "")
      if (first === null) return assert.fail("it compiles")
      const message = lines.join("\n").slice(first[0].length)
      assert.strictEqual(lines.filter((line) => line.startsWith("wrong-")).length, 1, `only one message:\n${message}`)
      assert.isAtMost(message.length, within, message)
      for (const words of says) assert.include(message, words)
      const place = fence.code.split("\n")[Number(first[1]) - 1].slice(Number(first[2]) - 1)
      assert.isTrue(place.startsWith(at), `it stands at ${place}`)
    })
  }
})

describe("the compiler has nothing to say against", () => {
  for (const [index, name] of Object.keys(right).entries()) {
    it(name, () => assert.isUndefined(errors.get(rightFences[index])))
  }
})
