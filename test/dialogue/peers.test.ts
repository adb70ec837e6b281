/**
 * Dialogues against programs that nobody here wrote, in both roles.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import { mkdtempSync, writeFileSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SMTPServer } from "smtp-server"
import type * as HandshakeError from "../../src/HandshakeError.ts"
import * as Net from "../../src/node/Net.ts"
import * as Server from "../../src/Server.ts"
import type * as Transport from "../../src/Transport.ts"
import * as Certificates from "../support/certificates/index.ts"
import * as Peers from "../support/peers.ts"
import * as Mqtt from "./shapes/mqtt.ts"
import * as Smtp from "./shapes/smtp.ts"
import * as Socks from "./shapes/socks5.ts"

/** How a client ends that dials this port. */
const dial = <T>(port: number, client: Effect.Effect<T, HandshakeError.HandshakeError, Socket.Socket | Scope.Scope>) =>
  Effect.scoped(Effect.as(client, "ready")).pipe(
    Effect.provideServiceEffect(Socket.Socket, Net.socket({ host: "127.0.0.1", port })),
    Effect.catchTag("HandshakeError", ({ reason, step }) => Effect.succeed({ step, reason }))
  )

/** Listens, and tells what is done with the first connection that is ready. */
const listening = Effect.fnUntraced(function*<In, Out, A>(
  handshake: Effect.Effect<Transport.Transport<In, Out>, HandshakeError.HandshakeError, Socket.Socket | Scope.Scope>,
  serve: (transport: Transport.Transport<In, Out>) => Effect.Effect<A, unknown>
) {
  const served = yield* Deferred.make<A, unknown>()
  const { address } = yield* Effect.provideServiceEffect(
    Server.make({ handshake, serve: (transport) => Deferred.complete(served, serve(transport)) }),
    SocketServer.SocketServer,
    Net.makeServer({ host: "127.0.0.1", port: 0 })
  )
  if (!("port" in address)) return yield* Effect.die("it listens on a port")
  return { port: address.port, served: Deferred.await(served) }
})

/** Nodemailer's server, on a free port. */
const smtpServer = (options: ConstructorParameters<typeof SMTPServer>[0]) =>
  Effect.acquireRelease(
    Effect.callback<SMTPServer>((resume) => {
      const { cert, key } = Certificates.server
      const server = new SMTPServer({
        disableReverseLookup: true,
        cert: String(cert),
        key: String(Redacted.value(key)),
        ...options
      })
      // Whoever gives up is nobody's trouble.
      server.on("error", () => {})
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  ).pipe(Effect.map(({ server }) => ({ port: (server.address() as AddressInfo).port })))

/** A folder with a file in it, which goes with the server that it is for. */
const folderWith = (name: string, text: string): string => {
  const folder = mkdtempSync(join(tmpdir(), "dialogue-"))
  writeFileSync(join(folder, name), text, { mode: 0o644 })
  return folder
}

Peers.describeWith(["microsocks"], "SOCKS5: microsocks", () => {
  it.live("lets in who knows the password, and nobody else; and tells what it cannot reach", () =>
    Effect.gen(function*() {
      const proxy = yield* Peers.serverOn(
        "microsocks",
        (port) => ["-i", "127.0.0.1", "-p", `${port}`, "-u", "ann", "-P", "pw"]
      )
      const nobody = yield* Peers.freePort
      const there = { host: Uint8Array.of(127, 0, 0, 1), port: proxy.port }
      expect(yield* dial(proxy.port, Socks.client("ann", "pw", there))).toBe("ready")
      expect(yield* dial(proxy.port, Socks.client("ann", "px", there))).toMatchObject({
        step: "verdict",
        reason: { _tag: "Rejected", code: "2", retryable: false }
      })
      expect(yield* dial(proxy.port, Socks.client("ann", "pw", { ...there, port: nobody }))).toMatchObject({
        step: "reply",
        reason: { _tag: "Rejected", code: "5", retryable: true, fields: { code: 5 } }
      })
    }))
})

Peers.describeWith(["curl"], "SOCKS5: curl", () => {
  it.live("gets through with the password, and not with another one", () =>
    Effect.gen(function*() {
      const { port } = yield* listening(Socks.server("ann", "pw"), (transport) =>
        transport.send(new TextEncoder().encode("HTTP/1.0 200 OK\r\n\r\nhello")))
      const curl = (password: string) =>
        Peers.run("curl", ["-sS", "-x", `socks5://ann:${password}@127.0.0.1:${port}`, "http://192.0.2.1/"])
      expect(yield* curl("px")).toMatchObject({ status: 97, stdout: "" })
      expect(yield* curl("pw")).toMatchObject({ status: 0, stdout: "hello" })
    }))
})

Peers.describeWith(["mosquitto", "mosquitto_passwd"], "MQTT: mosquitto", () => {
  it.live("lets in who knows the password, and nobody else", () =>
    Effect.gen(function*() {
      const folder = folderWith("users", "ann:pw\n")
      yield* Peers.run("mosquitto_passwd", ["-U", join(folder, "users")])
      const broker = yield* Peers.serverOn("mosquitto", (port) => {
        writeFileSync(
          join(folder, "conf"),
          `listener ${port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file ${join(folder, "users")}\n`
        )
        return ["-c", join(folder, "conf")]
      }, { remove: [folder] })
      expect(yield* dial(broker.port, Mqtt.client("ann", "pw"))).toBe("ready")
      expect(yield* dial(broker.port, Mqtt.client("ann", "px"))).toMatchObject({
        step: "verdict",
        reason: { _tag: "Rejected", code: "5" }
      })
    }))
})

Peers.describeWith(["mosquitto_pub"], "MQTT: mosquitto_pub", () => {
  it.live("is let in with the password, and told that another one is wrong", () =>
    Effect.gen(function*() {
      const { port, served } = yield* listening(Mqtt.server("ann", "pw"), (transport) => transport.receive)
      const publish = (password: string) =>
        Peers.run(
          "mosquitto_pub",
          `-h 127.0.0.1 -p ${port} -i pub -u ann -P ${password} -t door -m open -V mqttv311`.split(" ")
        )
      expect((yield* publish("px")).stderr).toContain("not authorised")
      yield* publish("pw")
      // PUBLISH, at most once (MQTT 3.1.1, 3.3)
      expect(Buffer.from(yield* served).toString("latin1")).toMatch(/^0\n\0\u0004dooropen/)
    }))
})

describe("SMTP", () => {
  const tls = { role: "server", certificate: Certificates.server } as const

  it.live("smtp-server: lets in who knows the password, behind STARTTLS and in clear, and nobody else", () =>
    Effect.gen(function*() {
      const { port } = yield* smtpServer({
        onAuth: ({ password, username }, _session, done) =>
          username === "ann" && password === "pw" ? done(null, { user: "ann" }) : done(new Error("no such login")),
        allowInsecureAuth: true
      })
      const inTls = { role: "client", servername: "localhost", ca: Certificates.root } as const
      expect(yield* dial(port, Smtp.client("ann", "pw", inTls))).toBe("ready")
      expect(yield* dial(port, Smtp.client("ann", "pw", undefined))).toBe("ready")
      expect(yield* dial(port, Smtp.client("ann", "px", inTls))).toMatchObject({
        step: "verdict",
        reason: { _tag: "Rejected", code: "535", retryable: false, fields: { text: "no such login" } }
      })
    }))

  it.live("smtp-server: what it says besides is told at its state", () =>
    Effect.gen(function*() {
      // It takes logins behind STARTTLS only.
      const { port } = yield* smtpServer({
        authOptional: false,
        onAuth: (_auth, _session, done) => done(null, { user: "ann" })
      })
      expect(yield* dial(port, Smtp.client("ann", "pw", undefined))).toMatchObject({
        step: "verdict",
        reason: { _tag: "InvalidGreeting" }
      })
    }))

  Peers.describeWith(["curl"], "curl", () => {
    const curl = (port: number, password: string, ...args: ReadonlyArray<string>) =>
      Peers.run("curl", [
        ...`-sS --sasl-ir --user ann:${password} --mail-from ann@here.example --mail-rcpt bob@there.example`.split(" "),
        ...args,
        ...`--upload-file - smtp://127.0.0.1:${port}/here.example`.split(" ")
      ], { input: "Subject: hello\r\n\r\nhello\r\n" })

    it.live("logs in behind STARTTLS, and in clear", () =>
      Effect.gen(function*() {
        for (const args of [["--ssl-reqd", "--insecure"], []]) {
          const { port, served } = yield* listening(Smtp.server("ann", "pw", tls), (transport) =>
            Effect.tap(transport.receive, () => transport.send("421 closing")))
          yield* curl(port, "pw", ...args)
          expect(yield* served).toMatch(/^MAIL FROM:<ann@here.example>/)
        }
      }))

    it.live("is told that the password is wrong", () =>
      Effect.gen(function*() {
        const { port } = yield* listening(Smtp.server("ann", "pw", tls), () => Effect.void)
        expect(yield* curl(port, "px")).toMatchObject({ status: 67 })
      }))
  })
})
