/**
 * HTTP/2 with programs that nobody here wrote, in clear and over TLS: Node's own, and those of Debian where they are.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as NodeHttp2 from "node:http2"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Cli from "../../src/cli/http2.ts"
import type { HandshakeError } from "../../src/HandshakeError.ts"
import * as Net from "../../src/node/Net.ts"
import * as Http2 from "../../src/protocols/Http2.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as Server from "../../src/Server.ts"
import * as Certificates from "../support/certificates/index.ts"
import * as Peers from "../support/peers.ts"

const body = "Hello from HTTP/2\n"
const long = "0123456789".repeat(20_000)

type Shaking = Effect.Effect<Http2.Http2Transport, HandshakeError, Socket.Socket | Scope.Scope>

const clear = Http2.server({ settings: Cli.settings })

const overTls = Tls.alpn({ h2: clear }).pipe(Tls.server({ certificate: Certificates.server }))

/** Our server, which answers every request. */
const serving = Effect.fnUntraced(function*(handshake: Shaking, text = body) {
  const context = yield* Layer.build(
    Server.layer({ handshake, serve: Cli.answer(text) }).pipe(
      Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 }))
    )
  )
  const { address, drain } = yield* Effect.provide(Server.Server, context)
  return { port: address._tag === "UnixPathAddress" ? 0 : address.port, drain }
})

interface Answer {
  readonly status: unknown
  readonly text: string
}

/** A session of Node's client, which ends with the scope. */
const nodeClient = (url: string, options?: NodeHttp2.SecureClientSessionOptions) =>
  Effect.acquireRelease(
    Effect.callback<NodeHttp2.ClientHttp2Session, Error>((resume) => {
      const session = NodeHttp2.connect(url, options)
      session.once("error", (error) => resume(Effect.fail(error)))
      session.once("remoteSettings", () => resume(Effect.succeed(session)))
    }),
    (session) =>
      Effect.sync(() => {
        session.destroy()
      })
  )

const ask = (session: NodeHttp2.ClientHttp2Session, upload?: string): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const request = session.request({ ":path": "/", ":method": upload === undefined ? "GET" : "POST" })
    const chunks: Array<Buffer> = []
    let status: unknown
    request.on("response", (headers) => {
      status = headers[":status"]
    })
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => resume(Effect.succeed({ status, text: Buffer.concat(chunks).toString() })))
    request.on("error", (error) => resume(Effect.fail(error)))
    request.end(upload)
  })

/** A folder with one file, and a certificate, for servers that read such things. */
const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "http2-"))
    writeFileSync(join(path, "index.html"), long)
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

/** `GET http://localhost/` without compression that remembers anything (RFC 7541 6.1 and 6.2.2). */
const get = Uint8Array.of(0x82, 0x86, 0x84, 0x01, 9, ...new TextEncoder().encode("localhost"))

/** Asks a server over our transport, and reads the answer as far as it can be read without HPACK. */
const asking = Effect.fnUntraced(function*(transport: Http2.Http2Transport) {
  yield* transport.send({ _tag: "Headers", streamId: 1, fragment: get, endStream: true, endHeaders: true })
  const chunks: Array<Uint8Array> = []
  let status: number | undefined
  for (;;) {
    const frame = yield* transport.receive
    if (frame._tag === "Headers") status = frame.fragment.find((byte) => byte >= 0x80)
    if (frame._tag === "Data") {
      chunks.push(frame.data)
      const increment = Http2.flowControlledLength(frame)
      if (increment > 0) {
        yield* transport.sendAll([
          { _tag: "WindowUpdate", streamId: 0, increment },
          { _tag: "WindowUpdate", streamId: 1, increment }
        ])
      }
    }
    if ((frame._tag === "Headers" || frame._tag === "Data") && frame.endStream) break
  }
  return { status, text: Buffer.concat(chunks).toString() }
})

const dialing = (port: number, handshake: Shaking) =>
  Effect.flatMap(
    Net.socket({ host: "127.0.0.1", port }),
    (socket) => Effect.provideService(handshake, Socket.Socket, socket)
  )

/** The indexed `:status 200` of HPACK. */
const ok = 0x88

const pem = { cert: Certificates.server.cert, key: Redacted.value(Certificates.server.key) }

const clientOverTls = (options?: Http2.ClientOptions) =>
  Tls.alpn({ h2: Http2.client(options) }).pipe(Tls.client({ servername: "localhost", ca: Certificates.root }))

describe("a cipher suite that RFC 9113 forbids with TLS 1.2", () => {
  const weak = { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA" } as const
  const strong = {
    maxVersion: "TLSv1.2",
    ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
  } as const

  const hasLeft = (session: NodeHttp2.Http2Session) =>
    Effect.callback<number>((resume) => void session.once("goaway", (code: number) => resume(Effect.succeed(code))))

  it.live("is refused by our server, which takes others with TLS 1.2", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(overTls)
      const url = `https://localhost:${port}`
      const session = NodeHttp2.connect(url, { ca: Certificates.root, ...weak })
      session.on("error", () => {})
      expect(yield* hasLeft(session)).toBe(Http2.ErrorCode.INADEQUATE_SECURITY)
      session.destroy()
      const other = yield* nodeClient(url, { ca: Certificates.root, ...strong })
      expect(yield* ask(other)).toEqual({ status: 200, text: body })
    }))

  it.live("is taken by a server that was told so", () =>
    Effect.gen(function*() {
      const handshake = Tls.alpn({ h2: Http2.server({ anyCipher: true }) }).pipe(
        Tls.server({ certificate: Certificates.server, ...weak })
      )
      const { port } = yield* serving(handshake)
      const session = yield* nodeClient(`https://localhost:${port}`, { ca: Certificates.root })
      expect(yield* ask(session)).toEqual({ status: 200, text: body })
    }))

  it.live("is refused by our client", () =>
    Effect.gen(function*() {
      const server = NodeHttp2.createSecureServer({ ...pem, ...weak })
      const told = Effect.callback<number>((resume) => {
        server.on("session", (session) => {
          session.on("error", () => {})
          session.once("goaway", (code: number) => resume(Effect.succeed(code)))
        })
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const hearing = yield* Effect.forkScoped(told)
      const error = yield* Effect.flip(
        Effect.scoped(dialing((server.address() as AddressInfo).port, clientOverTls()))
      )
      expect(error).toMatchObject({ step: "check the cipher suite", reason: { _tag: "Rejected", by: "local" } })
      expect(Http2.errorCodeOf(error)).toBe("INADEQUATE_SECURITY")
      expect(yield* Fiber.join(hearing)).toBe(Http2.ErrorCode.INADEQUATE_SECURITY)
    }))
})

describe("node:http2", () => {
  it.live("its server answers what was asked for before our client has said that it leaves", () =>
    Effect.gen(function*() {
      const streams: Array<NodeHttp2.ServerHttp2Stream> = []
      const server = NodeHttp2.createServer()
      server.on("stream", (stream) => streams.push(stream))
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const transport = yield* dialing((server.address() as AddressInfo).port, Http2.client())
      const answer = yield* Effect.forkScoped(asking(transport))
      yield* Effect.callback<void>((resume) => void server.once("stream", () => resume(Effect.void)))
      yield* Http2.shutdown(transport, { wait: "100 millis" })
      streams[0].respond({ ":status": 200 })
      streams[0].end(body)
      expect(yield* Fiber.join(answer)).toEqual({ status: ok, text: body })
    }))

  it.live("its client gets an answer from our server", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear)
      const session = yield* nodeClient(`http://127.0.0.1:${port}`)
      expect(session.remoteSettings.maxConcurrentStreams).toBe(100)
      expect(yield* ask(session)).toEqual({ status: 200, text: body })
    }))

  it.live("its client gets long answers to many requests at once, and to uploads", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear, long)
      const session = yield* nodeClient(`http://127.0.0.1:${port}`)
      const answers = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i % 2 === 0 ? undefined : long),
        (upload) => ask(session, upload),
        { concurrency: "unbounded" }
      )
      expect(answers).toEqual(answers.map(() => ({ status: 200, text: long })))
    }))

  it.live("its client pings our server, and is told of other settings", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear)
      const session = yield* nodeClient(`http://127.0.0.1:${port}`)
      const echoed = yield* Effect.callback<Buffer>((resume) => {
        session.ping(Buffer.from("12345678"), (_error, _duration, payload) => resume(Effect.succeed(payload)))
      })
      expect(echoed.toString()).toBe("12345678")
      yield* Effect.callback<void>((resume) => {
        session.settings({ initialWindowSize: 1000 }, () => resume(Effect.void))
      })
      expect(yield* ask(session)).toEqual({ status: 200, text: body })
    }))

  it.live("its client hears GOAWAY when our server drains, and has its answer", () =>
    Effect.gen(function*() {
      const { drain, port } = yield* serving(clear)
      const session = yield* nodeClient(`http://127.0.0.1:${port}`)
      const heard: Array<{ readonly code: number; readonly lastStream: number | undefined }> = []
      session.on("goaway", (code, lastStream) => heard.push({ code, lastStream }))
      expect(yield* ask(session)).toEqual({ status: 200, text: body })
      yield* drain
      yield* Effect.callback<void>((resume) => {
        if (session.closed) return resume(Effect.void)
        session.once("close", () => resume(Effect.void))
      })
      // It has nothing to wait for, and leaves on the first one.
      expect(heard[0]).toEqual({ code: Http2.ErrorCode.NO_ERROR, lastStream: 2 ** 31 - 1 })
    }))

  it.live("its client gets an answer from our server over TLS, chosen by ALPN", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(overTls)
      const session = yield* nodeClient(`https://localhost:${port}`, {
        ca: Certificates.root,
        lookup: (_host, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }])
      })
      expect(session.alpnProtocol).toBe("h2")
      expect(yield* ask(session)).toEqual({ status: 200, text: body })
    }))

  const listening = (server: NodeHttp2.Http2Server) =>
    Effect.acquireRelease(
      Effect.callback<number>((resume) => {
        server.on("stream", (stream) => {
          stream.respond({ ":status": 200 })
          stream.end(long)
        })
        server.listen({ host: "127.0.0.1", port: 0 }, () =>
          resume(Effect.succeed((server.address() as AddressInfo).port)))
      }),
      () =>
        Effect.sync(() => {
          server.close()
        })
    )

  for (const awaitAcknowledgement of [false, true]) {
    it.live(`its server answers our client${awaitAcknowledgement ? ", which waits to be acknowledged" : ""}`, () =>
      Effect.gen(function*() {
        const port = yield* listening(NodeHttp2.createServer({ settings: { maxConcurrentStreams: 7 } }))
        const transport = yield* dialing(port, Http2.client({ awaitAcknowledgement }))
        expect(transport.settings.remote.maxConcurrentStreams).toBe(7)
        expect(yield* asking(transport)).toEqual({ status: ok, text: long })
        expect(transport.settings.isAcknowledged).toBe(true)
      }))
  }

  it.live("its server answers our client over TLS", () =>
    Effect.gen(function*() {
      const port = yield* listening(NodeHttp2.createSecureServer(pem))
      const transport = yield* dialing(port, clientOverTls())
      expect((yield* transport.peer).tls?.alpn).toBe("h2")
      expect(yield* asking(transport)).toEqual({ status: ok, text: long })
    }))
})

Peers.describeWith(["curl"], "curl", () => {
  const curl = (port: number, args: ReadonlyArray<string>, scheme: "http" | "https" = "http") =>
    Peers.run("curl", ["--silent", "--show-error", "--noproxy", "*", ...args, `${scheme}://localhost:${port}/`])

  it.live("gets an answer with prior knowledge", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear)
      const ran = yield* curl(port, ["--http2-prior-knowledge", "--write-out", "%{http_code} %{http_version}"])
      expect(ran).toEqual({ status: 0, stdout: `${body}200 2`, stderr: "" })
    }))

  it.live("gets long answers to uploads", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear, long)
      const ran = yield* curl(port, ["--http2-prior-knowledge", "--data", "x".repeat(100_000)])
      expect(ran).toEqual({ status: 0, stdout: long, stderr: "" })
    }))

  it.live("gets an answer over TLS, chosen by ALPN", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(overTls)
      const args = ["--http2", "--cacert", Certificates.rootFile, "--write-out", "%{http_code} %{http_version}"]
      expect(yield* curl(port, args, "https")).toEqual({ status: 0, stdout: `${body}200 2`, stderr: "" })
    }))

  it.live("is told by a server without TLS that HTTP/1 is not spoken here", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear)
      const ran = yield* curl(port, ["--http1.1"])
      expect(ran.status).not.toBe(0)
      expect(ran.stdout).toBe("")
    }))
})

Peers.describeWith(["nghttp"], "nghttp", () => {
  it.live("gets an answer, with its PRIORITY frames on streams that nobody begins", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear)
      const ran = yield* Peers.run("nghttp", ["--verbose", `http://127.0.0.1:${port}/`])
      expect(ran.status).toBe(0)
      expect(ran.stdout).toContain(":status: 200")
      expect(ran.stdout).toContain(body)
      expect(ran.stdout).toMatch(/send PRIORITY frame/)
    }))

  it.live("gets an answer to a header block in CONTINUATIONs", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear)
      const ran = yield* Peers.run("nghttp", ["--verbose", "--continuation", `http://127.0.0.1:${port}/`])
      expect(ran.status).toBe(0)
      // It shows a block of more than one frame as one.
      const sent = /send HEADERS frame <length=(\d+)/.exec(ran.stdout)
      expect(Number(sent?.[1])).toBeGreaterThan(Http2.defaultSettings.maxFrameSize)
      expect(ran.stdout).toContain(body)
    }))

  it.live("gets an answer over TLS", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(overTls)
      const ran = yield* Peers.run("nghttp", ["--no-verify-peer", `https://localhost:${port}/`])
      expect(ran).toMatchObject({ status: 0, stdout: body })
    }))
})

Peers.describeWith(["h2load"], "h2load", () => {
  it.live("gets all of its answers, many at once", () =>
    Effect.gen(function*() {
      const { port } = yield* serving(clear)
      const args = ["--requests=2000", "--clients=10", "--max-concurrent-streams=20", `http://127.0.0.1:${port}/`]
      const ran = yield* Peers.run("h2load", args, { timeout: "20 seconds" })
      expect(ran.status).toBe(0)
      expect(ran.stdout).toContain("2000 succeeded, 0 failed, 0 errored, 0 timeout")
    }))
})

Peers.describeWith(["nghttpd"], "nghttpd", () => {
  for (const awaitAcknowledgement of [false, true]) {
    it.live(`answers our client${awaitAcknowledgement ? ", which waits to be acknowledged" : ""}`, () =>
      Effect.gen(function*() {
        const { port } = yield* Peers.nghttpd({ root: yield* folder })
        const transport = yield* dialing(port, Http2.client({ awaitAcknowledgement }))
        expect(transport.settings.remote.maxConcurrentStreams).toBe(100)
        expect(yield* asking(transport)).toEqual({ status: ok, text: long })
      }))
  }

  it.live("answers our client over TLS", () =>
    Effect.gen(function*() {
      const { port } = yield* Peers.nghttpd({ root: yield* folder, certificate: Certificates.server })
      const transport = yield* dialing(port, clientOverTls())
      expect(yield* asking(transport)).toEqual({ status: ok, text: long })
    }))

  it.live("answers PING, and acknowledges settings that change", () =>
    Effect.gen(function*() {
      const { port } = yield* Peers.nghttpd({ root: yield* folder })
      const transport = yield* dialing(port, Http2.client())
      yield* Http2.changeSettings(transport, { maxFrameSize: 2 ** 20 })
      const data = new TextEncoder().encode("12345678")
      yield* transport.send({ _tag: "Ping", data })
      for (;;) {
        const frame = yield* transport.receive
        if (frame._tag !== "Pong") continue
        expect(new Uint8Array(frame.data)).toEqual(data)
        break
      }
      expect(transport.settings.isAcknowledged).toBe(true)
    }))
})
