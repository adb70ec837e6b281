/**
 * The command: as a process of its own, and in this one.
 */
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { spawn } from "node:child_process"
import * as Command from "../../src/cli/command.ts"
import { Exited } from "../../src/cli/flags.ts"
import { bundled, source } from "./bundle.ts"
import { Heard } from "./tcp.ts"

// What whoever runs the tests has there is none of theirs.
const { PGPASSWORD: _, ...withoutPassword } = process.env

/** How long it may take until something is said: several processes load what they need, on a machine that has much to do. */
const starting = "30 seconds"

const start = (program: string, env: Readonly<Record<string, string>>, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [program, ...args], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...withoutPassword, NO_COLOR: "1", ...env }
      })
      let exit: number | NodeJS.Signals | undefined
      const stdout = new Heard(() => exit !== undefined)
      const stderr = new Heard(() => exit !== undefined)
      child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk))
      child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk))
      // `close` and not `exit`: then there is no more output to come.
      child.on("close", (code, signal) => {
        exit = code ?? signal ?? undefined
        stdout.changed()
        stderr.changed()
      })
      return {
        pid: child.pid!,
        stdout: () => stdout.text,
        stderr: () => stderr.text,
        kill: (signal: NodeJS.Signals) =>
          Effect.sync(() => {
            child.kill(signal)
          }),
        /** The exit code, or the signal that ended it. */
        exit: Effect.map(
          stdout.until("the process to end", () => exit !== undefined),
          () => exit
        ),
        /** Waits until it has said this, on standard output or on standard error. */
        says: (text: string) => stdout.until(JSON.stringify(text), () => stdout.text.includes(text)),
        complains: (text: string) => stderr.until(JSON.stringify(text), () => stderr.text.includes(text)),
        firstLine: Effect.map(
          stdout.until("a line", () => exit !== undefined || stdout.text.includes("\n"), starting),
          () => stdout.text.split("\n")[0]
        )
      }
    }),
    (process) => Effect.andThen(process.kill("SIGKILL"), process.exit)
  )

/** Runs the command with these variables besides those of this process, until the scope closes. */
export const runIn = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  start(bundled("command"), env, args)

/** Runs the command until the scope closes. */
export const run = (...args: ReadonlyArray<string>) => runIn({}, ...args)

/** The same from the sources, as npm runs it in a clone. */
export const runSources = (...args: ReadonlyArray<string>) => start(source("command"), {}, args)

/** What came of a run. */
export interface Ran {
  readonly code: number | NodeJS.Signals | undefined
  readonly stdout: string
  readonly stderr: string
}

const toItsEnd = (started: ReturnType<typeof run>): Effect.Effect<Ran> =>
  Effect.scoped(Effect.flatMap(
    started,
    ({ exit, stderr, stdout }) => Effect.map(exit, (code) => ({ code, stdout: stdout(), stderr: stderr() }))
  ))

/** Runs the command to its end. */
export const apart = (...args: ReadonlyArray<string>) => toItsEnd(run(...args))

export const apartIn = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  toItsEnd(runIn(env, ...args))

/** The same from the sources, which a module that imports the package shares with it. */
export const fromSharedSources = (...args: ReadonlyArray<string>) =>
  toItsEnd(start(source("command"), { NODE_OPTIONS: "--conditions=handshake-source" }, args))

/** The same from the sources. */
export const fromSources = (...args: ReadonlyArray<string>) => toItsEnd(runSources(...args))

const portOf = (line: string, stderr: string): Effect.Effect<number> => {
  const port = /^listening on (?:127\.0\.0\.1|\[::1\]):(\d+)$/.exec(line)?.[1]
  return port === undefined
    ? Effect.die(new Error(`no port in ${JSON.stringify(line)}${stderr}`))
    : Effect.succeed(Number(port))
}

const listening = Effect.fnUntraced(function*(started: ReturnType<typeof run>) {
  const process = yield* started
  return { ...process, port: yield* portOf(yield* process.firstLine, process.stderr()) }
})

/** A server of the command, when it listens. */
export const serveIn = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  listening(runIn(env, "serve", ...args))

const line = ["serve", "line", "--port", "0"]

/** `serve line` on a free port. */
export const serve = (...args: ReadonlyArray<string>) => listening(run(...line, ...args))

/** The same from the sources. */
export const serveSources = (...args: ReadonlyArray<string>) => listening(runSources(...line, ...args))

const consoleOf = (stdout: Heard, stderr: Heard): Console.Console => ({
  ...globalThis.console,
  log: (...words) => stdout.push(Buffer.from(`${words.join(" ")}\n`)),
  error: (...words) => stderr.push(Buffer.from(`${words.join(" ")}\n`))
})

/** Runs the command in this process, until the scope closes; to interrupt it is what a signal does. */
export const startHere = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  let code: number | undefined
  const stdout = new Heard(() => code !== undefined)
  const stderr = new Heard(() => code !== undefined)
  const fiber = yield* Effect.forkScoped(
    Command.run(args).pipe(
      Effect.provideService(Console.Console, consoleOf(stdout, stderr)),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
          code = error === undefined ? 0 : error instanceof Exited ? error.code : 1
          stdout.changed()
        })
      )
    )
  )
  return {
    fiber,
    stdout: () => stdout.text,
    stderr: () => stderr.text,
    says: (text: string) => stdout.until(JSON.stringify(text), () => stdout.text.includes(text)),
    complains: (text: string) => stderr.until(JSON.stringify(text), () => stderr.text.includes(text)),
    firstLine: Effect.map(
      stdout.until("a line", () => code !== undefined || stdout.text.includes("\n")),
      () => stdout.text.split("\n")[0]
    ),
    exit: Effect.map(Fiber.await(fiber), () => code)
  }
})

/** Runs the command in this process to its end. */
export const here = (...args: ReadonlyArray<string>): Effect.Effect<Ran> =>
  Effect.scoped(Effect.gen(function*() {
    const running = yield* startHere(...args)
    const code = yield* running.exit
    return { code, stdout: running.stdout(), stderr: running.stderr() }
  }))

/** A server of the command in this process, when it listens. */
export const serveHere = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const running = yield* startHere("serve", ...args)
  return { ...running, port: yield* portOf(yield* running.firstLine, running.stderr()) }
})
