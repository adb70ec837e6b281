import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Pg from "pg"
import * as Certificates from "../support/certificates/index.ts"
import * as Peers from "../support/peers.ts"
import * as Postgres from "../support/postgres.ts"
import { childrenOf, isAlive } from "../support/processes.ts"

const everyNow = Schedule.spaced("20 millis")

/** Logs in with `pg` and asks who is there, over what. */
const login = (server: Postgres.Server, config: Pg.ClientConfig) =>
  Effect.tryPromise({
    try: async () => {
      const client = new Pg.Client({ host: server.host, port: server.port, database: "handshakes", ...config })
      client.on("error", () => {})
      try {
        await client.connect()
        const { rows } = await client.query<{ readonly name: string; readonly tls: boolean }>(
          "select current_user as name, ssl as tls from pg_stat_ssl where pid = pg_backend_pid()"
        )
        return rows[0]
      } finally {
        await client.end()
      }
    },
    catch: (error) => error as Pg.DatabaseError
  })

const tls = { ca: Certificates.root, servername: "localhost" }

for (const version of [18, 15] as const) {
  Postgres.describeServer("the server of the tests", { version }, (it) => {
    const { users } = Postgres
    const clear = ["trust_user", "password_user", "md5_user", "scram_user", "unicode_user"] as const

    it.effect.each(clear)("%s logs in in clear", (user) =>
      Effect.gen(function*() {
        const server = yield* Postgres.PostgresServer
        const { password } = users[user]
        expect(yield* login(server, { user, password })).toEqual({ name: user, tls: false })
      }))

    it.effect.each([...clear, "tls_user"] as const)("%s logs in over TLS", (user) =>
      Effect.gen(function*() {
        const server = yield* Postgres.PostgresServer
        const { password } = users[user]
        expect(yield* login(server, { user, password, ssl: tls })).toEqual({ name: user, tls: true })
      }))

    it.effect("cert_user logs in with a certificate", () =>
      Effect.gen(function*() {
        const server = yield* Postgres.PostgresServer
        const { cert, key } = Certificates.client
        const ssl = { ...tls, cert, key: Redacted.value(key) }
        expect(yield* login(server, { user: "cert_user", ssl })).toEqual({ name: "cert_user", tls: true })
      }))

    it.effect.each(
      [
        ["a wrong password", { user: "scram_user", password: "pen" }, "28P01"],
        ["a user who is not there", { user: "missing_user", password: "pen" }, "28P01"],
        ["a user of whom no rule knows", { user: "nobody_else" }, "28000"],
        ["a user who is rejected", { user: "reject_user" }, "28000"],
        ["a user who has to come over TLS", { user: "tls_user", password: "over tls" }, "28000"],
        ["a user without a certificate", { user: "cert_user", ssl: tls }, "28000"],
        ["a user with too many connections", { user: "busy_user" }, "53300"],
        ["a database that is full", { user: "trust_user", database: "busy" }, "53300"],
        ["a database that is not there", { user: "trust_user", database: "nowhere" }, "3D000"]
      ] as const
    )("%s is refused", ([, config, code]) =>
      Effect.gen(function*() {
        const server = yield* Postgres.PostgresServer
        expect((yield* Effect.flip(login(server, config))).code).toBe(code)
      }))

    it.effect("the superuser asks what the server is", () =>
      Effect.gen(function*() {
        const server = yield* Postgres.PostgresServer
        const [row] = yield* server.query(
          "select current_setting('server_version_num')::int / 10000 as major, $1::text as x",
          [
            "y"
          ]
        )
        expect(row).toEqual({ major: version, x: "y" })
      }))
  })
}

for (const version of [18, 15] as const) {
  const reason = Postgres.skipReason(version)
  const title = `PostgreSQL ${version}: what is left of it`
  if (reason !== undefined) Peers.missing(title, reason)
  else {describe(title, () => {
      it.live("neither a process nor a folder is left when the scope closes", () =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const server = yield* Scope.provide(Postgres.server({ version, certificate: "none" }), scope)
          const processes = [server.keeper, ...childrenOf(server.keeper)]
          expect(processes).toHaveLength(2)
          // A client that stays does not keep it.
          const client = new Pg.Client({
            host: server.host,
            port: server.port,
            user: "trust_user",
            database: "handshakes"
          })
          client.on("error", () => {})
          yield* Effect.promise(() => client.connect())
          const backends = childrenOf(processes[1])
          expect(backends.length).toBeGreaterThan(1)

          yield* Scope.close(scope, Exit.void)
          expect([...processes, ...backends].filter(isAlive)).toEqual([])
          expect(existsSync(server.folder)).toBe(false)
        }))
    })}
}

describe("a program", () => {
  it.live("is run to its end, with what it reads, writes and says at last", () =>
    Effect.gen(function*() {
      const ran = yield* Peers.run("sh", ["-c", "cat; echo no >&2; exit 3"], { input: "yes" })
      expect(ran).toEqual({ status: 3, stdout: "yes", stderr: "no\n" })
    }))

  it.live("that takes too long is killed, and that is a failure", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Peers.run("sh", ["-c", "echo $$; exec sleep 60"], { timeout: "500 millis" })
      )
      const [, pid] = /^sh did not end within 500ms: (\d+)\n$/.exec(error.message) ?? []
      expect(isAlive(Number(pid))).toBe(false)
    }))

  it.live("that is not there is a failure", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Peers.run("no-such-program", []))
      expect(error.message).toBe("no no-such-program on this machine")
    }))

  it("is found where the path does not lead", () => {
    expect(Peers.tool("sh")).toMatch(/\/sh$/)
    expect(Peers.tool("no-such-program")).toBeUndefined()
  })
})

describe("a server of somebody else's", () => {
  it.live("that ends at once says why", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Peers.serverOn("sh", () => ["-c", "echo no port >&2; exit 4"]))
      expect(error.message).toBe("sh ended with 4: no port\n")
    }))

  it.live("ends with the process that started it, even if that is killed", () =>
    Effect.gen(function*() {
      const folder = mkdtempSync(join(tmpdir(), "kept-"))
      const kept = { command: "sleep", args: ["60"], signal: "SIGTERM", remove: [folder] }
      const keeper = new URL("../support/peers/keeper.ts", import.meta.url).pathname
      // A process between this one and the keeper: the keeper's input is a pipe from it.
      const between = spawn(process.execPath, [
        "-e",
        `const child = require("node:child_process").spawn(process.execPath, process.argv.slice(1), { stdio: ["pipe", "ignore", "ignore"] })
         console.log(child.pid)
         setInterval(() => {}, 1000)`,
        keeper,
        JSON.stringify(kept)
      ], { stdio: ["ignore", "pipe", "inherit"] })
      const pid = yield* Effect.callback<number>((resume) => {
        between.stdout.once("data", (chunk: Buffer) => resume(Effect.succeed(Number(chunk.toString()))))
      })
      const gone = Effect.suspend(() => isAlive(pid) || existsSync(folder) ? Effect.fail("still there") : Effect.void)
      yield* Effect.ensuring(
        Effect.gen(function*() {
          const child = yield* Effect.suspend(() => {
            const [child] = childrenOf(pid)
            return child === undefined ? Effect.fail("not yet") : Effect.succeed(child)
          }).pipe(Effect.retry({ schedule: everyNow, times: 100 }))
          between.kill("SIGKILL")
          yield* Effect.retry(gone, { schedule: everyNow, times: 100 })
          expect(isAlive(child)).toBe(false)
        }),
        Effect.sync(() => {
          between.kill("SIGKILL")
          rmSync(folder, { recursive: true, force: true })
        })
      )
    }))
})

Peers.describeWith(["nghttpd", "nghttp"], "nghttpd", () => {
  it.live("answers nghttp from its folder, in clear and over TLS", () =>
    Effect.gen(function*() {
      const root = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "htdocs-"))),
        (root) => Effect.sync(() => rmSync(root, { recursive: true }))
      )
      writeFileSync(join(root, "greeting"), "Hello")
      const clear = yield* Peers.nghttpd({ root })
      const overTls = yield* Peers.nghttpd({ root, certificate: Certificates.server })
      const [one, two] = yield* Effect.all([
        Peers.run("nghttp", [`http://127.0.0.1:${clear.port}/greeting`]),
        Peers.run("nghttp", ["--no-verify-peer", `https://127.0.0.1:${overTls.port}/greeting`])
      ])
      expect([one.stdout, two.stdout]).toEqual(["Hello", "Hello"])
    }))
})

Peers.describeWith(["openssl"], "openssl", () => {
  const files = ["-CAfile", Certificates.rootFile, "-verify_return_error", "-quiet"]

  it.live.each(
    [
      ["server", Certificates.server],
      ["replacement", Certificates.replacement],
      ["sha384", Certificates.sha384],
      ["sha512-rsa", Certificates.sha512Rsa],
      ["rsa-pss", Certificates.rsaPss],
      ["ed25519", Certificates.ed25519]
    ] as const
  )("s_server shows %s, and s_client believes it", ([, certificate]) =>
    Effect.gen(function*() {
      const { port } = yield* Peers.opensslServer({ certificate })
      const ran = yield* Peers.run("openssl", [
        "s_client",
        "-connect",
        `127.0.0.1:${port}`,
        "-verify_hostname",
        "handshake.test",
        ...files
      ], { input: "abc\nCLOSE\n" })
      expect(ran.stdout).toBe("cba\n")
    }))

  it.live.each(
    [
      ["expired", "certificate has expired", Certificates.expired],
      ["not-yet-valid", "certificate is not yet valid", Certificates.notYetValid],
      ["wrong-name", "hostname mismatch", Certificates.wrongName],
      ["self-signed", "self-signed certificate", Certificates.selfSigned],
      ["unknown-authority", "unable to get local issuer certificate", Certificates.unknownAuthority]
    ] as const
  )("s_server shows %s, and s_client does not believe it: %s", ([, why, certificate]) =>
    Effect.gen(function*() {
      const { port } = yield* Peers.opensslServer({ certificate })
      const ran = yield* Peers.run("openssl", [
        "s_client",
        "-connect",
        `127.0.0.1:${port}`,
        "-verify_hostname",
        "localhost",
        ...files
      ])
      expect(ran.stderr).toContain(why)
      expect(ran.status).toBe(1)
    }))
})

describe("the certificates", () => {
  it.each(
    [
      ["server", "localhost", true, Certificates.server],
      ["server", "handshake.test", true, Certificates.server],
      ["server", "other.test", false, Certificates.server],
      ["other", "other.test", true, Certificates.other],
      ["wild", "a.wild.test", true, Certificates.wild],
      ["wild", "a.b.wild.test", false, Certificates.wild],
      ["wrong-name", "localhost", false, Certificates.wrongName]
    ] as const
  )("%s is for %s: %s", (_, host, so, { cert }) => {
    expect(new X509Certificate(cert).checkHost(host) !== undefined).toBe(so)
  })

  it.each(["127.0.0.1", "::1"])("server is for %s", (address) => {
    expect(new X509Certificate(Certificates.server.cert).checkIP(address)).toBe(address)
  })

  it("client is cert_user", () => {
    expect(new X509Certificate(Certificates.client.cert).subject).toBe("CN=cert_user")
  })
})
