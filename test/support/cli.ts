/**
 * The command as a process of its own.
 */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Heard } from "./tcp.ts"

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))

/** Runs the command until the scope closes. */
export const run = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [main, ...args], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, NO_COLOR: "1" }
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
        firstLine: Effect.map(
          stdout.until("a line", () => exit !== undefined || stdout.text.includes("\n")),
          () => stdout.text.split("\n")[0]
        )
      }
    }),
    (process) => Effect.andThen(process.kill("SIGKILL"), process.exit)
  )

/** `serve line` on a free port. */
export const serve = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const process = yield* run("serve", "line", "--port", "0", ...args)
  const line = yield* process.firstLine
  const port = /^listening on 127\.0\.0\.1:(\d+)$/.exec(line)?.[1]
  if (port === undefined) return yield* Effect.die(new Error(`no port in ${JSON.stringify(line)}${process.stderr()}`))
  return { ...process, port: Number(port) }
})
