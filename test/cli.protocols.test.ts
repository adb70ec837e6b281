import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHash, createHmac, createPrivateKey, pbkdf2Sync, randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import * as Http2Client from "node:http2"
import { join } from "node:path"
import * as NodeTls from "node:tls"
import * as Pg from "pg"
import postgresJs from "postgres"
import { refusalWait, someNames } from "../src/cli/probing.ts"
import * as Transcript from "../src/Transcript.ts"
import * as Certificates from "./support/certificates/index.ts"
import * as Cli from "./support/cli.ts"
import { directory } from "./support/directory.ts"
import * as Peers from "./support/peers.ts"
import * as Tcp from "./support/tcp.ts"

const { root, rootFile, server: certificate } = Certificates

it("probe shows so many names of a certificate that they can be read", () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `DNS:${i}.test`).join(", ")
  expect(someNames(names(20))).toBe(names(20))
  expect(someNames(names(2000))).toBe(`${names(20)} and 1980 more`)
})

it.live("probe asks for the right port, and for STARTTLS, where what answers is no TLS", () =>
  Effect.gen(function*() {
    const { port } = yield* Tcp.listen((peer) => Effect.runFork(peer.say("220 mail.example ready\r\n")))
    const { code, stdout } = yield* probe(`tls://127.0.0.1:${port}`)
    expect({ code, stdout }).toEqual({
      code: 3,
      stdout: expect.stringMatching(/hint: is it the right port\?.*STARTTLS/)
    })
  }))

it.live("serve tls-line takes lines of --max-length, and none that is longer", () =>
  Effect.gen(function*() {
    const { port } = yield* serve("tls-line", ...withTls, "--max-length", "100")
    const { peer } = yield* dialTls(port)
    yield* peer.say(`You ready?\n${"a".repeat(100)}\n`)
    yield* peer.hears(`Bring it!\n${"a".repeat(100)}\n`)
    yield* peer.say(`${"b".repeat(101)}\n`)
    expect(yield* peer.ended).not.toContain("b")
  }))

it.live("serve ends who leaves what is written to it for --write-timeout, and without it nobody", () =>
  Effect.gen(function*() {
    const deaf = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
      const { port } = yield* serve("line", ...args)
      const peer = yield* Tcp.dial(port)
      yield* Effect.andThen(peer.say("You ready?\n"), peer.hears("Bring it!\n"))
      yield* peer.deafen
      // More than there is room for on the way back.
      const line = `${"a".repeat(60_000)}\n`
      yield* Effect.forkScoped(Effect.forEach(Array.from({ length: 400 }), () => peer.say(line), { discard: true }))
      return peer
    })
    const patient = yield* deaf()
    const impatient = yield* deaf("--write-timeout", "300ms")
    yield* impatient.over
    expect(patient.isOpen()).toBe(true)
  }))

it("probe waits for a refusal as long as it took to shake hands, and never until its time is out", () => {
  const wait = (took: number, timeout: number) =>
    Duration.toMillis(refusalWait(Duration.millis(took), Duration.millis(timeout)))
  expect([wait(3, 10_000), wait(200, 10_000), wait(720, 10_000)]).toEqual([203, 400, 920])
  expect([wait(3, 303), wait(700, 1000), wait(1000, 1000)]).toEqual([150, 150, 0])
})

const withTls = ["--tls-cert", certificate.certFile, "--tls-key", certificate.keyFile]
const byRoot = ["--tls-ca", rootFile]
const ann = ["--user", "ann:correct horse"]

/** A server of the command on a free port, in this process. */
const serve = (what: string, ...args: ReadonlyArray<string>) => Cli.serveHere(what, "--port", "0", ...args)

/** In a process of its own, for signals. */
const serveApart = (what: string, ...args: ReadonlyArray<string>) => Cli.serveIn({}, what, "--port", "0", ...args)

const ran = Cli.here

const ranIn = Cli.apartIn

const probe = (...args: ReadonlyArray<string>) => ran("probe", ...args)

const probed = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const { code, stderr, stdout } = yield* probe(...args, "--json")
  expect(stderr).toBe("")
  return { code, ...JSON.parse(stdout) }
})

const file = (name: string, content: string) =>
  Effect.map(directory, (directory) => {
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  })

/** What PostgreSQL stores of a password (RFC 5802 3, and `pg_authid` in its manual). */
const scram = (password: string): string => {
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password, salt, 4096, 32, "sha256")
  const hmac = (text: string) => createHmac("sha256", salted).update(text).digest()
  const storedKey = createHash("sha256").update(hmac("Client Key")).digest("base64")
  return `SCRAM-SHA-256$4096:${salt.toString("base64")}$${storedKey}:${hmac("Server Key").toString("base64")}`
}

interface Login {
  readonly port: number
  readonly user?: string
  readonly password?: string
  readonly host?: string
  readonly ssl?: Pg.ClientConfig["ssl"]
}

/** Logs in with `pg`; what the server says then, and why it ends, can be waited for. */
const login = ({ host = "127.0.0.1", password = "correct horse", user = "ann", ...config }: Login) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const client = new Pg.Client({ host, user, password, ...config })
        const ended = new Promise<Error>((resolve) => client.on("error", resolve))
        await client.connect()
        return { client, ended: Effect.promise(() => ended) }
      },
      catch: (error) => error as Pg.DatabaseError
    }),
    ({ client }) => Effect.promise(() => client.end())
  )

const one = (client: Pg.Client) =>
  Effect.promise(async () => (await client.query<{ readonly one: number }>("select 1 as one")).rows)

/** Begins HTTP/2 with `node:http2`, and waits for its GOAWAY. */
const http2 = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const session = Http2Client.connect(url, { ca: root })
      const goAway = new Promise<{ readonly code: number; readonly why: string }>((resolve) =>
        session.on("goaway", (code, _, data) => resolve({ code, why: data?.toString() ?? "" }))
      )
      const begun = new Promise<void>((resolve, reject) => {
        session.on("remoteSettings", () => resolve())
        session.on("error", reject)
      })
      begun.catch(() => {})
      return { session, begun: Effect.promise(() => begun), goAway: Effect.promise(() => goAway) }
    }),
    ({ session }) => Effect.sync(() => session.destroy())
  )

/** A request of a session. */
const get = (session: Http2Client.ClientHttp2Session) =>
  Effect.promise(() =>
    new Promise<string>((resolve, reject) => {
      const request = session.request({ ":path": "/" })
      let said = ""
      request.on("response", (headers) => {
        said = `${headers[":status"]} `
      })
      request.on("data", (chunk) => said += String(chunk))
      request.on("end", () => resolve(said))
      request.on("error", reject)
    })
  )

/** A peer on the other side of TLS. */
const dialTls = (port: number, options: NodeTls.ConnectionOptions = {}) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly peer: Tcp.Peer; readonly socket: NodeTls.TLSSocket }, Error>((resume) => {
      const socket = NodeTls.connect({ host: "127.0.0.1", port, ca: root, ...options })
      const peer = Tcp.peerOf(socket)
      socket.once("secureConnect", () => resume(Effect.succeed({ peer, socket })))
      socket.once("error", (error) => resume(Effect.fail(error)))
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

// Most of the time goes into starting processes.
describe.concurrent("serve postgres", () => {
  it.live("logs in who --user names, in clear and over TLS, and answers", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("postgres", ...ann, ...withTls)
      const clear = yield* login({ port })
      expect(yield* one(clear.client)).toEqual([{ one: 1 }])
      const tls = yield* login({ port, ssl: { ca: root } })
      expect(yield* one(tls.client)).toEqual([{ one: 1 }])
      const sql = postgresJs({ host: "127.0.0.1", port, user: "ann", password: "correct horse", ssl: { ca: root } })
      expect([...yield* Effect.promise(() => sql`select 1 as one`)]).toEqual([{ one: 1 }])
      yield* Effect.promise(() => sql.end())
      const refused = yield* Effect.flip(login({ port, password: "wrong" }))
      expect(refused).toMatchObject({ severity: "FATAL", code: "28P01" })
    }))

  it.live("takes the password of --user from PGPASSWORD, and listens on an IPv6 address", () =>
    Effect.gen(function*() {
      const args = ["postgres", "--port", "0", "--host", "::1", "--user", "ann"]
      const { port } = yield* Cli.serveIn({ PGPASSWORD: "correct horse" }, ...args)
      expect(yield* one((yield* login({ port, host: "::1" })).client)).toEqual([{ one: 1 }])
      const { code, ...report } = yield* probed(`postgres://ann:correct%20horse@[::1]:${port}?sslmode=disable`)
      expect({ code, peer: report.peer }).toEqual({ code: 0, peer: `[::1]:${port}` })
    }))

  it.live("takes users from a file: comments, empty lines, CRLF, colons, and what PostgreSQL stores; again on SIGHUP", () =>
    Effect.gen(function*() {
      const users = yield* file("users", `# people\r\n\r\nann:correct:horse\r\nbob:${scram("stored")}\r\ncy:no newline`)
      const server = yield* serveApart("postgres", "--users", users)
      const { port } = server
      for (const [user, password] of [["ann", "correct:horse"], ["bob", "stored"], ["cy", "no newline"]]) {
        expect(yield* one((yield* login({ port, user, password })).client)).toEqual([{ one: 1 }])
      }
      const before = (yield* login({ port, user: "ann", password: "correct:horse" })).client
      expect(yield* Effect.flip(login({ port, user: "# people", password: "x" }))).toMatchObject({ code: "28P01" })
      writeFileSync(users, "dee:new")
      yield* server.kill("SIGHUP")
      yield* server.says("users read again")
      writeFileSync(users, "no password")
      yield* server.kill("SIGHUP")
      yield* server.complains("the users stay who they were\n")
      expect(yield* one((yield* login({ port, user: "dee", password: "new" })).client)).toEqual([{ one: 1 }])
      expect(yield* Effect.flip(login({ port, user: "ann", password: "correct:horse" }))).toMatchObject({
        code: "28P01"
      })
      expect(yield* one(before)).toEqual([{ one: 1 }])
    }))

  it.live("takes MD5 hashes with --auth md5", () =>
    Effect.gen(function*() {
      const hash = createHash("md5").update("correct horseann").digest("hex")
      const users = yield* file("users", `ann:md5${hash}\n`)
      const { port } = yield* serve("postgres", "--users", users, "--auth", "md5")
      expect(yield* one((yield* login({ port })).client)).toEqual([{ one: 1 }])
      expect(yield* Effect.flip(login({ port, password: "wrong" }))).toMatchObject({ code: "28P01" })
    }))

  it.live("with --require-tls refuses who does not encrypt", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("postgres", ...ann, ...withTls, "--require-tls")
      expect(yield* Effect.flip(login({ port }))).toMatchObject({ code: "28000" })
      expect(yield* one((yield* login({ port, ssl: { ca: root } })).client)).toEqual([{ one: 1 }])
    }))

  it.live("turns away who comes beyond --max-connections with 53300, over TLS too", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("postgres", ...ann, ...withTls, "--max-connections", "1")
      const inside = yield* login({ port })
      expect(yield* Effect.flip(login({ port }))).toMatchObject({ code: "53300" })
      expect(yield* Effect.flip(login({ port, ssl: { ca: root } }))).toMatchObject({ code: "53300" })
      expect(yield* one(inside.client)).toEqual([{ one: 1 }])
    }))

  it.live("ends who is silent at --handshake-timeout, and nobody else", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("postgres", ...ann, "--handshake-timeout", "1500ms")
      const inside = yield* login({ port })
      const silent = yield* Tcp.dial(port)
      const slow = yield* Tcp.dial(port)
      // A StartupMessage of 3.0; the password never comes.
      yield* slow.say(Buffer.from("\0\0\0\x12\0\x03\0\0user\0ann\0\0\0", "latin1"))
      yield* silent.over
      yield* slow.over
      expect(slow.heard()).toContain("C57014\0")
      expect(yield* one(inside.client)).toEqual([{ one: 1 }])
    }))

  it.live("on SIGTERM tells its sessions with 57P01, and exits 0", () =>
    Effect.gen(function*() {
      const server = yield* serveApart("postgres", ...ann)
      const inside = yield* login({ port: server.port })
      yield* server.kill("SIGTERM")
      expect(yield* inside.ended).toMatchObject({ severity: "FATAL", code: "57P01" })
      expect(yield* server.exit).toBe(0)
      expect(server.stderr()).toBe("")
    }))
})

describe.concurrent("serve http2", () => {
  const answer = "200 The handshake is an Effect.\n"

  it.live("answers, turns away beyond --max-connections with GOAWAY, and says it on SIGTERM", () =>
    Effect.gen(function*() {
      const server = yield* serveApart("http2", "--max-connections", "1")
      const url = `http://127.0.0.1:${server.port}`
      const inside = yield* http2(url)
      expect(yield* get(inside.session)).toBe(answer)
      const outside = yield* http2(url)
      expect(yield* outside.goAway).toEqual({ code: 0, why: "at capacity" })
      yield* server.kill("SIGTERM")
      expect(yield* inside.goAway).toMatchObject({ code: 0 })
      expect(yield* server.exit).toBe(0)
      expect(server.stderr()).toBe("")
    }))

  it.live("does the same inside TLS", () =>
    Effect.gen(function*() {
      const server = yield* serveApart("http2", "--max-connections", "1", ...withTls)
      const url = `https://localhost:${server.port}`
      const inside = yield* http2(url)
      expect(yield* get(inside.session)).toBe(answer)
      const outside = yield* http2(url)
      expect(yield* outside.goAway).toEqual({ code: 0, why: "at capacity" })
      yield* server.kill("SIGTERM")
      expect(yield* inside.goAway).toMatchObject({ code: 0 })
      expect(yield* server.exit).toBe(0)
      expect(server.stderr()).toBe("")
    }))

  it.live("inside TLS does not talk to who does not offer h2", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("http2", ...withTls)
      const other = yield* Effect.flip(dialTls(port, { ALPNProtocols: ["http/1.1"] }))
      expect(other).toMatchObject({ code: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL" })
      const none = yield* dialTls(port)
      yield* none.peer.over
      expect(none.peer.heard()).toBe("")
    }))
})

describe.concurrent("serve tls-line", () => {
  it.live("greets and echoes inside TLS, and hears whom it turns away", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("tls-line", ...withTls, "--max-connections", "1")
      const { peer } = yield* dialTls(port)
      yield* peer.say("You ready?\nHello\n")
      yield* peer.hears("Bring it!\nHello\n")
      const outside = yield* dialTls(port)
      expect(yield* outside.peer.ended).toBe("No! Go away!\n")
    }))

  it.live("reads its certificate again on SIGHUP, and keeps the one it has where there is no other", () =>
    Effect.gen(function*() {
      const folder = yield* directory
      const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")]
      const install = (certificate: Certificates.Certificate, key_ = certificate) => {
        writeFileSync(cert, certificate.cert)
        writeFileSync(key, Redacted.value(key_.key))
      }
      const subject = (port: number) =>
        Effect.scoped(Effect.map(dialTls(port), ({ socket }) => socket.getPeerX509Certificate()?.subject))
      install(certificate)
      const server = yield* serveApart("tls-line", "--tls-cert", cert, "--tls-key", key)
      const before = yield* dialTls(server.port)
      yield* before.peer.say("You ready?\n")
      yield* before.peer.hears("Bring it!\n")
      install(Certificates.replacement)
      yield* server.kill("SIGHUP")
      yield* server.says("certificate read again")
      expect(yield* subject(server.port)).toBe("CN=replacement")
      // The key of another one: half of it was written when the signal came.
      install(certificate, Certificates.other)
      yield* server.kill("SIGHUP")
      yield* server.complains("the certificate stays what it was\n")
      expect(server.stderr()).toContain(`${key} is not the key of the certificate in ${cert}`)
      expect(yield* subject(server.port)).toBe("CN=replacement")
      yield* before.peer.say("Hello\n")
      yield* before.peer.hears("Bring it!\nHello\n")
    }))

  it.live("says at its start that its certificate has expired, and uses the ciphers that it is given", () =>
    Effect.gen(function*() {
      const { certFile, keyFile } = Certificates.expired
      const cipher = "TLS_CHACHA20_POLY1305_SHA256"
      const server = yield* serve("tls-line", "--tls-cert", certFile, "--tls-key", keyFile, "--ciphers", cipher)
      expect(server.stderr()).toMatch(/^[^\n]*: the certificate for CN=localhost has expired at 2020-[^\n]*\n$/)
      const { tls } = yield* probed(`tls://127.0.0.1:${server.port}`, "--tls-verify", "none")
      expect(tls).toMatchObject({ cipher })
    }))

  it.live("with --tls-client-ca lets in who shows a certificate, and probe knows why it is not", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("tls-line", ...withTls, "--tls-client-ca", rootFile)
      const url = `tls://127.0.0.1:${port}`
      const { client } = Certificates
      expect((yield* probed(url, ...byRoot, "--tls-cert", client.certFile, "--tls-key", client.keyFile)).code).toBe(0)
      const refused = yield* probe(url, ...byRoot)
      expect(refused.code).toBe(3)
      expect(refused.stdout).toContain("certificate-required")
      expect(refused.stdout).toContain("hint: --tls-cert FILE and --tls-key FILE show a certificate")
      // As far away as the other side of the earth.
      const far = yield* Tcp.delayed(port, 130)
      expect((yield* probe(`tls://127.0.0.1:${far}`, ...byRoot)).stdout).toContain("certificate-required")
    }))
})

describe.concurrent("serve any", () => {
  it.live("speaks each of its protocols on one port, in clear and inside TLS", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("any", ...withTls)
      const host = `127.0.0.1:${port}`
      const urls = [
        [`line://${host}`],
        [`tls://${host}`, ...byRoot],
        [`h2c://${host}`],
        [`h2://${host}`, ...byRoot],
        [`postgres://ann@${host}?sslmode=disable`],
        [`postgres://ann@${host}?sslmode=verify-full`, ...byRoot],
        [`postgres://ann@${host}?sslmode=verify-full&sslnegotiation=direct`, ...byRoot]
      ]
      for (const args of urls) expect([args[0], (yield* probed(...args)).outcome]).toEqual([args[0], "ready"])
    }))

  it.live("says no in the words of each when it has no room", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("any", ...withTls, "--max-connections", "1")
      const inside = yield* Tcp.saying(port, "You ready?\n")
      yield* inside.hears("Bring it!\n")
      const line = yield* Tcp.saying(port, "You ready?\n")
      expect(yield* line.ended).toBe("No! Go away!\n")
      const tls = yield* dialTls(port)
      yield* tls.peer.say("You ready?\n")
      expect(yield* tls.peer.ended).toBe("No! Go away!\n")
      expect(yield* (yield* http2(`http://127.0.0.1:${port}`)).goAway).toEqual({ code: 0, why: "at capacity" })
      expect(yield* (yield* http2(`https://localhost:${port}`)).goAway).toEqual({ code: 0, why: "at capacity" })
      expect(yield* Effect.flip(login({ port }))).toMatchObject({ code: "53300" })
      expect(yield* Effect.flip(login({ port, ssl: { ca: root } }))).toMatchObject({ code: "53300" })
    }))

  it.live("ends who is silent, or speaks none of them, at --handshake-timeout", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("any", "--handshake-timeout", "400ms")
      const start = performance.now()
      const silent = yield* Tcp.dial(port)
      const undecided = yield* Tcp.saying(port, "PRI ")
      yield* silent.over
      yield* undecided.over
      expect(performance.now() - start).toBeLessThan(2000)
    }))
})

describe.concurrent("probe", () => {
  it.live("tells what TLS agreed on, and who the server proved to be", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("http2", ...withTls)
      const { code, negotiated, tls } = yield* probed(`h2://localhost:${port}`, ...byRoot)
      expect(code).toBe(0)
      expect(tls).toMatchObject({
        version: "TLSv1.3",
        alpn: "h2",
        verified: true,
        certificate: { subject: "CN=localhost", names: expect.stringContaining("DNS:localhost") }
      })
      expect(negotiated).toMatchObject({ settings: { maxConcurrentStreams: 100, maxHeaderListSize: "unlimited" } })
      const { stdout } = yield* probe(`tls://localhost:${port}`, ...byRoot, "--alpn", "http/1.1,h2")
      expect(stdout).toContain("\nTLS: TLSv1.3, TLS_AES_256_GCM_SHA384, ALPN h2\ncertificate: CN=localhost, verified\n")
      expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(110)
    }))

  it.live("says what can be done about a certificate that it does not trust", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("tls-line", ...withTls)
      const { code, stdout } = yield* probe(`tls://localhost:${port}`)
      expect(code).toBe(3)
      expect(stdout).toMatch(/step start TLS: TLS failed \(unknown-authority\)[^\n]*\nhint: --tls-ca FILE names/)
      const named = yield* probe(`tls://localhost:${port}`, ...byRoot, "--tls-name", "elsewhere.test")
      expect(named.stdout).toMatch(/\(wrong-name\)[^\n]*\nhint: --tls-name NAME says/)
      expect((yield* probed(`tls://localhost:${port}`, "--tls-verify", "none")).tls).toMatchObject({ verified: false })
    }))

  it.live("takes a password from the URL, a file or PGPASSWORD, in this order", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("postgres", "--user", "ännchen:p@ss/wörd:%")
      const url = (secret: string) => `postgres://%C3%A4nnchen${secret}@127.0.0.1:${port}/shop%20one?sslmode=disable`
      const { code, negotiated } = yield* probed(url(":p%40ss%2Fw%C3%B6rd%3A%25"))
      expect({ code, negotiated }).toMatchObject({
        code: 0,
        negotiated: { user: "ännchen", database: "shop one", authentication: "scram-sha-256", protocolVersion: "3.0" }
      })
      const right = yield* file("password", "p@ss/wörd:%")
      const withNewline = yield* file("password", "p@ss/wörd:%\n")
      const wrong = yield* file("password", "wrong")
      expect((yield* probed(url(""), "--password-file", right)).code).toBe(0)
      expect((yield* ranIn({ PGPASSWORD: "wrong" }, "probe", url(""), "--password-file", withNewline)).code).toBe(0)
      expect((yield* ranIn({ PGPASSWORD: "p@ss/wörd:%" }, "probe", url(""))).code).toBe(0)
      expect((yield* probed(url(":p%40ss%2Fw%C3%B6rd%3A%25"), "--password-file", wrong)).code).toBe(0)
      const refused = yield* probed(url(""), "--password-file", wrong)
      expect(refused).toMatchObject({ code: 2, outcome: "rejected", reason: { tag: "Rejected" } })
      expect(refused.reason.message).toContain("28P01")
    }))

  it.live("shows DETAIL and HINT of a server, and has them in --json", () =>
    Effect.gen(function*() {
      const fields = "SFATAL\0VFATAL\0C28000\0Mno entry for you\0Dline 7 of pg_hba.conf\0HAsk ann.\0\0"
      const refusal = Buffer.from(`E\0\0\0${String.fromCharCode(fields.length + 4)}${fields}`, "latin1")
      const { port } = yield* Tcp.listen((peer) => Effect.runFork(Effect.andThen(peer.say(refusal), peer.end)))
      const url = `postgres://ann@127.0.0.1:${port}?sslmode=disable`
      const { code, stdout } = yield* probe(url)
      expect(code).toBe(2)
      expect(stdout).toMatch(/: no entry for you \(28000\)\nDETAIL: line 7 of pg_hba.conf\nHINT: Ask ann.\n$/)
      expect((yield* probed(url)).reason.fields).toEqual({
        severity: "FATAL",
        code: "28000",
        message: "no entry for you",
        detail: "line 7 of pg_hba.conf",
        hint: "Ask ann."
      })
    }))

  it.live("says where a password could have come from", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("postgres", ...ann)
      const { code, stdout } = yield* probe(`postgres://ann@127.0.0.1:${port}?sslmode=disable`)
      expect(code).toBe(2)
      expect(stdout).toContain("hint: passwords come from the URL, --password-file or PGPASSWORD")
    }))

  for (const auth of ["password", "md5", "scram-sha-256"]) {
    it.live(`neither prints nor records a secret of ${auth}, and the record can be read again`, () =>
      Effect.gen(function*() {
        const { port } = yield* serve("postgres", ...ann, ...withTls, "--auth", auth)
        const record = yield* file("session.txt", "")
        const url = `postgres://ann:correct%20horse@127.0.0.1:${port}?sslmode=verify-full&require_auth=${auth}`
        const { code, stderr, stdout } = yield* probe(url, ...byRoot, "--record", record)
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
        const session = readFileSync(record, "utf8")
        const { transcript } = Result.getOrThrow(Transcript.parse(session))
        const md5 = createHash("md5").update("correct horseann").digest("hex")
        for (const text of [session, stdout]) {
          for (const secret of ["correct", "horse", Buffer.from("correct horse").toString("hex"), md5, ",p=", "\"p="]) {
            expect(text).not.toContain(secret)
          }
        }
        const secrets = transcript.filter((entry) => entry.direction !== "note" && entry.bytes === undefined)
        expect(secrets.map((entry) => entry.frame.split(" ")[0])).toContain("BackendKeyData")
        expect(secrets.filter((entry) => entry.direction === "sent").length).toBe(auth === "scram-sha-256" ? 2 : 1)
      }))
  }

  it.live("exits 4 where a server says nothing until --timeout", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen(() => {})
      const urls = [`tls://127.0.0.1:${port}`, `h2c://127.0.0.1:${port}`, `postgres://ann@127.0.0.1:${port}`]
      const probes = yield* Effect.forEach(urls, (url) => probed(url, "--timeout", "300ms"), { concurrency: 3 })
      expect(probes.map(({ code, reason }) => [code, reason.tag])).toEqual(urls.map(() => [4, "Timeout"]))
    }))

  it.live("exits 5 where nobody listens", () =>
    Effect.gen(function*() {
      const port = yield* Tcp.deadPort
      const { code, stdout } = yield* probe(`postgres://ann:secret@127.0.0.1:${port}`)
      expect(code).toBe(5)
      expect(stdout).toContain(`unreachable: postgres at 127.0.0.1:${port}, step connect`)
      expect(stdout).not.toContain("secret")
    }))

  const urls: Record<string, readonly [url: string, says: string]> = {
    "a port that is none": ["postgres://ann:secret@host:notaport/", "a port is a number"],
    "a / in a password": ["postgres://ann:sec/ret@127.0.0.1:1/", "the host is behind the last @"],
    "an unknown parameter": ["postgres://ann:secret@127.0.0.1:1/?sslmod=disable", "there are application_name, "],
    "an unknown value of one": ["postgres://ann:secret@127.0.0.1:1/?sslmode=secret", "\"verify-full\""],
    "a password among the parameters": ["postgres://ann@127.0.0.1:1/?password=secret", "a password is no parameter"],
    "a password for who takes none": ["h2://ann:secret@127.0.0.1:1", "it looks like h2://HOST[:443]"],
    "a password and no scheme": ["ann:secret@127.0.0.1:1", "it begins with none of line://"],
    "a host that is no name": ["postgres://ann:secret@evil.test%2f.db.test:1", "neither the name of a host nor"],
    "a lone %": ["postgres://ann:secret%@127.0.0.1:1", "it has a % that is not written %25"],
    "a #": ["postgres://ann:secret@127.0.0.1:1/#secret@", "written %23"],
    "no user": ["postgres://127.0.0.1:1", "postgres://ann@127.0.0.1"],
    "direct TLS without TLS": ["postgres://ann:secret@127.0.0.1:1?sslmode=disable&sslnegotiation=direct", "direct"]
  }
  for (const [what, [url, says]] of Object.entries(urls)) {
    it.live(`exits 64 for a URL with ${what}, says what is wrong and not the password`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* probe(url)
        expect({ code, stdout }).toEqual({ code: 64, stdout: "" })
        expect(stderr).toMatch(/^[^\n]+\n$/)
        expect(stderr).toContain(says)
        expect(stderr).not.toMatch(/secret|ret@/)
      }))
  }

  it.live("exits 64 for a flag that is of no use with the URL", () =>
    Effect.gen(function*() {
      const alpn = yield* probe("line://127.0.0.1:1", "--alpn", "h2")
      expect(alpn).toMatchObject({ code: 64, stderr: "--alpn is of no use with line://\n" })
      const verify = yield* probe("postgres://ann@127.0.0.1:1", "--tls-verify", "none")
      expect(verify).toMatchObject({ code: 64, stderr: expect.stringContaining("sslmode in the URL") })
    }))

  it.live("exits 64 for a name that no certificate can be for", () =>
    Effect.gen(function*() {
      for (const url of ["tls://127.0.0.1:1", "postgres://ann@127.0.0.1:1"]) {
        expect(yield* probe(url, "--tls-name", "evil.test#x")).toMatchObject({
          code: 64,
          stderr: "cannot verify a server: \"evil.test#x\" is neither the name of a host nor an IP address\n"
        })
      }
    }))

  it.live("exits 66 for a file that cannot be used", () =>
    Effect.gen(function*() {
      const ca = yield* probe("tls://127.0.0.1:1", "--tls-ca", certificate.keyFile)
      expect(ca).toMatchObject({ code: 66, stderr: expect.stringContaining("no certificate in PEM") })
      const password = yield* probe("postgres://ann@127.0.0.1:1", "--password-file", "/no/such/file")
      expect(password).toMatchObject({
        code: 66,
        stderr: expect.stringMatching(/^cannot read \/no\/such\/file: ENOENT/)
      })
    }))
})

describe.concurrent("a server that cannot start", () => {
  const { other } = Certificates
  const misuse: Record<string, readonly [code: number, says: string, ...args: ReadonlyArray<string>]> = {
    "--tls-cert alone": [64, "--tls-cert and --tls-key go together", "tls-line", "--tls-cert", certificate.certFile],
    "tls-line without a certificate": [64, "--tls-cert and --tls-key are needed", "tls-line"],
    "--tls-client-ca alone": [64, "--tls-client-ca needs", "http2", "--tls-client-ca", rootFile],
    "--require-tls alone": [64, "--require-tls needs", "postgres", ...ann, "--require-tls"],
    "a certificate that is not there": [
      66,
      "cannot read /no/such/file",
      "any",
      "--tls-cert",
      "/no/such/file",
      "--tls-key",
      certificate.keyFile
    ],
    "a certificate that is none": [
      66,
      "no certificate in PEM",
      "any",
      "--tls-cert",
      certificate.keyFile,
      "--tls-key",
      certificate.keyFile
    ],
    "a key that is none": [
      66,
      "no private key in PEM",
      "any",
      "--tls-cert",
      certificate.certFile,
      "--tls-key",
      certificate.certFile
    ],
    "the key of another certificate": [
      66,
      "is not the key of the certificate",
      "http2",
      "--tls-cert",
      certificate.certFile,
      "--tls-key",
      other.keyFile
    ],
    "a leaf for the clients' authority": [
      66,
      "has no root in it, only who comes from one: CN=Test Intermediate ec",
      "tls-line",
      ...withTls,
      "--tls-client-ca",
      certificate.certFile
    ],
    "ciphers that there are none of": [
      64,
      "--ciphers \"NONSENSE\" cannot be used: ",
      "tls-line",
      ...withTls,
      "--ciphers",
      "NONSENSE"
    ],
    "--ciphers alone": [64, "--ciphers needs --tls-cert", "http2", "--ciphers", "AES128-SHA"],
    "nobody who could log in": [64, "nobody could log in", "postgres"],
    "a user without a name": [64, "--user needs a name", "postgres", "--user", ":hush"],
    "a user without a password": [64, "--user ann has no password", "postgres", "--user", "ann"],
    "the same user twice": [64, "more than one user ann", "postgres", ...ann, "--user", "ann:hush"],
    "users where everybody is let in": [64, "--auth trust lets in everybody", "any", "--user", "ann:hush"],
    "an MD5 hash for SCRAM": [64, "of no use with --auth scram", "postgres", "--user", `ann:md5${"0".repeat(32)}`],
    "half a verifier": [64, "--user ann: what begins like", "postgres", "--user", "ann:SCRAM-SHA-256$hush"]
  }
  for (const [what, [code, says, ...args]] of Object.entries(misuse)) {
    it.live(`because of ${what} exits ${code}, and says why in one line`, () =>
      Effect.gen(function*() {
        const { stderr, stdout, ...exit } = yield* ran("serve", ...args)
        expect({ stdout, ...exit }).toEqual({ code, stdout: "" })
        expect(stderr).toMatch(/^[^\n]+\n$/)
        expect(stderr).toContain(says)
        expect(stderr).not.toMatch(/hush|correct horse/)
      }))
  }

  it.live("because of its key's passphrase, or of what stands first in the file, says what to do", () =>
    Effect.gen(function*() {
      const [leaf, intermediate] = certificate.cert.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----/g)!
      const key = createPrivateKey(Redacted.value(certificate.key))
      const locked = yield* file(
        "locked.pem",
        String(key.export({ type: "pkcs8", format: "pem", cipher: "aes-128-cbc", passphrase: "sesame" }))
      )
      const { certFile, keyFile } = certificate
      const turned = yield* file("turned.pem", `${intermediate}\n${leaf}\n`)
      const cases = [
        [certFile, locked, `the key in ${locked} has a passphrase; openssl pkey -in ${locked} -out FILE writes it`],
        [turned, keyFile, `${keyFile} is the key of certificate 2 in ${turned}, which has to stand first`]
      ]
      for (const [cert, key, says] of cases) {
        const { code, stderr } = yield* ran("serve", "tls-line", "--tls-cert", cert, "--tls-key", key)
        expect({ code, stderr }).toEqual({ code: 66, stderr: expect.stringContaining(says) })
      }
    }))

  it.live("because of a line in the file of users names the line, and not what is in it", () =>
    Effect.gen(function*() {
      const users = yield* file("users", "ann:correct horse\n\nsecret\n")
      const { code, stderr } = yield* ran("serve", "postgres", "--users", users)
      expect({ code, stderr }).toEqual({ code: 64, stderr: `${users}, line 3: a user is NAME:PASSWORD\n` })
    }))

  it.live("because its port is in use exits 1, whatever it serves", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen(() => {})
      const { code, stderr } = yield* ran("serve", "postgres", ...ann, "--port", String(port))
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: `cannot listen on 127.0.0.1:${port}: the address is in use\n`
      })
    }))
})

describe.concurrent("a password in the wrong place", () => {
  const places: Record<string, ReadonlyArray<string>> = {
    "for a command": ["postgres://ann:secret@127.0.0.1"],
    "for an argument that there is not": ["serve", "postgres", "ann:secret"],
    "for a second URL": ["probe", "line://127.0.0.1:1", "postgres://ann:secret@127.0.0.1"],
    "for a duration": ["probe", "line://127.0.0.1:1", "--timeout", "postgres://ann:secret@127.0.0.1"],
    "for a number": ["serve", "postgres", "--port", "ann:secret"]
  }
  for (const [where, args] of Object.entries(places)) {
    it.live(`${where} is not printed`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* ran(...args)
        expect(code).toBe(64)
        expect(stderr).toContain("ann:<redacted>")
        expect(stdout + stderr).not.toContain("secret")
      }))
  }
})

it.live("the help fits 100 columns", () =>
  Effect.gen(function*() {
    for (
      const args of [[], ["serve"], ["serve", "postgres"], ["probe"], ["dialogue"], ["dialogue", "compare"], [
        "conform"
      ]]
    ) {
      const { code, stderr, stdout } = yield* ran(...args, "--help")
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100)
    }
  }))

// Real clients, against all protocols on one port.
Peers.describeWith(["psql", "curl", "nghttp", "openssl"], "serve any", () => {
  it.live("answers psql, curl, nghttp and openssl, each in its protocol, in clear and inside TLS", () =>
    Effect.gen(function*() {
      const { port } = yield* serve("any", ...withTls, "--auth", "scram-sha-256", ...ann)
      const run = (command: string, args: ReadonlyArray<string>, options?: Peers.RunOptions) =>
        Effect.map(Peers.run(command, args, options), ({ status, stdout }) => ({ status, stdout }))
      const env = { PGPASSWORD: "correct horse" }
      const answer = { status: 0, stdout: "The handshake is an Effect.\n" }
      for (const ssl of ["sslmode=disable", "sslmode=require channel_binding=require"]) {
        const psql = run("psql", [`host=127.0.0.1 port=${port} user=ann ${ssl}`, "-Atc", "select 1"], { env })
        expect(yield* psql).toEqual({ status: 0, stdout: "1\n" })
      }
      const host = `127.0.0.1:${port}`
      expect(yield* run("curl", ["-sS", "--http2-prior-knowledge", `http://${host}/`])).toEqual(answer)
      expect(yield* run("curl", ["-sS", "--http2", "--cacert", rootFile, `https://${host}/`])).toEqual(answer)
      expect(yield* run("nghttp", [`http://${host}/`])).toEqual(answer)
      expect(yield* run("nghttp", [`https://${host}/`])).toEqual(answer)
      const line = yield* Tcp.saying(port, "You ready?\nHello\n")
      yield* line.end
      expect(yield* line.ended).toBe("Bring it!\nHello\n")
      // What it is turned away with ends it; its own end of input would end it before it has heard anything.
      const client = ["s_client", "-connect", host, "-CAfile", rootFile, "-verify_return_error", "-quiet"]
      const refused = yield* Peers.run("openssl", client, { input: "Who are you?\n" })
      expect(refused).toMatchObject({ status: 0, stdout: "No! Go away!\n" })
    }))
})
