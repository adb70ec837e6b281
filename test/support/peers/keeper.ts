/**
 * Runs a server for as long as its own standard input is open, and clears up behind it.
 *
 * A test process that is killed closes no scope, but the system closes its pipes: so what it started ends all the same.
 */
import { spawn } from "node:child_process"
import { rmSync } from "node:fs"

/** What the keeper is told, as JSON in its one argument. */
export interface Kept {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd?: string | undefined
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** How it is asked to stop. It has two seconds for it. */
  readonly signal: NodeJS.Signals
  /** The folders that go when it has ended. */
  readonly remove: ReadonlyArray<string>
}

const kept: Kept = JSON.parse(process.argv[2])

const child = spawn(kept.command, kept.args, {
  stdio: ["ignore", "inherit", "inherit"],
  cwd: kept.cwd,
  ...kept.user
})

const ended = (status: number) => {
  // The processes of a killed server may take a moment longer than itself, and still write.
  for (const folder of kept.remove) rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  process.exit(status)
}

const stop = () => {
  child.kill(kept.signal)
  setTimeout(() => child.kill("SIGKILL"), 2000)
}

child.on("error", (error) => {
  process.stderr.write(`${error.message}\n`)
  ended(127)
})
child.on("exit", (status) => ended(status ?? 1))

process.stdin.on("end", stop).on("error", stop).resume()
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop)
