/**
 * TLS over TCP on loopback: each way in which it can fail, in both roles, against our own other side and against plain
 * `node:tls`; what it has agreed on; and which handshake ALPN chooses.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Tracer from "effect/Tracer"
import { X509Certificate } from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import type * as NodeNet from "node:net"
import tls, * as NodeTls from "node:tls"
import * as Client from "../../src/Client.ts"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as Net from "../../src/node/Net.ts"
import type * as PeerModel from "../../src/Peer.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as Server from "../../src/Server.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import * as Certificates from "../support/certificates/index.ts"
import * as Programs from "../support/peers.ts"
import { recording } from "../support/spans.ts"
import * as Tcp from "../support/tcp.ts"
import * as Peers from "../support/tlsPeers.ts"

type Fault = "peer" | "local" | "network"

/** As it looks in an outcome. */
const failed = (kind: string, fault: Fault, step = "start TLS") => ({
  step,
  reason: { _tag: "TlsFailure", fault, kind }
})

/** The client has left, before TLS was there or, with TLS 1.2, just after. */
const left = {
  reason: { _tag: expect.stringMatching(/^(TlsFailure|UnexpectedEnd)$/), fault: "peer" }
}

interface Case {
  readonly client?: Partial<Tls.ClientOptions>
  readonly server?: Partial<Tls.ServerOptions>
  /** The same for `node:tls`. Without, it does not take part. */
  readonly nodeClient?: NodeTls.ConnectionOptions
  readonly nodeServer?: NodeTls.TlsOptions
  readonly clientFails: object
  readonly serverFails: object
}

const asServer = (certificate: Certificates.Certificate): Pick<Case, "nodeServer" | "server"> => ({
  server: { certificate },
  nodeServer: Peers.pem(certificate)
})

const serverCertificate = (certificate: Certificates.Certificate, kind: string): Case => ({
  ...asServer(certificate),
  nodeClient: {},
  clientFails: failed(kind, "peer"),
  serverFails: left
})

const versions = ["TLSv1.2", "TLSv1.3"] as const
const asksFor = { ca: Certificates.root, clientCertificate: "require" } as const
const nodeAsksFor = { ca: Certificates.root, requestCert: true }

const noClientCertificate = (version: typeof versions[number]): Case => ({
  client: { maxVersion: version },
  nodeClient: { maxVersion: version },
  server: asksFor,
  nodeServer: nodeAsksFor,
  // With TLS 1.3 the client is done before the server has looked.
  clientFails: failed("certificate-required", "local", version === "TLSv1.2" ? "start TLS" : "answer"),
  serverFails: failed("certificate-required", "peer")
})

const clientCertificate = (version: typeof versions[number], certificate: Certificates.Certificate): Case => ({
  client: { maxVersion: version, certificate },
  nodeClient: { maxVersion: version, ...Peers.pem(certificate) },
  server: asksFor,
  nodeServer: nodeAsksFor,
  // Node's server has no way to say why, ours neither: it ends the connection.
  clientFails: version === "TLSv1.2"
    ? failed("cut", "peer")
    : { reason: { _tag: expect.stringMatching(/^(UnexpectedEnd|ConnectionFailed)$/) } },
  serverFails: failed("certificate-refused", "peer")
})

const suites = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"]

const cases: Record<string, Case> = {
  "a server's certificate that has expired": serverCertificate(Certificates.expired, "expired"),
  "a server's certificate that is not valid yet": serverCertificate(Certificates.notYetValid, "not-yet-valid"),
  "a server's certificate of an unknown authority": serverCertificate(
    Certificates.unknownAuthority,
    "unknown-authority"
  ),
  "a server's certificate that has signed itself": serverCertificate(Certificates.selfSigned, "self-signed"),
  "a server's certificate for another name": serverCertificate(Certificates.wrongName, "wrong-name"),
  "a client's certificate as a server's": serverCertificate(Certificates.client, "bad-certificate"),
  "a server's certificate for other addresses than the one that was asked for": {
    client: { servername: "127.0.0.2" },
    nodeServer: {},
    clientFails: failed("wrong-name", "peer"),
    serverFails: left
  },
  "a server's certificate for another name, with TLS 1.2": {
    ...asServer(Certificates.wrongName),
    client: { maxVersion: "TLSv1.2" },
    nodeClient: { maxVersion: "TLSv1.2" },
    clientFails: failed("wrong-name", "peer"),
    serverFails: left
  },
  "a client that wants TLS 1.3, and a server that has 1.2": {
    client: { minVersion: "TLSv1.3" },
    server: { maxVersion: "TLSv1.2" },
    nodeClient: { minVersion: "TLSv1.3" },
    nodeServer: { maxVersion: "TLSv1.2" },
    clientFails: failed("no-shared-version", "local"),
    serverFails: failed("no-shared-version", "peer")
  },
  "a client that has TLS 1.2, and a server that wants 1.3": {
    client: { maxVersion: "TLSv1.2" },
    server: { minVersion: "TLSv1.3" },
    nodeClient: { maxVersion: "TLSv1.2" },
    nodeServer: { minVersion: "TLSv1.3" },
    clientFails: failed("no-shared-version", "local"),
    serverFails: failed("no-shared-version", "peer")
  },
  "no cipher in common, with TLS 1.2": {
    client: { maxVersion: "TLSv1.2", ciphers: suites[0] },
    server: { ciphers: suites[1] },
    nodeClient: { maxVersion: "TLSv1.2", ciphers: suites[0] },
    nodeServer: { ciphers: suites[1] },
    clientFails: failed("no-shared-cipher", "local"),
    serverFails: failed("no-shared-cipher", "peer")
  },
  "no cipher in common, with TLS 1.3": {
    client: { minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" },
    server: { ciphers: "TLS_AES_256_GCM_SHA384" },
    nodeClient: { minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" },
    nodeServer: { ciphers: "TLS_AES_256_GCM_SHA384" },
    clientFails: failed("no-shared-cipher", "local"),
    serverFails: failed("no-shared-cipher", "peer")
  },
  "no application protocol in common": {
    client: { alpn: ["a"] },
    server: { alpn: ["b"] },
    nodeClient: { ALPNProtocols: ["a"] },
    nodeServer: { ALPNProtocols: ["b"] },
    clientFails: failed("no-shared-alpn", "local"),
    serverFails: failed("no-shared-alpn", "peer")
  },
  "a name that the server has no certificate for": {
    client: { servername: "handshake.test" },
    server: { names: { "other.test": Certificates.other }, unknownName: "refuse" },
    nodeClient: { servername: "handshake.test" },
    clientFails: failed("unknown-name", "local"),
    serverFails: failed("unknown-name", "peer")
  },
  "any name, where the server has certificates for none": {
    server: { unknownName: "refuse" },
    nodeClient: {},
    clientFails: failed("unknown-name", "local"),
    serverFails: failed("unknown-name", "peer")
  },
  "no client certificate, with TLS 1.2": noClientCertificate("TLSv1.2"),
  "no client certificate, with TLS 1.3": noClientCertificate("TLSv1.3"),
  "a client certificate that has expired, with TLS 1.2": clientCertificate("TLSv1.2", Certificates.clientExpired),
  "a client certificate that has expired, with TLS 1.3": clientCertificate("TLSv1.3", Certificates.clientExpired),
  "a client certificate of an unknown authority, with TLS 1.2": clientCertificate(
    "TLSv1.2",
    Certificates.clientUnknownAuthority
  ),
  "a client certificate of an unknown authority, with TLS 1.3": clientCertificate(
    "TLSv1.3",
    Certificates.clientUnknownAuthority
  ),
  "a server's certificate as a client's": clientCertificate("TLSv1.3", Certificates.server),
  "a key that is not the certificate's": {
    server: { certificate: { cert: Certificates.server.cert, key: Certificates.other.key } },
    nodeClient: {},
    clientFails: failed("protocol", "peer"),
    serverFails: failed("bad-configuration", "local")
  },
  "a key of another type than the certificate's": {
    server: { certificate: { cert: Certificates.server.cert, key: Certificates.sha512Rsa.key } },
    nodeClient: {},
    clientFails: failed("protocol", "peer"),
    serverFails: failed("bad-configuration", "local")
  },
  "a key that is none": {
    server: { certificate: { cert: Certificates.server.cert, key: Redacted.make("nonsense") } },
    nodeClient: {},
    clientFails: failed("protocol", "peer"),
    serverFails: failed("bad-configuration", "local")
  },
  "a key that is not the certificate's, for a name": {
    client: { servername: "other.test" },
    nodeClient: { servername: "other.test" },
    server: { names: { "other.test": { cert: Certificates.other.cert, key: Certificates.server.key } } },
    clientFails: failed("protocol", "peer"),
    serverFails: failed("bad-configuration", "local")
  },
  "a key of another type than the certificate's, for a name": {
    client: { servername: "other.test" },
    server: { names: { "other.test": { cert: Certificates.other.cert, key: Certificates.sha512Rsa.key } } },
    clientFails: failed("protocol", "peer"),
    serverFails: failed("bad-configuration", "local")
  },
  "a key of another type than the client's certificate": {
    client: { certificate: { cert: Certificates.client.cert, key: Certificates.sha512Rsa.key } },
    clientFails: failed("bad-configuration", "local"),
    serverFails: failed("cut", "peer")
  },
  "more protocols than can be offered": {
    client: { alpn: ["h2", ...Array.from({ length: 10_000 }, (_, i) => `${i}`.padEnd(200, "x"))] },
    clientFails: failed("bad-configuration", "local"),
    serverFails: failed("cut", "peer")
  },
  "ciphers that there are none of": {
    client: { ciphers: "NONSENSE" },
    clientFails: failed("bad-configuration", "local"),
    serverFails: failed("cut", "peer")
  },
  "authorities that are none": {
    client: { ca: "nonsense" },
    clientFails: failed("bad-configuration", "local"),
    serverFails: failed("cut", "peer")
  },
  "no authorities at all": {
    client: { ca: [] },
    clientFails: failed("bad-configuration", "local"),
    serverFails: failed("cut", "peer")
  },
  "a server without a name": {
    client: { servername: "" },
    clientFails: failed("bad-configuration", "local"),
    serverFails: failed("cut", "peer")
  }
}

describe("what can be wrong", () => {
  for (const [name, { client, clientFails, nodeClient, nodeServer, server, serverFails }] of Object.entries(cases)) {
    it.live(`${name}: both sides know what failed`, () =>
      Effect.gen(function*() {
        const { outcome, port } = yield* Peers.server(server)
        expect(yield* Peers.client(port, client)).toMatchObject(clientFails)
        expect(yield* Fiber.join(outcome)).toMatchObject(serverFails)
      }))

    if (nodeClient !== undefined) {
      it.live(`${name}: a server whose client is node:tls knows`, () =>
        Effect.gen(function*() {
          const { outcome, port } = yield* Peers.server(server)
          yield* Peers.nodeClient(port, nodeClient)
          expect(yield* Fiber.join(outcome)).toMatchObject(serverFails)
        }))
    }
    if (nodeServer !== undefined) {
      it.live(`${name}: a client whose server is node:tls knows`, () =>
        Effect.gen(function*() {
          const { port } = yield* Peers.nodeServer(nodeServer)
          expect(yield* Peers.client(port, client)).toMatchObject(clientFails)
        }))
    }
  }

  // OpenSSL would rather not speak it at all.
  const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const

  it.live("a client that has nothing newer than TLS 1.1 is refused", () =>
    Effect.gen(function*() {
      const { outcome, port } = yield* Peers.server({ ciphers: "DEFAULT@SECLEVEL=0" })
      expect(yield* Peers.nodeClient(port, old)).toMatchObject({ code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" })
      expect(yield* Fiber.join(outcome)).toMatchObject(failed("no-shared-version", "peer"))
    }))

  it.live("a server that has nothing newer than TLS 1.1 is not used", () =>
    Effect.gen(function*() {
      const { port } = yield* Peers.nodeServer(old)
      const outcome = yield* Peers.client(port, { ciphers: "DEFAULT@SECLEVEL=0" })
      expect(outcome).toMatchObject(failed("no-shared-version", "local"))
    }))

  it.live("it is said which certificate of the chain has expired, and when, on either side", () =>
    Effect.gen(function*() {
      const detail = "the certificate for CN=localhost has expired at 2020-01-01T00:00:00.000Z"
      for (const maxVersion of versions) {
        const { port } = yield* Peers.server({ certificate: Certificates.expired, maxVersion })
        expect(yield* Peers.client(port)).toMatchObject({ reason: { kind: "expired", detail } })
      }
      const { outcome, port } = yield* Peers.server(asksFor)
      yield* Peers.client(port, { certificate: Certificates.clientExpired })
      expect(yield* Fiber.join(outcome)).toMatchObject({
        reason: {
          kind: "certificate-refused",
          detail: expect.stringContaining("certificate for CN=cert_user has expired at")
        }
      })
    }))

  it.effect("a socket without TLS says so", () =>
    Effect.gen(function*() {
      const [here] = yield* MemorySocket.pair()
      const outcome = yield* Peers.ending(Line.client.pipe(Tls.client({ servername: "localhost" })), here)
      expect(outcome).toMatchObject(failed("unsupported", "local"))
    }))

  it.live("a key shows in no failure", () =>
    Effect.gen(function*() {
      const key = Redacted.make(`-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n`)
      const { outcome, port } = yield* Peers.server({ certificate: { cert: Certificates.server.cert, key } })
      yield* Peers.client(port)
      const failure = yield* Fiber.join(outcome)
      expect(failure).toMatchObject(failed("bad-configuration", "local"))
      expect(JSON.stringify(failure)).not.toMatch(/c2VjcmV0|secret/)
    }))
})

describe("what is not TLS", () => {
  const garbage = Schema.Uint8Array.check(Schema.isMinLength(16), Schema.isMaxLength(64))

  for (
    const [name, said] of Object.entries({
      "an HTTP server": "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
      "a line server": "220 mail.example ready\r\n",
      "the refusal of a line server": "No! Go away!\n"
    })
  ) {
    it.live(`${name} is not taken for a TLS server`, () =>
      Effect.gen(function*() {
        const { port } = yield* Tcp.listen((peer) => Effect.runFork(peer.say(said)))
        expect(yield* Peers.client(port)).toMatchObject(failed("not-tls", "peer"))
      }))
  }

  for (
    const [name, said] of Object.entries({
      "an HTTP request": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "a request to a proxy": "CONNECT localhost:443 HTTP/1.1\r\n\r\n",
      "lines": "You ready?\nHello\n",
      "an HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    })
  ) {
    it.live(`${name} to a TLS server is known for what it is`, () =>
      Effect.gen(function*() {
        const { outcome, port } = yield* Peers.server()
        yield* Tcp.saying(port, said)
        expect(yield* Fiber.join(outcome)).toMatchObject(failed("not-tls", "peer"))
      }))
  }

  it.live.prop(
    "whatever a client says, a server fails at TLS and does not wait for more than it is due",
    { bytes: garbage },
    ({ bytes }) =>
      Effect.gen(function*() {
        const { outcome, port } = yield* Peers.server()
        const peer = yield* Tcp.dial(port)
        yield* peer.say(bytes)
        yield* peer.end
        expect(yield* Fiber.join(outcome)).toMatchObject({ step: "start TLS", reason: { _tag: "TlsFailure" } })
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 40 } }
  )

  it.live.prop(
    "whatever a server says, a client fails at TLS",
    { bytes: garbage },
    ({ bytes }) =>
      Effect.gen(function*() {
        const { port } = yield* Tcp.listen((peer) => Effect.runFork(Effect.andThen(peer.say(bytes), peer.end)))
        expect(yield* Peers.client(port)).toMatchObject({ step: "start TLS", reason: { _tag: "TlsFailure" } })
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 40 } }
  )
})

describe("a connection that is cut", () => {
  const failsAtOnce = {
    reason: { _tag: expect.stringMatching(/^(TlsFailure|UnexpectedEnd|ConnectionFailed)$/) }
  }

  for (const from of ["client", "server"] as const) {
    for (const how of ["end", "reset"] as const) {
      it.live(`${how === "end" ? "in order" : "by a reset"} within what the ${from} says first, both sides fail as cut`, () =>
        Effect.gen(function*() {
          // A ClientHello has about 400 bytes, the first flight of a server about 1500.
          for (const after of [0, 1, 5, 6, 100, 250]) {
            const { outcome, port } = yield* Peers.server()
            let passed = 0
            const forwarder = yield* Peers.between(port, (side, chunk, cut) => {
              if (side !== from) return chunk
              const rest = after - passed
              passed += chunk.length
              if (rest >= chunk.length) return chunk
              // What comes before the cut arrives before it.
              setTimeout(() => cut(how), 10)
              return rest > 0 ? chunk.subarray(0, rest) : Buffer.alloc(0)
            })
            const [client, server] = yield* Effect.all([
              Peers.client(forwarder.port),
              Fiber.join(outcome)
            ], { concurrency: 2 })
            expect([after, client]).toMatchObject([after, failed("cut", how === "end" ? "peer" : "network")])
            expect([after, server]).toMatchObject([after, failed("cut", how === "end" ? "peer" : "network")])
          }
        }))
    }
  }

  it.live("behind the client's first flight, nobody waits for ever", () =>
    Effect.gen(function*() {
      for (const how of ["end", "reset"] as const) {
        const { outcome, port } = yield* Peers.server()
        let flights = 0
        const forwarder = yield* Peers.between(port, (side, chunk, cut) => {
          if (side === "client" && ++flights === 2) {
            cut(how)
            return Buffer.alloc(0)
          }
          return chunk
        })
        const [client, server] = yield* Effect.all([
          Peers.client(forwarder.port),
          Fiber.join(outcome)
        ], { concurrency: 2 })
        expect(client).toMatchObject(failsAtOnce)
        expect(server).toMatchObject(failed("cut", how === "end" ? "peer" : "network"))
      }
    }))

  it.live("another try may do better than one that was cut, and than no other", () =>
    Effect.gen(function*() {
      const retryable = (
        handshake: Effect.Effect<unknown, { readonly retryable: boolean }, Socket.Socket>,
        port: number
      ) =>
        Effect.flatMap(Net.socket({ host: "127.0.0.1", port }), (socket) =>
          Effect.flip(handshake).pipe(
            Effect.provideService(Socket.Socket, socket),
            Effect.map((error) => error.retryable)
          ))
      const shaking = Effect.scoped(Line.client.pipe(Tls.client({ servername: "localhost", ca: Certificates.root })))
      const cutting = yield* Tcp.listen((peer) => Effect.runFork(peer.end))
      const { port } = yield* Peers.server({ certificate: Certificates.expired })
      expect([yield* retryable(shaking, cutting.port), yield* retryable(shaking, port)]).toEqual([true, false])
    }))
})

describe("an end that TLS has not announced", () => {
  for (
    const [where, said, tag] of [["between two frames", "one\n", "ConnectionClosed"], [
      "in a frame",
      "one\ntw",
      "Truncated"
    ]]
  ) {
    it.live(`is ${tag} ${where}`, () =>
      Effect.gen(function*() {
        let received: string | undefined
        let end: unknown
        const handshake = Effect.gen(function*() {
          const transport = yield* Transport.framed(Codec.lines()).pipe(
            Tls.server({ certificate: Certificates.server })
          )
          received = yield* transport.receive
          yield* transport.send("and")
          end = (yield* Effect.flip(transport.receive)).reason._tag
          return transport
        }).pipe(Handshake.step("listen"))
        const { outcome, port } = yield* Peers.accepting(handshake)
        const forwarder = yield* Peers.between(port, (side, chunk, cut) => {
          if (side === "server" || received === undefined) return chunk
          // What the client says next, the end of TLS among it, does not come.
          cut("end")
          return chunk.subarray(0, 0)
        })
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            const socket = NodeTls.connect({ port: forwarder.port, servername: "localhost", ca: Certificates.root })
            socket.on("error", () => {})
            socket.on("secureConnect", () => socket.write(said))
            socket.on("data", () => socket.end())
            return socket
          }),
          (socket) => Effect.sync(() => socket.destroy())
        )
        yield* Fiber.join(outcome)
        expect([received, end]).toEqual(["one", tag])
      }))
  }
})

describe("a byte that was altered on its way", () => {
  const lines = Transport.framed(Codec.lines())
  const clientTls = { servername: "localhost", ca: Certificates.root }

  for (const from of ["client", "server"] as const) {
    for (const maxVersion of versions) {
      it.live(`of the ${from}, with ${maxVersion}: both sides fail as bad-record`, () =>
        Effect.gen(function*() {
          let armed = false
          const ended = (transport: Transport.Transport<string, string>) => Effect.flip(transport.receive)
          const server = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
          const serverFails = yield* Effect.forkScoped(
            Effect.callback<unknown>((resume) => {
              const fiber = Effect.runFork(server.run((socket) =>
                Effect.scoped(Effect.gen(function*() {
                  const transport = yield* lines.pipe(Tls.server({ certificate: Certificates.server, maxVersion }))
                  yield* transport.receive
                  yield* transport.send("pong")
                  if (from === "server") {
                    yield* transport.receive
                    armed = true
                    yield* transport.send("altered")
                  }
                  const error = yield* ended(transport)
                  resume(Effect.succeed(error.reason))
                })).pipe(Effect.provideService(Socket.Socket, socket))
              ))
              return Effect.sync(() => fiber.interruptUnsafe())
            }),
            { startImmediately: true }
          )
          const { port } = server.address as { readonly port: number }
          const forwarder = yield* Peers.between(port, (side, chunk) => {
            if (armed && side === from) chunk[chunk.length - 1] ^= 1
            return chunk
          })
          const socket = yield* Net.socket({ host: "127.0.0.1", port: forwarder.port })
          const error = yield* Effect.scoped(Effect.gen(function*() {
            const transport = yield* lines.pipe(Tls.client(clientTls))
            yield* transport.send("ping")
            expect(yield* transport.receive).toBe("pong")
            if (from === "client") armed = true
            yield* transport.send("go on")
            return yield* ended(transport)
          })).pipe(Effect.provideService(Socket.Socket, socket))
          // Whoever has noticed it says so in an alert.
          const [noticed, told] = from === "client"
            ? [yield* Fiber.join(serverFails), error.reason]
            : [error.reason, yield* Fiber.join(serverFails)]
          expect(noticed).toMatchObject({ _tag: "TlsFailure", kind: "bad-record", fault: "peer" })
          expect(told).toMatchObject({ _tag: "TlsFailure", kind: "bad-record", fault: "local" })
        }))
    }
  }
})

describe("what was agreed on", () => {
  /** What both sides have learnt. */
  const agreed = Effect.fnUntraced(function*(
    client: Partial<Tls.ClientOptions>,
    server: Partial<Tls.ServerOptions>
  ) {
    const { outcome, port } = yield* Peers.server(server)
    const there = yield* Peers.client(port, client)
    const here = yield* Fiber.join(outcome)
    if (there.tls === undefined || here.tls === undefined) {
      throw new Error(`there is no TLS: ${JSON.stringify([there, here])}`)
    }
    return { client: there.tls, server: here.tls }
  })

  const x509 = (certificate: Certificates.Certificate) => new X509Certificate(certificate.cert)

  for (const version of versions) {
    it.live(`both sides know it, with ${version}`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* agreed(
          { alpn: ["b", "a"], certificate: Certificates.client, maxVersion: version },
          { ...asksFor, alpn: ["a", "b"] }
        )
        const common = {
          version,
          cipher: version === "TLSv1.2" ? "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" : "TLS_AES_256_GCM_SHA384",
          alpn: "a",
          servername: "localhost",
          resumed: false,
          verified: true
        }
        expect(client).toMatchObject(common)
        expect(server).toMatchObject(common)
        expect(client.certificate?.raw).toEqual(new Uint8Array(x509(Certificates.server).raw))
        expect(client.localCertificate).toEqual(server.certificate?.raw)
        expect(server.certificate?.raw).toEqual(new Uint8Array(x509(Certificates.client).raw))
        expect(server.localCertificate).toEqual(client.certificate?.raw)
      }))
  }

  it.live("the fields of a certificate are those of the certificate", () =>
    Effect.gen(function*() {
      const { client } = yield* agreed({}, {})
      const { fingerprint256, issuer, serialNumber, subject, subjectAltName, validFrom, validTo } = x509(
        Certificates.server
      )
      expect(client.certificate).toMatchObject({
        fingerprint256,
        issuer,
        serialNumber,
        subject,
        subjectAltName,
        validFrom: new Date(validFrom),
        validTo: new Date(validTo)
      })
    }))

  it.live("a certificate without a subject and an issuer is one whose names are empty", () =>
    Effect.gen(function*() {
      const { client } = yield* agreed({ verify: "none" }, { certificate: Certificates.nameless })
      expect(client.certificate).toMatchObject({ subject: "", issuer: "", subjectAltName: "DNS:localhost" })
    }))

  it.live("a client that is not asked for a certificate shows none, and is not verified", () =>
    Effect.gen(function*() {
      const { server } = yield* agreed({ certificate: Certificates.client }, {})
      expect(server).toMatchObject({ certificate: undefined, verified: false })
    }))

  it.live("a client that is asked and has none is let in, and is not verified", () =>
    Effect.gen(function*() {
      const { server } = yield* agreed({}, { ca: Certificates.root, clientCertificate: "request" })
      expect(server).toMatchObject({ certificate: undefined, verified: false })
    }))

  it.live("an address is verified and not asked for", () =>
    Effect.gen(function*() {
      for (const servername of ["127.0.0.1", "::1"]) {
        const { client, server } = yield* agreed({ servername }, { unknownName: "refuse" })
        expect(client).toMatchObject({ servername: undefined, verified: true })
        expect(server).toMatchObject({ servername: undefined })
      }
    }))

  it.live("with authority, the name does not matter", () =>
    Effect.gen(function*() {
      const { client } = yield* agreed({ verify: "authority" }, { certificate: Certificates.wrongName })
      expect(client).toMatchObject({ verified: true, certificate: { subject: "CN=elsewhere.test" } })
    }))

  it.live("with authority, the authority does", () =>
    Effect.gen(function*() {
      const { port } = yield* Peers.server({ certificate: Certificates.unknownAuthority })
      expect(yield* Peers.client(port, { verify: "authority" })).toMatchObject(failed("unknown-authority", "peer"))
    }))

  it.live("with none, anybody is believed and nobody is verified", () =>
    Effect.gen(function*() {
      for (const certificate of [Certificates.server, Certificates.selfSigned, Certificates.expired]) {
        expect(yield* agreed({ verify: "none" }, { certificate })).toMatchObject({ client: { verified: false } })
      }
    }))

  it.live("the kinds of certificate that there are", () =>
    Effect.gen(function*() {
      const { ed25519, rsaPss, sha384, sha512Rsa } = Certificates
      for (const certificate of [ed25519, rsaPss, sha384, sha512Rsa]) {
        expect(yield* agreed({}, { certificate })).toMatchObject({ client: { verified: true } })
      }
    }))
})

describe("the name that a client asks for", () => {
  const names = {
    "Other.test": Certificates.other,
    "*.wild.test": Certificates.wild,
    "*.münchen.test.": Certificates.wild,
    "bücher.test": Certificates.other
  }

  const subjectFor = Effect.fnUntraced(function*(servername: string) {
    const { port } = yield* Peers.server({ names })
    const { tls } = yield* Peers.client(port, { servername, verify: "authority" })
    return tls?.certificate?.subject
  })

  for (
    const [servername, subject] of [
      ["other.test", "CN=other.test"],
      ["OTHER.TEST", "CN=other.test"],
      ["a.wild.test", "CN=*.wild.test"],
      ["B.Wild.Test", "CN=*.wild.test"],
      ["wild.test", "CN=localhost"],
      ["a.b.wild.test", "CN=localhost"],
      ["other.test.", "CN=other.test"],
      ["xn--bcher-kva.test", "CN=other.test"],
      ["Bücher.test.", "CN=other.test"],
      ["a.xn--mnchen-3ya.test", "CN=*.wild.test"],
      ["localhost", "CN=localhost"]
    ]
  ) {
    it.live(`${servername} gets the certificate ${subject}`, () =>
      Effect.gen(function*() {
        expect(yield* subjectFor(servername)).toBe(subject)
      }))
  }

  for (
    const [servername, name] of [
      ["LocalHost.", "localhost"],
      ["Handshake.TEST", "handshake.test"],
      ["München.wild.test", "xn--mnchen-3ya.wild.test"]
    ]
  ) {
    it.live(`${servername} is told and verified as ${name}`, () =>
      Effect.gen(function*() {
        const { outcome, port } = yield* Peers.server({ names, unknownName: "default" })
        const told = { tls: { servername: name } }
        expect(yield* Peers.client(port, { servername })).toMatchObject({ tls: { ...told.tls, verified: true } })
        expect(yield* Fiber.join(outcome)).toMatchObject(told)
      }))
  }

  it.live("what a client of another kind asks for is compared as a name", () =>
    Effect.gen(function*() {
      const { outcome, port } = yield* Peers.server({ names, unknownName: "refuse" })
      yield* Peers.nodeClient(port, { servername: "OTHER.test.", rejectUnauthorized: false })
      expect(yield* Fiber.join(outcome)).toMatchObject({ tls: { servername: "other.test" } })
    }))

  it.live("a server that has a certificate for what is no name says so", () =>
    Effect.gen(function*() {
      const { outcome, port } = yield* Peers.server({ names: { "a b": Certificates.other } })
      yield* Peers.client(port)
      expect(yield* Fiber.join(outcome)).toMatchObject({
        reason: { kind: "bad-configuration", fault: "local", detail: expect.stringContaining("\"a b\"") }
      })
    }))

  it.live("a certificate that two servers have for a name does not bring what else the other one asks for", () =>
    Effect.gen(function*() {
      const names = { "other.test": Certificates.other }
      const client = { servername: "other.test", certificate: Certificates.clientUnknownAuthority }
      const lax = yield* Peers.server({ names, ca: Certificates.unknownRoot, clientCertificate: "require" })
      expect(yield* Peers.client(lax.port, client)).toMatchObject({ tls: {} })
      const strict = yield* Peers.server({ names, ca: Certificates.root, clientCertificate: "require" })
      yield* Peers.client(strict.port, client)
      expect(yield* Fiber.join(strict.outcome)).toMatchObject(failed("certificate-refused", "peer"))
    }))
})

/** A server of the line protocol inside TLS, for as long as the scope. */
const serving = Effect.fnUntraced(function*(
  options: Tls.ServerOptions | Effect.Effect<Tls.ServerOptions>,
  onTls: (tls: PeerModel.Tls | undefined) => void = () => {}
) {
  const server = yield* Server.make({
    handshake: Line.server.pipe(
      Tls.server(options),
      Effect.tap((transport) => Effect.map(transport.peer, ({ tls }) => onTls(tls)))
    ),
    serve: Pipeline.serve((line: string) => Effect.succeed(line))
  }).pipe(Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host: "127.0.0.1", port: 0 })))
  return server.address._tag === "UnixPathAddress" ? 0 : server.address.port
})

describe("the certificate of a server", () => {
  const calling = Effect.fnUntraced(function*(port: number) {
    const socket = yield* Net.socket({ host: "127.0.0.1", port })
    return yield* Line.client.pipe(
      Tls.client({ servername: "localhost", ca: Certificates.root }),
      Effect.provideService(Socket.Socket, socket)
    )
  })

  const subjectOf = (transport: Transport.Transport.Any) =>
    Effect.map(transport.peer, ({ tls }) => tls?.certificate?.subject)

  const echoes = Effect.fnUntraced(function*(transport: Transport.Transport<string, string>, line: string) {
    yield* transport.send(line)
    expect(yield* transport.receive).toBe(line)
  })

  it.live("is replaced while it serves: the next connection gets the new one, and those that are live go on", () =>
    Effect.gen(function*() {
      const current = yield* Ref.make<Tls.ServerOptions>({ certificate: Certificates.server })
      const port = yield* serving(Ref.get(current))
      const before = yield* calling(port)
      yield* Ref.set(current, { certificate: Certificates.replacement })
      const after = yield* calling(port)
      expect([yield* subjectOf(before), yield* subjectOf(after)]).toEqual(["CN=localhost", "CN=replacement"])
      yield* echoes(before, "before")
      yield* echoes(after, "after")
    }))

  /** Connects twice, the second time with the session of the first. Sessions are worth nothing to another context. */
  const comingBack = (port: number, options: NodeTls.ConnectionOptions = {}) =>
    Effect.gen(function*() {
      let session: Buffer | undefined
      for (let time = 0; time < 2; time++) {
        yield* Effect.callback<void, Error>((resume) => {
          const socket = NodeTls.connect({
            host: "127.0.0.1",
            port,
            servername: "localhost",
            ca: Certificates.root,
            ...options,
            ...session !== undefined && { session }
          })
          socket.on("session", (given) => {
            session = given
          })
          socket.on("error", (error) => resume(Effect.fail(error)))
          socket.on("secureConnect", () => socket.write("You ready?\n"))
          socket.on("data", () => socket.end())
          socket.on("close", () => resume(Effect.void))
        })
      }
    })

  for (const maxVersion of versions) {
    it.live(`is prepared once for options that are the same, so that sessions are resumed, with ${maxVersion}`, () =>
      Effect.gen(function*() {
        const seen: Array<PeerModel.Tls | undefined> = []
        const options = { certificate: Certificates.server }
        for (const same of [options, Effect.succeed(options)]) {
          const port = yield* serving(same, (tls) => seen.push(tls))
          yield* comingBack(port, { maxVersion })
        }
        const anew = yield* serving(Effect.sync(() => ({ ...options })), (tls) => seen.push(tls))
        yield* comingBack(anew, { maxVersion })
        expect(seen.map((tls) => tls?.resumed)).toEqual([false, true, false, true, false, false])
      }))

    it.live(`a client that comes back with its session is still who it was, with ${maxVersion}`, () =>
      Effect.gen(function*() {
        const seen: Array<PeerModel.Tls | undefined> = []
        const options = { ...asksFor, certificate: Certificates.server }
        const port = yield* serving(options, (tls) => seen.push(tls))
        yield* comingBack(port, { maxVersion, ...Peers.pem(Certificates.client) })
        const known = { verified: true, certificate: { subject: "CN=cert_user" } }
        expect(seen).toMatchObject([{ ...known, resumed: false }, { ...known, resumed: true }])
      }))
  }

  it.live("many connections with the same options make one context", () =>
    Effect.gen(function*() {
      const create = tls.createSecureContext
      let made = 0
      tls.createSecureContext = (options) => {
        made++
        return create(options)
      }
      syncBuiltinESMExports()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          tls.createSecureContext = create
          syncBuiltinESMExports()
        })
      )
      const port = yield* serving({ certificate: Certificates.server })
      const client = Line.client.pipe(Tls.client({ servername: "localhost", ca: Certificates.root }))
      for (let i = 0; i < 5; i++) {
        const socket = yield* Net.socket({ host: "127.0.0.1", port })
        yield* Effect.scoped(client).pipe(Effect.provideService(Socket.Socket, socket))
      }
      expect(made).toBe(2)
    }))
})

describe("what tls.Server and tls.connect do of their own accord, this does too", () => {
  // A client that would rather have its session key sent under the server's key, which is then all that it takes to read it.
  const careless = { maxVersion: "TLSv1.2", ciphers: "AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256" } as const
  const rsa = Certificates.sha512Rsa

  for (
    const [name, options] of [
      ["of its own", { certificate: rsa }],
      ["for a name", { certificate: Certificates.server, names: { localhost: rsa } }]
    ] as const
  ) {
    it.live(`the server chooses the cipher, with a certificate ${name}`, () =>
      Effect.gen(function*() {
        const { outcome, port } = yield* Peers.server(options)
        expect(yield* Peers.nodeClient(port, careless)).toMatchObject({ secure: true })
        expect(yield* Fiber.join(outcome)).toMatchObject({
          tls: { cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" }
        })
      }))
  }

  it.live("the client's own cipher is taken where the server has no other", () =>
    Effect.gen(function*() {
      const { outcome, port } = yield* Peers.server({ certificate: rsa, ciphers: "AES128-SHA" })
      yield* Peers.nodeClient(port, careless)
      expect(yield* Fiber.join(outcome)).toMatchObject({ tls: { cipher: "TLS_RSA_WITH_AES_128_CBC_SHA" } })
    }))

  it.live("and one thing not: NODE_TLS_REJECT_UNAUTHORIZED does not let anybody be believed", () =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"
        }),
        () =>
          Effect.sync(() => {
            delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
          })
      )
      const { port } = yield* Peers.server({ certificate: Certificates.selfSigned })
      expect(yield* Peers.client(port)).toMatchObject(failed("self-signed", "peer"))
    }))
})

describe("which handshake runs inside", () => {
  const greeting = <const P extends string>(protocol: P) =>
    Effect.map(Transport.framed(Codec.lines()), Transport.extend({ protocol }))

  const served = Tls.alpn({ chat: greeting("chat"), mail: greeting("mail") })

  const chosen = Effect.fnUntraced(function*<E>(
    handshake: Tls.Alpn<{ readonly protocol: string }, E, Socket.Socket | Scope.Scope>,
    options: Partial<Tls.ClientOptions>,
    serverOptions: Partial<Tls.ServerOptions> = {}
  ) {
    let protocol: string | undefined
    const lines = Transport.framed(Codec.lines())
    const watched = Effect.flatMap(
      handshake.pipe(Tls.server({ certificate: Certificates.server, ...serverOptions })),
      (transport) => {
        protocol = transport.protocol
        return lines
      }
    )
    const { outcome, port } = yield* Peers.accepting(watched)
    const socket = yield* Net.socket({ host: "127.0.0.1", port })
    const client = yield* Peers.ending(
      lines.pipe(
        Tls.client({ servername: "localhost", ca: Certificates.root, ...options }),
        Effect.tap((transport) => Effect.ignore(transport.receive)),
        Handshake.named("client")
      ),
      socket
    )
    const server = yield* Fiber.join(outcome)
    return { client, protocol, server }
  })

  it.live("the server chooses the first of its own that the client has", () =>
    Effect.gen(function*() {
      expect(yield* chosen(served, { alpn: ["mail", "chat"] })).toMatchObject({ protocol: "chat" })
      expect(yield* chosen(served, { alpn: ["mail"] })).toMatchObject({ protocol: "mail" })
    }))

  it.live("a client that has none of them is refused", () =>
    Effect.gen(function*() {
      const { client, protocol, server } = yield* chosen(served, { alpn: ["news"] })
      expect(protocol).toBeUndefined()
      expect(client).toMatchObject(failed("no-shared-alpn", "local"))
      expect(server).toMatchObject(failed("no-shared-alpn", "peer"))
    }))

  it.live("a client that does not negotiate gets no handshake of those", () =>
    Effect.gen(function*() {
      const { protocol, server } = yield* chosen(served, {})
      expect(protocol).toBeUndefined()
      expect(server).toMatchObject(failed("no-shared-alpn", "peer", "choose by ALPN"))
    }))

  it.live("a client that does not negotiate gets the other one, if there is one", () =>
    Effect.gen(function*() {
      const handshake = Tls.alpn({ chat: greeting("chat") }, { otherwise: greeting("other") })
      expect(yield* chosen(handshake, {})).toMatchObject({ protocol: "other" })
      expect(yield* chosen(handshake, { alpn: ["chat"] })).toMatchObject({ protocol: "chat" })
      expect((yield* chosen(handshake, { alpn: ["news"] })).server).toMatchObject(failed("no-shared-alpn", "peer"))
    }))

  it.live("a protocol that was negotiated and has no handshake is no other one", () =>
    Effect.gen(function*() {
      const handshake = Tls.alpn({ chat: greeting("chat") }, { otherwise: greeting("other") })
      const { protocol, server } = yield* chosen(handshake, { alpn: ["toString"] }, { alpn: ["toString"] })
      expect(protocol).toBeUndefined()
      expect(server).toMatchObject(failed("no-shared-alpn", "peer", "choose by ALPN"))
    }))

  it.live("an option without a value does not take back what it offers", () =>
    Effect.gen(function*() {
      expect(yield* chosen(served, { alpn: ["mail"] }, { alpn: undefined })).toMatchObject({ protocol: "mail" })
      const { port } = yield* Peers.nodeServer({ ALPNProtocols: ["mail"] })
      const socket = yield* Net.socket({ host: "127.0.0.1", port })
      const transport = yield* served.pipe(
        Tls.client({ servername: "localhost", ca: Certificates.root, alpn: undefined }),
        Effect.provideService(Socket.Socket, socket)
      )
      expect(transport.protocol).toBe("mail")
    }))

  const inTls = Transport.framed(Codec.lines()).pipe(Handshake.named("chat"), Tls.client({ servername: "localhost" }))
  const named = [["tls", inTls], ["mail", Handshake.named(inTls, "mail")]] as const
  for (const [protocol, handshake] of named) {
    it.effect(`in a span, as ${protocol} while TLS has not come about`, () =>
      Effect.gen(function*() {
        const { spans, tracer } = recording()
        const [here] = yield* MemorySocket.pair()
        const error = yield* Client.connect({ handshake }).pipe(
          Effect.provideService(Socket.Socket, here),
          Effect.provideService(Tracer.Tracer, tracer),
          Effect.flip
        )
        expect(error).toMatchObject({ protocol, step: "start TLS" })
        expect(spans.map((span) => span.name)).toEqual([`${protocol} handshake`])
      }))
  }

  it.live("a client's handshake is chosen by what the server has chosen", () =>
    Effect.gen(function*() {
      const client = Tls.alpn({ mail: greeting("mail"), chat: greeting("chat") })
      for (const protocol of ["chat", "mail"]) {
        const { port } = yield* Peers.nodeServer({ ALPNProtocols: [protocol] })
        const socket = yield* Net.socket({ host: "127.0.0.1", port })
        const transport = yield* client.pipe(
          Tls.client({ servername: "localhost", ca: Certificates.root }),
          Effect.provideService(Socket.Socket, socket)
        )
        expect(transport.protocol).toBe(protocol)
      }
    }))

  it.live("a client whose server does not negotiate fails", () =>
    Effect.gen(function*() {
      const { port } = yield* Peers.nodeServer()
      const socket = yield* Net.socket({ host: "127.0.0.1", port })
      const client = served.pipe(Tls.client({ servername: "localhost", ca: Certificates.root }))
      expect(yield* Peers.ending(client, socket)).toMatchObject(failed("no-shared-alpn", "peer", "choose by ALPN"))
    }))

  it.effect("without TLS there is nothing to choose by", () =>
    Effect.gen(function*() {
      const [here] = yield* MemorySocket.pair()
      expect(yield* Peers.ending(served.handshake, here)).toMatchObject(
        failed("no-shared-alpn", "local", "choose by ALPN")
      )
    }))
})

describe("the first bytes", () => {
  it("of a ClientHello are known, whatever they are cut into", () => {
    const hello = Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1)
    for (let length = 0; length < 6; length++) expect(Tls.isClientHello(hello.subarray(0, length))).toBe(undefined)
    for (let length = 6; length <= hello.length; length++) {
      expect(Tls.isClientHello(hello.subarray(0, length))).toBe(true)
    }
  })

  it("of anything else are declined at the first that is wrong", () => {
    for (
      const bytes of [
        [23],
        [22, 2],
        [22, 4],
        // No record holds more than 2^14 bytes, and none of a handshake is empty.
        [22, 3, 1, 0x41],
        [22, 3, 1, 0x40, 1],
        [22, 3, 1, 0, 0],
        [22, 3, 1, 0, 200, 2]
      ]
    ) {
      expect([bytes, Tls.isClientHello(Uint8Array.from(bytes))]).toEqual([bytes, false])
      expect([bytes, Tls.isClientHello(Uint8Array.from(bytes.slice(0, -1)))]).toEqual([bytes, undefined])
    }
    expect(Tls.isClientHello(Uint8Array.of(22, 3, 1, 0x40, 0, 1))).toBe(true)
    // The first of many records that it was cut into; and a version that is passed over.
    expect(Tls.isClientHello(Uint8Array.of(22, 3, 1, 0, 1, 1))).toBe(true)
    expect(Tls.isClientHello(Uint8Array.of(22, 3, 0xff, 0, 1, 1))).toBe(true)
  })

  it.live("decide between TLS and lines on one port", () =>
    Effect.gen(function*() {
      const handshake = Handshake.firstOf([
        {
          name: "TLS",
          accepts: Tls.isClientHello,
          handshake: Line.server.pipe(Tls.server({ certificate: Certificates.server }))
        },
        { name: "lines", accepts: () => true, handshake: Line.server }
      ])
      const inside = yield* Peers.accepting(handshake)
      expect(yield* Peers.client(inside.port)).toMatchObject({ tls: { verified: true } })
      const outside = yield* Peers.accepting(handshake)
      const socket = yield* Net.socket({ host: "127.0.0.1", port: outside.port })
      expect(yield* Peers.ending(Line.client, socket)).toEqual({ tls: undefined })
    }))

  it.live("of TLS are known where the ClientHello is cut into records of a byte", () =>
    Effect.gen(function*() {
      const handshake = Handshake.firstOf([
        {
          name: "TLS",
          accepts: Tls.isClientHello,
          handshake: Line.server.pipe(Tls.server({ certificate: Certificates.server }))
        },
        { name: "lines", accepts: () => true, handshake: Line.server }
      ])
      const { outcome, port } = yield* Peers.accepting(handshake)
      let isFirst = true
      const forwarder = yield* Peers.between(port, (side, chunk) => {
        if (side === "server" || !isFirst) return chunk
        isFirst = false
        // The first bytes of the message each in a record of its own (RFC 8446 5.1).
        const [message, rest] = [chunk.subarray(5, 9), chunk.subarray(9)]
        const record = (bytes: Uint8Array) => [22, 3, 1, bytes.length >> 8, bytes.length & 255, ...bytes]
        return Uint8Array.from([...[...message].flatMap((byte) => record(Uint8Array.of(byte))), ...record(rest)])
      })
      expect(yield* Peers.client(forwarder.port)).toMatchObject({ tls: { verified: true } })
      expect(yield* Fiber.join(outcome)).toMatchObject({ tls: { servername: "localhost" } })
    }))

  it.live("of TLS are not lost, however they are cut", () =>
    Effect.gen(function*() {
      const handshake = Handshake.firstOf([
        {
          name: "TLS",
          accepts: Tls.isClientHello,
          handshake: Line.server.pipe(Tls.server({ certificate: Certificates.server }))
        }
      ])
      for (const first of [1, 3, 5, 6, 7, 100]) {
        const { outcome, port } = yield* Peers.accepting(handshake)
        let isFirst = true
        const forwarder = yield* Peers.between(port, (side, chunk, _, later) => {
          if (side === "server" || !isFirst) return chunk
          isFirst = false
          later(() => [chunk.subarray(first)])
          return chunk.subarray(0, first)
        })
        expect(yield* Peers.client(forwarder.port)).toMatchObject({ tls: { verified: true } })
        expect(yield* Fiber.join(outcome)).toMatchObject({ tls: { servername: "localhost" } })
      }
    }))
})

describe("whoever writes while TLS shakes hands", () => {
  /** A server that says a line while TLS shakes hands, and what has become of both. */
  const saying = Effect.gen(function*() {
    const begun = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<readonly [tls: Exit.Exit<unknown, unknown>, said: Exit.Exit<void, unknown>]>()
    const speaking = Effect.gen(function*() {
      const transport = yield* Transport.framed(Codec.lines())
      const options = { role: "server", certificate: Certificates.server, unread: "feed" } as const
      const shaking = yield* Effect.forkChild(Transport.startTls(transport, options), { startImmediately: true })
      const said = yield* Effect.forkChild(transport.send("said early"), { startImmediately: true })
      yield* Deferred.succeed(begun, undefined)
      const outcome = [yield* Fiber.await(shaking), yield* Fiber.await(said)] as const
      yield* Deferred.succeed(ended, outcome)
      return yield* Effect.never
    })
    const { port } = yield* Peers.accepting(speaking)
    return { port, begun: Deferred.await(begun), ended: Deferred.await(ended) }
  })

  it.live("is heard inside TLS", () =>
    Effect.gen(function*() {
      const { begun, ended, port } = yield* saying
      const peer = yield* Tcp.dial(port)
      yield* begun
      const heard = yield* Effect.callback<string>((resume) => {
        const within = NodeTls.connect({ socket: peer.socket, servername: "localhost", ca: Certificates.root })
        within.on("error", (error) => resume(Effect.die(error)))
        within.on("data", (chunk) => resume(Effect.succeed(chunk.toString())))
      })
      expect(heard).toBe("said early\n")
      expect((yield* ended).map(Exit.isSuccess)).toEqual([true, true])
    }))

  it.live("is told why there is none", () =>
    Effect.gen(function*() {
      const { begun, ended, port } = yield* saying
      const peer = yield* Tcp.dial(port)
      yield* begun
      yield* peer.say("this is no TLS\n")
      for (const exit of yield* ended) {
        expect(Exit.findErrorOption(exit)).toMatchObject({ value: { reason: { _tag: "TlsFailure", kind: "not-tls" } } })
      }
    }))
})

describe("a peer that has gone", () => {
  /** A server that asks with whom it was when that one has gone: it has begun TLS, or TLS was there. */
  const askingLate = (isEarly: boolean) =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const asked = yield* Deferred.make<PeerModel.Peer>()
      const asking = Effect.gen(function*() {
        const clear = yield* Transport.framed(Codec.bytes)
        const shaking = Transport.startTls(clear, {
          role: "server",
          certificate: Certificates.server,
          unread: "feed"
        })
        const reading = Effect.flatMap(shaking, (transport) =>
          Effect.andThen(isEarly ? Effect.void : Deferred.succeed(begun, undefined), transport.receive))
        const fiber = yield* Effect.forkChild(Effect.exit(reading), { startImmediately: true })
        if (isEarly) {
          yield* Deferred.succeed(begun, undefined)
        }
        yield* Fiber.join(fiber)
        yield* Deferred.succeed(asked, yield* clear.peer)
        return undefined as never
      })
      const { port } = yield* Peers.accepting(asking)
      return { port, begun: Deferred.await(begun), asked: Deferred.await(asked) }
    })

  const at = ({ localAddress, localPort }: NodeNet.Socket): string => `${localAddress}:${localPort}`

  it.live("while TLS shook hands is still known by its address", () =>
    Effect.gen(function*() {
      const { asked, begun, port } = yield* askingLate(true)
      const peer = yield* Tcp.dial(port)
      const address = at(peer.socket)
      yield* begun
      yield* peer.reset
      const { local, remote } = yield* asked
      expect([remote, local].map((end) => end && NetAddress.formatSocketAddress(end))).toEqual([
        address,
        `127.0.0.1:${port}`
      ])
    }))

  it.live("when TLS was there is still known by its address, and by what TLS has agreed on", () =>
    Effect.gen(function*() {
      const { asked, begun, port } = yield* askingLate(false)
      const peer = yield* Tcp.dial(port)
      const address = at(peer.socket)
      const within = NodeTls.connect({ socket: peer.socket, servername: "localhost", ca: Certificates.root })
      within.on("error", () => {})
      yield* begun
      yield* peer.reset
      const { local, remote, tls } = yield* asked
      expect([remote, local].map((end) => end && NetAddress.formatSocketAddress(end))).toEqual([
        address,
        `127.0.0.1:${port}`
      ])
      expect(tls).toMatchObject({ version: "TLSv1.3", servername: "localhost" })
    }))
})

describe("a peer that begins to shake hands once more", () => {
  it.live("is not let, for who it is was said already", () =>
    Effect.gen(function*() {
      const handshake = Effect.gen(function*() {
        const transport = yield* Transport.framed(Codec.lines()).pipe(
          Tls.server({ certificate: Certificates.server, maxVersion: "TLSv1.2" })
        )
        yield* transport.receive
        return yield* transport.receive
      }).pipe(Handshake.step("go on"))
      const { outcome, port } = yield* Peers.accepting(Effect.as(handshake, undefined as never))
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const socket = NodeTls.connect({ host: "127.0.0.1", port, servername: "localhost", ca: Certificates.root })
          socket.on("error", () => {})
          socket.on("secureConnect", () => {
            socket.write("before\n")
            socket.renegotiate({}, () => socket.write("after\n"))
          })
          return socket
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      expect(yield* Fiber.join(outcome)).toMatchObject(failed("protocol", "peer", "go on"))
    }))
})

Programs.describeWith(["openssl"], "with openssl as the peer", () => {
  const sClient = (port: number, ...args: ReadonlyArray<string>) =>
    Programs.run("openssl", [
      "s_client",
      "-connect",
      `127.0.0.1:${port}`,
      "-servername",
      "localhost",
      "-CAfile",
      Certificates.rootFile,
      "-verify_return_error",
      "-quiet",
      ...args
    ], { input: "You ready?\n" })

  for (const [flag, version] of [["-tls1_2", "TLSv1.2"], ["-tls1_3", "TLSv1.3"]]) {
    it.live(`s_client speaks ${version} with our server, and each knows the other`, () =>
      Effect.gen(function*() {
        const { outcome, port } = yield* Peers.server({ ...asksFor, alpn: ["line"] })
        const { certFile, keyFile } = Certificates.client
        const ran = yield* sClient(
          port,
          flag,
          "-alpn",
          "other,line",
          "-cert",
          certFile,
          "-cert_chain",
          certFile,
          "-key",
          keyFile
        )
        expect(ran).toMatchObject({ stdout: "Bring it!\n" })
        expect(yield* Fiber.join(outcome)).toMatchObject({
          tls: {
            version,
            alpn: "line",
            servername: "localhost",
            verified: true,
            certificate: { subject: "CN=cert_user" }
          }
        })
      }))

    it.live(`our client speaks ${version} with s_server, and each knows the other`, () =>
      Effect.gen(function*() {
        const server = yield* Programs.opensslServer({
          certificate: Certificates.server,
          args: [
            flag,
            "-alpn",
            "line",
            "-Verify",
            "1",
            "-verify_return_error",
            "-CAfile",
            Certificates.rootFile,
            "-rev"
          ]
        })
        const reversed = Transport.framed(Codec.lines()).pipe(
          Handshake.send("olleH"),
          Handshake.expect("Hello"),
          Tls.client({
            servername: "localhost",
            ca: Certificates.root,
            certificate: Certificates.client,
            alpn: ["line"]
          })
        )
        const socket = yield* Net.socket({ host: "127.0.0.1", port: server.port })
        expect(yield* Peers.ending(reversed, socket)).toMatchObject({ tls: { version, alpn: "line", verified: true } })
      }))

    // It says what is wrong, where Node does not.
    it.live(`s_client tells our server with ${version} that its certificate has expired`, () =>
      Effect.gen(function*() {
        const { outcome, port } = yield* Peers.server({ certificate: Certificates.expired })
        yield* sClient(port, flag)
        expect(yield* Fiber.join(outcome)).toMatchObject(failed("expired", "local"))
      }))

    it.live(`s_client tells our server with ${version} that its authority is unknown`, () =>
      Effect.gen(function*() {
        const { outcome, port } = yield* Peers.server({ certificate: Certificates.unknownAuthority })
        yield* sClient(port, flag)
        expect(yield* Fiber.join(outcome)).toMatchObject(failed("unknown-authority", "local"))
      }))

    for (
      const [what, certificate] of [
        ["has expired", Certificates.clientExpired],
        ["is of an unknown authority", Certificates.clientUnknownAuthority]
      ] as const
    ) {
      it.live(`s_server tells our client with ${version} that its certificate ${what}`, () =>
        Effect.gen(function*() {
          const { port } = yield* Programs.opensslServer({
            certificate: Certificates.server,
            args: [flag, "-Verify", "1", "-verify_return_error", "-CAfile", Certificates.rootFile, "-rev"]
          })
          const outcome = yield* Peers.client(port, { certificate })
          // With TLS 1.3 the alert may come a little later than the handshake's end.
          const step = version === "TLSv1.2" ? "start TLS" : expect.stringMatching(/^start TLS$|^answer$/)
          expect(outcome).toMatchObject(failed("certificate-refused", "local", step))
        }))
    }
  }
})
