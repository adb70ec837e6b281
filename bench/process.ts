/**
 * Processes that live no longer than their scope.
 *
 * They get a process group of their own, for Ctrl-C is the harness's to hear: it stops them one by one and reports. Where
 * the harness itself is killed, the Node servers end with their standard input (`leash.ts`) and linebench with its
 * parent (`PR_SET_PDEATHSIG`).
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"

/** Why something could not be measured, in words for the user. */
export class BenchError extends Data.TaggedError("BenchError")<{ readonly message: string }> {}

/** The core for servers and in-process measurements, and the core for the load. */
export const serverCore = 0
export const loadCore = 1

/** Whether processes can be bound to a core of their own here: Linux's taskset, and two cores that may be used. */
export const canPin = [serverCore, loadCore].every((core) =>
  spawnSync("taskset", ["-c", `${core}`, "true"], { stdio: "ignore" }).status === 0
)

/** How long a process may take to end on SIGTERM. */
const patience: Duration.Input = "3 seconds"

/** Only so much of what a process says is kept. */
const maxOutput = 1 << 20

const alive = new Set<ChildProcess>()

// The last resort, where the harness ends without closing its scopes.
process.on("exit", () => alive.forEach((child) => child.kill("SIGKILL")))

/** A running process. */
export interface Running {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  /** Its exit code, or the signal that ended it. */
  readonly ended: Effect.Effect<number | NodeJS.Signals>
  /** What `pattern` has found in its standard output; fails when it ends before. */
  readonly says: (pattern: RegExp) => Effect.Effect<RegExpExecArray, BenchError>
  /** The next line of its standard output; fails when it ends before there is one. */
  readonly line: Effect.Effect<string, BenchError>
  /** Says a line to it. */
  readonly tell: (line: string) => Effect.Effect<void>
  /** Ends its standard input. */
  readonly close: Effect.Effect<void>
}

/** The last lines that tell what went wrong. */
const tail = (text: string): string => text.trim().split("\n").slice(-6).join("\n")

/** Starts a process, on one core (or a list of them, `0,2`) where that can be had; the end of the scope stops it and waits until it is gone. */
export const start = (
  core: number | string,
  command: ReadonlyArray<string>
): Effect.Effect<Running, BenchError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Running & { readonly stop: Effect.Effect<void> }, BenchError>((resume) => {
        const [file, ...args] = canPin ? ["taskset", "-c", `${core}`, ...command] : command
        // Standard input stays open for as long as this process lives.
        const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], detached: true })
        let stdout = ""
        let stderr = ""
        const listeners = new Set<() => void>()
        const changed = () => listeners.forEach((listener) => listener())
        child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
          if (stdout.length < maxOutput) stdout += chunk
          changed()
        })
        child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
          if (stderr.length < maxOutput) stderr += chunk
        })
        let code: number | NodeJS.Signals | undefined
        // `close` and not `exit`: then there is no more output to come.
        child.on("close", (status, signal) => {
          alive.delete(child)
          code = status ?? signal ?? 1
          changed()
        })
        child.on("error", (error) => {
          alive.delete(child)
          resume(Effect.fail(new BenchError({ message: `cannot run ${command.join(" ")}: ${error.message}` })))
        })
        // A process that has ended does not read what is left in its standard input.
        child.stdin.on("error", () => {})

        /** Waits until `look` finds something. */
        const until = <A>(look: () => A | undefined) =>
          Effect.callback<A>((resume) => {
            const check = () => {
              const found = look()
              if (found === undefined) return
              listeners.delete(check)
              resume(Effect.succeed(found))
            }
            listeners.add(check)
            check()
            return Effect.sync(() => listeners.delete(check))
          })

        let taken = 0
        const nextLine = (): { readonly line: string } | undefined => {
          const end = stdout.indexOf("\n", taken)
          if (end === -1) return undefined
          const line = stdout.slice(taken, end)
          taken = end + 1
          return { line }
        }
        const orEnded = <A extends object>(look: () => A | undefined | null) =>
          Effect.flatMap(
            until(() => look() ?? code),
            (found) =>
              typeof found === "object" ? Effect.succeed(found) : Effect.fail(
                new BenchError({
                  message: `${command.join(" ")} ended with ${found}${stderr === "" ? "" : `: ${tail(stderr)}`}`
                })
              )
          )

        child.on("spawn", () => {
          alive.add(child)
          const ended = until(() => code)
          const signal = (signal: NodeJS.Signals) => Effect.sync(() => child.kill(signal))
          resume(Effect.succeed({
            pid: child.pid!, // it has been spawned
            stdout: () => stdout,
            stderr: () => stderr,
            ended,
            says: (pattern) => orEnded(() => pattern.exec(stdout)),
            line: Effect.map(orEnded(nextLine), ({ line }) => line),
            tell: (line) => Effect.sync(() => child.stdin.write(`${line}\n`)),
            close: Effect.sync(() => child.stdin.end()),
            stop: signal("SIGTERM").pipe(
              Effect.andThen(Effect.timeoutOption(ended, patience)),
              Effect.andThen(signal("SIGKILL")),
              Effect.andThen(ended)
            )
          }))
        })
      }),
      ({ stop }) => stop
    ),
    ({ stop: _, ...running }) => running
  )

/** Runs a process to its end and returns its standard output; fails where it does, or takes longer than `limit`. */
export const run = (
  core: number | string,
  command: ReadonlyArray<string>,
  limit: Duration.Input
): Effect.Effect<string, BenchError> =>
  Effect.scoped(Effect.gen(function*() {
    const running = yield* start(core, command)
    const code = yield* running.ended
    if (code === 0) return running.stdout()
    const said = tail(running.stderr()) || tail(running.stdout())
    return yield* new BenchError({ message: said === "" ? `${command[0]} ended with ${code}` : said })
  })).pipe(
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () => Effect.fail(new BenchError({ message: `not done within ${limit}: ${command.join(" ")}` }))
    })
  )
