/**
 * What Node's errors of TLS mean: those that no peer of the other tests brings about, and what must not be mixed up.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { Duplex } from "node:stream"
import * as NodeTls from "../../../src/internal/node/nodeTls.ts"
import * as Alerts from "../../../src/protocols/tls/alerts.ts"
import * as Certificates from "../../support/certificates/index.ts"
import * as Tcp from "../../support/tcp.ts"

const before = { secure: false, sawCertificate: false, hasCertificate: false }
const behind = { secure: true, sawCertificate: true, hasCertificate: false }

type Progress = typeof before

// The same options for all, so that what is made of them is made once.
const localhost = { role: "client", servername: "localhost" } as const

const means = (code: string, role: "client" | "server", progress: Progress = before) => {
  const failure = NodeTls.failureOf(Object.assign(new Error("what OpenSSL says"), { code }), { ...progress, role })
  return failure === undefined ? undefined : `${failure.kind}, ${failure.fault}`
}

it("a message that this side cannot make is its own fault, where OpenSSL only finds an internal error", () => {
  const of = (where: string) =>
    NodeTls.failureOf(
      Object.assign(new Error(`error:0A0C0103:SSL routines:${where}:internal error:extensions.c:878:`), {
        code: "ERR_SSL_INTERNAL_ERROR",
        reason: "internal error"
      }),
      { ...before, role: "server" }
    )
  expect(of("tls_construct_certificate_authorities")).toMatchObject({ kind: "bad-configuration", fault: "local" })
  expect(of("tls_process_client_hello")).toMatchObject({ kind: "protocol", fault: "peer" })
})

describe("an error", () => {
  const cases: ReadonlyArray<readonly [code: string, role: "client" | "server", progress: Progress, means: string]> = [
    // A certificate that was looked at here.
    ["CERT_REVOKED", "client", before, "revoked, peer"],
    ["CERT_SIGNATURE_FAILURE", "client", before, "bad-certificate, peer"],
    ["UNSPECIFIED", "client", before, "bad-certificate, peer"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "client", before, "unknown-authority, peer"],
    // The peer's alerts about that of this side.
    ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", "server", before, "expired, local"],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "server", before, "unknown-authority, local"],
    ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED", "server", before, "revoked, local"],
    ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN", "server", behind, "bad-certificate, local"],
    ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", "client", behind, "certificate-refused, local"],
    ["ERR_SSL_TLSV1_ALERT_ACCESS_DENIED", "client", behind, "certificate-refused, local"],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "client", behind, "certificate-required, local"],
    // TLS 1.2 says no more than this, and what it means depends on whether a certificate was shown before.
    [
      "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE",
      "client",
      { secure: false, sawCertificate: true, hasCertificate: false },
      "certificate-required, local"
    ],
    ["ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", "client", before, "no-shared-cipher, local"],
    ["ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", "server", before, "no-shared-cipher, peer"],
    ["ERR_SSL_TLSV1_ALERT_INSUFFICIENT_SECURITY", "client", before, "no-shared-cipher, local"],
    ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "client", before, "no-shared-version, local"],
    ["ERR_SSL_TLSV1_ALERT_UNRECOGNIZED_NAME", "client", before, "unknown-name, local"],
    ["ERR_SSL_TLSV1_UNRECOGNIZED_NAME", "client", before, "unknown-name, local"],
    // Records that make no sense: before there are keys it is no TLS, with them they were altered.
    ["ERR_SSL_WRONG_VERSION_NUMBER", "client", before, "not-tls, peer"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "client", behind, "bad-record, peer"],
    ["ERR_SSL_BAD_RECORD_TYPE", "server", before, "not-tls, peer"],
    ["ERR_SSL_BAD_RECORD_TYPE", "server", behind, "bad-record, peer"],
    ["ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "client", behind, "bad-record, peer"],
    ["ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "client", before, "bad-record, peer"],
    ["ERR_SSL_SSL/TLS_ALERT_BAD_RECORD_MAC", "server", behind, "bad-record, local"],
    // Set up in a way that cannot work.
    ["ERR_SSL_NO_PROTOCOLS_AVAILABLE", "client", before, "bad-configuration, local"],
    ["ERR_SSL_NO_CIPHERS_AVAILABLE", "client", before, "bad-configuration, local"],
    ["ERR_SSL_UNEXPECTED_EOF_WHILE_READING", "server", before, "cut, peer"],
    // Anything else has the words of OpenSSL.
    ["ERR_SSL_SOMETHING_NEW", "server", before, "protocol, peer"],
    ["ERR_OSSL_ASN1_WRONG_TAG", "client", before, "protocol, peer"],
    ["ERR_SSL_LENGTH_MISMATCH", "client", before, "bad-record, peer"],
    ["ERR_SSL_EXCESSIVE_MESSAGE_SIZE", "client", before, "bad-certificate, peer"],
    ["ERR_SSL_DIGEST_CHECK_FAILED", "server", before, "bad-record, peer"],
    // Found here, and not told by the peer.
    ["ERR_SSL_UNSUPPORTED_EXTENSION", "client", before, "protocol, peer"],
    ["ERR_TLS_DH_PARAM_SIZE", "client", before, "no-shared-cipher, peer"]
  ]

  for (const [code, role, progress, meaning] of cases) {
    const when = progress.secure ? "behind the handshake" : progress.sawCertificate ? "once it saw one" : "before it"
    it(`${code} of a ${role}, ${when}, means ${meaning}`, () => {
      expect(means(code, role, progress)).toBe(meaning)
    })
  }

  for (const code of ["ECONNRESET", "EPIPE", "ERR_STREAM_DESTROYED"]) {
    it(`${code} is none of TLS`, () => {
      expect(means(code, "client")).toBeUndefined()
    })
  }

  it("without a code is none of TLS", () => {
    const ofSocket = Object.assign(new Error("nothing"), { reason: { _tag: "SocketReadError" } })
    expect(NodeTls.failureOf(ofSocket as never, { ...before, role: "client" })).toBeUndefined()
    expect(NodeTls.failureOf(new Error("nothing"), { ...before, role: "client" })).toBeUndefined()
  })

  it("is told on one line, within bounds, and without Node's advice", () => {
    const tell = (message: string) =>
      NodeTls.failureOf(Object.assign(new Error(message), { code: "ERR_TLS_CERT_ALTNAME_INVALID" }), {
        ...before,
        role: "client"
      })!.detail
    const names = tell(`DNS:\u001b[2J\n${"x".repeat(10_000)}`)
    expect(names.length).toBeLessThanOrEqual(300)
    expect(names).not.toMatch(/[\u001b\n]/)
    expect(tell("nobody knows it; if the root CA is installed locally, try running Node.js with --use-system-ca")).toBe(
      "nobody knows it"
    )
  })
})

describe("an alert", () => {
  const told = (description: number, role: "client" | "server", progress: Partial<Progress> = {}) => {
    const { fault, kind } = Alerts.failureOf(description, { ...before, role, ...progress })
    return `${kind}, ${fault}`
  }

  // RFC 8446 6, RFC 5246 7.2.2, and SSL 3.0 for what its clients say.
  const alerts: ReadonlyArray<readonly [description: number, toClient: string, toServer: string]> = [
    [10, "protocol, local", "protocol, local"],
    [20, "bad-record, local", "bad-record, local"],
    [21, "bad-record, local", "bad-record, local"],
    [22, "bad-record, local", "bad-record, local"],
    [30, "bad-record, local", "bad-record, local"],
    [40, "no-shared-cipher, local", "no-shared-cipher, peer"],
    [41, "protocol, local", "certificate-required, peer"],
    [42, "certificate-required, local", "bad-certificate, local"],
    [43, "certificate-refused, local", "bad-certificate, local"],
    [44, "certificate-refused, local", "revoked, local"],
    [45, "certificate-refused, local", "expired, local"],
    [46, "certificate-refused, local", "bad-certificate, local"],
    [47, "protocol, local", "protocol, local"],
    [48, "certificate-refused, local", "unknown-authority, local"],
    [49, "certificate-refused, local", "bad-certificate, local"],
    [50, "bad-record, local", "bad-record, local"],
    [51, "bad-record, local", "bad-record, local"],
    [60, "no-shared-cipher, local", "no-shared-cipher, peer"],
    [70, "no-shared-version, local", "no-shared-version, peer"],
    [71, "no-shared-cipher, local", "no-shared-cipher, peer"],
    [80, "protocol, peer", "protocol, peer"],
    [86, "protocol, local", "protocol, local"],
    [90, "cut, peer", "cut, peer"],
    [100, "protocol, local", "protocol, local"],
    [109, "protocol, local", "protocol, local"],
    [110, "protocol, local", "protocol, local"],
    [111, "certificate-refused, local", "protocol, local"],
    [112, "unknown-name, local", "unknown-name, peer"],
    [113, "certificate-refused, local", "bad-certificate, local"],
    [114, "certificate-refused, local", "protocol, local"],
    [115, "protocol, local", "protocol, local"],
    [116, "certificate-required, local", "protocol, local"],
    [120, "no-shared-alpn, local", "no-shared-alpn, peer"],
    [99, "protocol, peer", "protocol, peer"]
  ]
  it.each(alerts)("%i means to a client: %s; to a server: %s", (description, toClient, toServer) => {
    expect([told(description, "client"), told(description, "server")]).toEqual([toClient, toServer])
  })

  it("does not tell a client that it needs a certificate when it has shown one", () => {
    for (const [description, progress] of [[116, before], [116, behind], [42, before], [40, behind]] as const) {
      expect(told(description, "client", { ...progress, hasCertificate: true })).toBe("certificate-refused, local")
      expect(told(description, "client", progress)).toBe("certificate-required, local")
    }
  })

  it.live("of a server is known by its number, whatever OpenSSL calls it", () =>
    Effect.gen(function*() {
      for (const [description, toClient] of alerts) {
        const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() })
        const failing = Effect.flip(NodeTls.secure(stream, localhost))
        const fiber = yield* Effect.forkChild(failing, { startImmediately: true })
        stream.push(Uint8Array.of(21, 3, 3, 0, 2, 2, description))
        // Of one without a name Node says nothing, and the length of what has come says what it was.
        stream.push(null)
        Object.assign(stream, { bytesRead: 7 })
        const { detail, fault, kind } = yield* Fiber.join(fiber)
        expect([description, `${kind}, ${fault}`]).toEqual([description, toClient])
        expect(detail).toContain(description === 99 ? "no standard has a name" : `(alert ${description})`)
      }
    }))

  it.live("is nothing that is shorter or longer", () =>
    Effect.gen(function*() {
      for (const bytesRead of [0, 6, 8]) {
        const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() })
        const failing = Effect.flip(NodeTls.secure(stream, localhost))
        const fiber = yield* Effect.forkChild(failing, { startImmediately: true })
        Object.assign(stream, { bytesRead })
        stream.push(null)
        expect(yield* Fiber.join(fiber)).toMatchObject({ kind: "cut", fault: "peer" })
      }
    }))
})

describe("the certificate for a name", () => {
  const options = {
    role: "server",
    certificate: Certificates.server,
    names: { "a.test": Certificates.other, "*.a.test": Certificates.wild }
  } as const

  for (
    const [name, certificate] of [
      ["a.test", Certificates.other],
      ["A.TEST", Certificates.other],
      ["b.a.test", Certificates.wild],
      ["c.b.a.test", undefined],
      [".a.test", undefined],
      ["toString", undefined],
      ["", undefined]
    ] as const
  ) {
    it(`"${name}" is ${certificate === undefined ? "none" : "the one that is named so"}`, () => {
      expect(NodeTls.certificateFor(options, name)).toBe(certificate)
    })
  }
})

describe("a stream that shakes hands", () => {
  it.live("asks for a server by its name as TLS has it, and not for an address", () =>
    Effect.gen(function*() {
      for (
        const [servername, asked] of [
          ["LocalHost.", "\0\x09localhost\0"],
          ["bücher.test", "\0\x12xn--bcher-kva.test\0"],
          ["[::1]", undefined],
          ["192.0.2.1", undefined]
        ] as const
      ) {
        const said = yield* Deferred.make<string>()
        const stream = new Duplex({
          read: () => {},
          write: (chunk: Buffer, _encoding, done) => {
            Deferred.doneUnsafe(said, Exit.succeed(chunk.toString("latin1")))
            done()
          }
        })
        const fiber = yield* Effect.forkChild(NodeTls.secure(stream, { role: "client", servername }), {
          startImmediately: true
        })
        const hello = yield* Deferred.await(said)
        yield* Fiber.interrupt(fiber)
        // RFC 6066 3: what kind of name it is, its length, and it.
        if (asked !== undefined) expect(hello).toContain(asked)
        else expect(hello).not.toContain(servername.replace(/[[\]]/g, ""))
      }
    }))

  it.live("with a server whose name is none says nothing to it", () =>
    Effect.gen(function*() {
      for (const servername of ["", "evil.test/.db.example.test", "evil.test#x", "evil%2etest", "127.1", "*.test"]) {
        for (const verify of ["full", "none"] as const) {
          let said = 0
          const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done(void said++) })
          const failure = yield* Effect.flip(NodeTls.secure(stream, { role: "client", servername, verify }))
          for (let i = 0; i < 3; i++) yield* Tcp.turn
          expect([servername, failure]).toMatchObject([servername, { kind: "bad-configuration", fault: "local" }])
          expect([servername, said, stream.destroyed]).toEqual([servername, 0, true])
        }
      }
    }))

  /** A stream that takes everything and says nothing of its own. */
  const silent = () => {
    let destroyed = 0
    const stream = new Duplex({
      read: () => {},
      write: (_chunk, _encoding, done) => done(),
      destroy: (error, done) => {
        destroyed++
        done(error)
      }
    })
    return { stream, destroyed: () => destroyed }
  }

  for (
    const options of [
      { role: "client", servername: "localhost" },
      { role: "server", certificate: Certificates.server }
    ] as const
  ) {
    it.live(`as a ${options.role} is destroyed once when it is interrupted`, () =>
      Effect.gen(function*() {
        const { destroyed, stream } = silent()
        const fiber = yield* Effect.forkChild(NodeTls.secure(stream, options), { startImmediately: true })
        yield* Tcp.turn
        yield* Fiber.interrupt(fiber)
        for (let i = 0; i < 5; i++) yield* Tcp.turn
        expect(destroyed()).toBe(1)
        expect(Exit.hasInterrupts(yield* Fiber.await(fiber))).toBe(true)
      }))

    it.live(`as a ${options.role} tells its own error as a cut by the network`, () =>
      Effect.gen(function*() {
        const { stream } = silent()
        const fiber = yield* Effect.forkChild(Effect.flip(NodeTls.secure(stream, options)), { startImmediately: true })
        yield* Tcp.turn
        stream.destroy(new Error("the cable"))
        expect(yield* Fiber.join(fiber)).toMatchObject({ kind: "cut", fault: "network", detail: "the cable" })
      }))

    it.live(`as a ${options.role} whose peer ends tells that as a cut by the peer`, () =>
      Effect.gen(function*() {
        const { stream } = silent()
        const fiber = yield* Effect.forkChild(Effect.flip(NodeTls.secure(stream, options)), { startImmediately: true })
        yield* Tcp.turn
        stream.push(null)
        expect(yield* Fiber.join(fiber)).toMatchObject({ kind: "cut", fault: "peer" })
      }))
  }
})
