/**
 * What has to work on any runtime that has Node's modules: a short list, each with nothing but the package's own names, so that
 * it runs from what is built, too. Vitest runs it on Node, and `.ci/runtimes.ts` on the others.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Client, Codec, Handshake, Pipeline, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Http2 from "effect-handshake/protocols/Http2"
import * as Line from "effect-handshake/protocols/Line"
import * as Postgres from "effect-handshake/protocols/Postgres"
import * as Tls from "effect-handshake/protocols/Tls"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict"
import { spawn } from "node:child_process"
import * as NodeNet from "node:net"
import * as Certificates from "../support/certificates/index.ts"

const anyPort = Net.layerServer({ host: "127.0.0.1", port: 0 })

/** A line server, and what is done with it. */
const serving = <A, E>(
  use: (server: Server.Server["Service"], port: number) => Effect.Effect<A, E>,
  options: Server.Limits & { readonly answer?: (line: string) => Effect.Effect<string> } = {}
) => {
  const { answer = (line: string) => Effect.succeed(line), ...limits } = options
  return Effect.flatMap(Server.Server, (server) => use(server, portOf(server))).pipe(
    Effect.provide(
      Server.layer({ protocol: Line.protocol, serve: Pipeline.serve(answer), ...limits }).pipe(Layer.provide(anyPort))
    )
  )
}

const portOf = ({ address }: Server.Server["Service"]): number => "port" in address ? address.port : 0

/** A peer that is nothing but `node:net`: what it says at once, and what it has heard when the other side has ended. */
const conversation = (port: number, said: string, options: { readonly ends: boolean }): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let heard = ""
    const conn = NodeNet.connect({ host: "127.0.0.1", port, allowHalfOpen: true })
    conn.setEncoding("utf8")
    conn.on("data", (text: string) => heard += text)
    conn.on("end", () => {
      conn.end()
      resume(Effect.succeed(heard))
    })
    conn.on("error", (error) => resume(Effect.die(error)))
    if (options.ends) conn.end(said)
    else conn.write(said)
    return Effect.sync(() => conn.destroy())
  })

const lines = Transport.framed(Codec.lines())

const starttls = lines.pipe(
  Handshake.expect("STARTTLS", { orReply: "NO" }),
  Handshake.startTls({
    role: "server",
    certificate: Certificates.server,
    goAhead: "GO AHEAD",
    clientCertificate: "require",
    ca: Certificates.root
  }),
  Handshake.expect("HELLO", { orReply: "NO" }),
  Effect.tap((transport) =>
    Effect.flatMap(transport.peer, ({ tls }) => transport.send(`WELCOME ${tls?.certificate?.subject}`))
  )
)

const starttlsClient = (certificate?: Transport.TlsCertificate) =>
  lines.pipe(
    Handshake.send("STARTTLS"),
    Handshake.expect("GO AHEAD", { rejections: ["NO"] }),
    Handshake.startTls({
      role: "client",
      servername: "localhost",
      ca: Certificates.root,
      ...(certificate !== undefined && { certificate })
    }),
    Handshake.send("HELLO"),
    Handshake.expect("WELCOME CN=cert_user")
  )

const longLine = "x".repeat(64 * 1024 - 1)
const manyLines = 1_000

/** What a command says until it ends. */
const command = (argv: ReadonlyArray<string>, args: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: number | null; readonly output: string }>((resume) => {
    let output = ""
    const child = spawn(argv[0], [...argv.slice(1), ...args], { stdio: ["ignore", "pipe", "pipe"] })
    child.stdout.setEncoding("utf8").on("data", (text: string) => output += text)
    child.stderr.setEncoding("utf8").on("data", (text: string) => output += text)
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (code) => resume(Effect.succeed({ code, output })))
    return Effect.sync(() => child.kill())
  })

/** The checks. The command is given as the words that start it. */
export const checks = (argv: ReadonlyArray<string>): Readonly<Record<string, Effect.Effect<void, unknown>>> => ({
  "TCP: calls are answered in order": serving((server) =>
    Effect.scoped(Effect.gen(function*() {
      const client = yield* Client.connect({ protocol: Line.protocol, sockets: [Net.socket(server.address)] })
      const said = ["Hello", "and", "Goodbye"]
      deepStrictEqual(yield* Effect.forEach(said, (line) => client.call(line), { concurrency: "unbounded" }), said)
    }))
  ),

  "refusal: it is heard before the end": serving((_, port) =>
    Effect.map(conversation(port, "Hi there\n", { ends: false }), (heard) => strictEqual(heard, "No! Go away!\n"))
  ),

  "half-close: who has ended still hears its answers": serving((_, port) =>
    Effect.map(
      conversation(port, "You ready?\nHello\nGoodbye\n", { ends: true }),
      (heard) => strictEqual(heard, "Bring it!\nHello\nGoodbye\n")
    )
  ),

  "deadline: who is silent is refused": serving(
    (_, port) =>
      Effect.map(conversation(port, "You", { ends: false }), (heard) => strictEqual(heard, "No! Go away!\n")).pipe(
        Effect.timeout("5 seconds")
      ),
    { handshakeTimeout: "200 millis" }
  ),

  "back-pressure: who does not read is not answered without end": Effect.suspend(() => {
    let answered = 0
    const counted = (line: string) => Effect.sync(() => (answered++, line))
    const stalls = (before: number): Effect.Effect<number> =>
      Effect.andThen(
        Effect.sleep("150 millis"),
        Effect.suspend(() => answered === before && before > 0 ? Effect.succeed(answered) : stalls(answered))
      )
    return serving((_, port) =>
      Effect.gen(function*() {
        const conn = NodeNet.connect({ host: "127.0.0.1", port })
        yield* Effect.addFinalizer(() => Effect.sync(() => conn.destroy()))
        conn.pause()
        conn.write("You ready?\n")
        conn.write(`${longLine}\n`.repeat(manyLines))
        const stalled = yield* Effect.timeout(stalls(-1), "10 seconds")
        ok(stalled < manyLines / 2, `${stalled} of ${manyLines} long lines were answered to whoever did not read`)
        let length = 0
        yield* Effect.timeout(
          Effect.callback<void>((resume) => {
            conn.on("data", (chunk: Uint8Array) => {
              length += chunk.length
              if (length === "Bring it!\n".length + manyLines * (longLine.length + 1)) resume(Effect.void)
            })
            conn.resume()
          }),
          "20 seconds"
        )
      }).pipe(Effect.scoped), { answer: counted })
  }),

  "drain: what was begun is answered": serving(
    (server) =>
      Effect.scoped(Effect.gen(function*() {
        const client = yield* Client.connect({ protocol: Line.protocol, sockets: [Net.socket(server.address)] })
        const answer = yield* Effect.forkChild(client.call("Hello"), { startImmediately: true })
        yield* Effect.sleep("100 millis")
        yield* server.drain
        strictEqual(yield* Fiber.join(answer), "Hello")
        deepStrictEqual(yield* server.counts, { connections: 0, pending: 0, refusing: 0 })
      })),
    { answer: (line) => Effect.as(Effect.sleep("300 millis"), line) }
  ),

  "STARTTLS: a client is known by its certificate, and by no other": Effect.gen(function*() {
    const { address } = yield* Server.Server
    const connect = (certificate?: Transport.TlsCertificate) =>
      Effect.scoped(Effect.flatMap(
        Client.connect({ handshake: starttlsClient(certificate), sockets: [Net.socket(address)] }),
        ({ call }) => call("Hello")
      ))
    strictEqual(yield* connect(Certificates.client), "Hello")
    for (const wrong of [undefined, Certificates.clientUnknownAuthority, Certificates.clientExpired]) {
      yield* Effect.flip(connect(wrong))
    }
  }).pipe(Effect.provide(
    Server.layer({ handshake: starttls, serve: Pipeline.serve((line) => Effect.succeed(line)) }).pipe(
      Layer.provide(anyPort)
    )
  )),

  "TLS: a certificate for another name is refused": Effect.gen(function*() {
    const { address } = yield* Server.Server
    const error = yield* Client.connect({
      handshake: Line.client.pipe(Tls.client({ servername: "example.com", ca: Certificates.root })),
      sockets: [Net.socket(address)]
    }).pipe(Effect.scoped, Effect.catchReason("HandshakeError", "TlsFailure", ({ kind }) => Effect.succeed(kind)))
    strictEqual(error, "wrong-name")
  }).pipe(Effect.provide(
    Server.layer({
      handshake: Line.server.pipe(Tls.server({ certificate: Certificates.server })),
      serve: Pipeline.serve((line) => Effect.succeed(line))
    }).pipe(Layer.provide(anyPort))
  )),

  "ALPN: both sides know what was negotiated": Effect.gen(function*() {
    const { address } = yield* Server.Server
    const transport = yield* Client.connect({
      handshake: Http2.client().pipe(
        Tls.client({ servername: "localhost", ca: Certificates.root, alpn: ["h2"] })
      ),
      sockets: [Net.socket(address)],
      client: Effect.succeed
    })
    strictEqual((yield* transport.peer).tls?.alpn, "h2")
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Server.layer({
        handshake: Tls.alpn({ h2: Http2.server() }).pipe(Tls.server({ certificate: Certificates.server })),
        serve: (transport) => Stream.runDrain(transport.incoming)
      }).pipe(Layer.provide(anyPort))
    )
  ),

  "SCRAM-SHA-256-PLUS: a log-in is bound to its channel": Effect.gen(function*() {
    const { address } = yield* Server.Server
    const { session } = yield* Client.connect({
      handshake: Postgres.client({
        user: "ann",
        password: Redacted.make("correct horse"),
        sslmode: "verify-full",
        host: "localhost",
        ca: Certificates.root,
        channelBinding: "require"
      }),
      sockets: [Net.socket(address)],
      client: Effect.succeed
    })
    deepStrictEqual([session.authentication, session.channelBound], ["scram-sha-256", true])
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Server.layer({
        handshake: Postgres.server({ tls: { certificate: Certificates.server }, requireTls: true }),
        serve: (transport) => Stream.runDrain(transport.incoming)
      }).pipe(
        Layer.provide(anyPort),
        Layer.provide(Postgres.layerUsers([{ user: "ann", password: Redacted.make("correct horse") }])),
        Layer.provideMerge(NodeCrypto.layer)
      )
    )
  ),

  "the command: it probes a server": serving((_, port) =>
    Effect.map(command(argv, ["probe", `line://127.0.0.1:${port}`]), ({ code, output }) => {
      strictEqual(code, 0, output)
      ok(output.includes("Bring it!"), output)
    })
  )
})
