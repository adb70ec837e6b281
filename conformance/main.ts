/**
 * `npm run conformance`: suites and programs that nobody here wrote, against our server and our client, as far as they are
 * on this machine. Prints a table; fails where something has failed for which the library stands, and where nothing is
 * there says so.
 *
 * | program | where it is from |
 * |---|---|
 * | `h2spec`, `h2specd` | https://github.com/summerwind/h2spec, built with Go |
 * | `nghttp`, `h2load`, `nghttpd` | Debian's nghttp2-client, nghttp2-server |
 * | `curl` | Debian's curl, with HTTP/2 |
 *
 * Each is looked for on the path, or is where a variable with its name in capitals says, such as H2SPEC.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { execFile, spawn } from "node:child_process"
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Cli from "../src/cli/http2.ts"
import * as Net from "../src/node/Net.ts"
import * as Http2 from "../src/protocols/Http2.ts"
import * as Server from "../src/Server.ts"
import { ask } from "./client.ts"
import * as Report from "./report.ts"

const host = "127.0.0.1"

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const find = (program: string): string | undefined => {
  const told = process.env[program.toUpperCase()]
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"].filter((folder) => folder !== "")
  return told ?? folders.map((folder) => join(folder, program)).find(isProgram)
}

interface Ran {
  readonly isGood: boolean
  readonly text: string
}

/** Runs a program to its end, for at most some minutes. */
const run = (path: string, args: ReadonlyArray<string>): Effect.Effect<Ran> =>
  Effect.callback((resume) => {
    const options = { timeout: 300_000, maxBuffer: 2 ** 24 }
    const child = execFile(path, args, options, (error, stdout, stderr) =>
      resume(Effect.succeed({ isGood: error === null, text: `${stdout}${stderr}` })))
    return Effect.sync(() =>
      child.kill()
    )
  })

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "conformance-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

/** Our server, which answers every request. */
const serving = Effect.gen(function*() {
  const context = yield* Layer.build(
    Server.layer({ handshake: Http2.server({ settings: Cli.settings }), serve: Cli.answer("Hello from HTTP/2\n") })
      .pipe(
        Layer.provide(Net.layerServer({ host, port: 0 }))
      )
  )
  const { address } = yield* Effect.provide(Server.Server, context)
  return address._tag === "UnixPathAddress" ? 0 : address.port
}).pipe(Effect.orDie)

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, host, () => {
    const { port } = server.address() as AddressInfo // it listens
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A row for what is good or is not. */
const single = (peer: string, what: string, isGood: boolean, why: string): ReadonlyArray<Report.Row> => [{
  peer,
  what,
  passed: isGood ? 1 : 0,
  failed: isGood ? 0 : 1,
  skipped: 0,
  failures: isGood ? [] : [why.trim().split("\n").at(-1)!],
  notes: []
}]

type Rows = Effect.Effect<ReadonlyArray<Report.Row>>

/** A suite that writes a report. */
const suite = (peer: string, path: string, args: ReadonlyArray<string>): Rows =>
  Effect.scoped(Effect.gen(function*() {
    const file = join(yield* folder, "report.xml")
    const { text } = yield* run(path, [...args, "--junit-report", file])
    const rows = yield* Effect.sync(() => {
      try {
        return Report.rowsOf(peer, Report.parse(readFileSync(file, "utf8")))
      } catch {
        return []
      }
    })
    return rows.length > 0
      ? rows
      : single(peer, "writes a report", false, text.trim() === "" ? "it has written none" : text)
  }))

/** What can be run, by the program that it takes. */
const checks: Readonly<Record<string, (path: string) => Rows>> = {
  h2spec: (path) =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* serving
      return yield* suite("h2spec", path, ["-h", host, "-p", `${port}`, "generic", "http2"])
    })),
  h2specd: (path) =>
    Effect.gen(function*() {
      const port = yield* freePort
      const client = `${process.execPath} ${fileURLToPath(new URL("client.ts", import.meta.url))}`
      return yield* suite("h2specd", path, ["-h", host, "-p", `${port}`, "-e", client])
    }),
  nghttp: (path) =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* serving
      const { text } = yield* run(path, ["-v", `http://${host}:${port}/`])
      return single("nghttp", "gets an answer", /:status: 200/.test(text), text)
    })),
  h2load: (path) =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* serving
      const { text } = yield* run(path, ["-n", "5000", "-c", "4", "-m", "50", `http://${host}:${port}/`])
      return single("h2load", "gets 5,000 answers over 4 connections", /\b5000 succeeded/.test(text), text)
    })),
  curl: (path) =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* serving
      const { isGood, text } = yield* run(path, ["-sS", "--http2-prior-knowledge", `http://${host}:${port}/`])
      return single("curl", "gets an answer", isGood && text.includes("Hello"), text)
    })),
  nghttpd: (path) =>
    Effect.scoped(Effect.gen(function*() {
      const port = yield* freePort
      const files = yield* folder
      yield* Effect.sync(() => writeFileSync(join(files, "index.html"), "Hello"))
      yield* Effect.acquireRelease(
        Effect.sync(() => spawn(path, ["--no-tls", "-a", host, `${port}`, "-d", files], { stdio: "ignore" })),
        (child) => Effect.sync(() => child.kill())
      )
      // It says nothing when it listens.
      const asking = Effect.retry(ask(host, port, (frame) => frame._tag === "Data" && frame.endStream), { times: 20 })
      const exit = yield* Effect.exit(Effect.timeout(Effect.delay(asking, "500 millis"), "10 seconds"))
      return single("nghttpd", "answers our client", exit._tag === "Success", `${exit}`)
    }))
}

const conformance = Effect.gen(function*() {
  const found = Object.keys(checks).map((program) => [program, find(program)] as const)
  const rows = yield* Effect.forEach(
    found,
    ([program, path]) => path === undefined ? Effect.succeed([]) : checks[program](path)
  )
  const absent = found.filter(([, path]) => path === undefined).map(([program]) => program)
  if (absent.length > 0) yield* Console.log(`not on this machine: ${absent.join(", ")}\n`)
  if (absent.length === found.length) return yield* Console.log("nothing was run")
  yield* Console.log(Report.table(rows.flat()))
  if (!Report.isGood(rows.flat())) process.exitCode = 1
})

await Effect.runPromise(conformance)
