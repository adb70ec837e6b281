/**
 * Builds linebench, runs it against a server, and reads what it prints.
 */
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Process from "./process.ts"
import type { Server } from "./servers.ts"

const source = fileURLToPath(new URL("linebench.c", import.meta.url))
const cache = fileURLToPath(new URL("../.cache/bench", import.meta.url))
const binary = `${cache}/linebench`

const compilers = [process.env["CC"] ?? "", "cc", "gcc", "clang"].filter((name) => name !== "")

/** The C compiler that is there, as it names itself. */
export const compiler = (): { readonly command: string; readonly version: string } | undefined => {
  for (const command of compilers) {
    const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8" })
    if (status === 0) return { command, version: stdout.split("\n")[0] }
  }
  return undefined
}

/** Compiles linebench where there is none yet, or an older one than its source. */
export const build = Effect.gen(function*() {
  if (process.platform !== "linux") {
    return yield* new Process.BenchError({ message: "linebench needs Linux (epoll, /proc); the codecs do not" })
  }
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return
  const found = compiler()
  if (found === undefined) {
    return yield* new Process.BenchError({
      message:
        `linebench, the load generator, is written in C and there is no C compiler here (tried ${
          compilers.join(", ")
        }).\n` +
        "Install one (apt-get install gcc libc6-dev) or name it: CC=/path/to/cc npm run bench"
    })
  }
  mkdirSync(cache, { recursive: true })
  // Nobody finds half of it.
  const fresh = `${binary}.${process.pid}`
  yield* Process.run(Process.loadCore, [found.command, "-O2", "-Wall", "-Wextra", "-o", fresh, source], "60 seconds")
  renameSync(fresh, binary)
})

/** The figures of one run, by their names in linebench. */
export type Figures = Readonly<Record<string, number>>

/** The last line of linebench's output is one JSON object; what is no number in it is dropped. */
export const parse = (stdout: string): Figures => {
  const last = stdout.trim().split("\n").at(-1) ?? ""
  const parsed: unknown = JSON.parse(last)
  if (typeof parsed !== "object" || parsed === null) throw new SyntaxError(`not an object: ${last}`)
  return Object.fromEntries(Object.entries(parsed).filter(([, value]) => typeof value === "number"))
}

const command = (server: Server, args: ReadonlyArray<string>): ReadonlyArray<string> => [
  binary,
  args[0],
  "--port",
  `${server.port}`,
  "--pid",
  `${server.pid}`,
  ...args.slice(1)
]

/** Measures; fails where an answer is wrong or missing. */
export const measure = (server: Server, ...args: ReadonlyArray<string>): Effect.Effect<Figures, Process.BenchError> =>
  Effect.flatMap(Process.run(Process.loadCore, command(server, args), "3 minutes"), (stdout) =>
    Effect.try({
      try: () => parse(stdout),
      catch: () => new Process.BenchError({ message: `linebench ${args[0]} printed no figures: ${stdout}` })
    }))

/** The checks of `linebench verify` that a server has failed. */
export const verify = (server: Server): Effect.Effect<ReadonlyArray<string>, Process.BenchError> =>
  Effect.scoped(Effect.gen(function*() {
    const running = yield* Process.start(Process.loadCore, command(server, ["verify"]))
    const code = yield* Effect.timeoutOption(running.ended, "90 seconds")
    const failed = running.stdout().split("\n").filter((line) => line.startsWith("FAIL ")).map((line) => line.slice(5))
    if (code._tag === "None") return [...failed, "not done within 90 seconds"]
    // It also gives up where a server leaves it no way to go on.
    return code.value === 0 || failed.length > 0 ? failed : [running.stderr().trim() || `ended with ${code.value}`]
  }))
