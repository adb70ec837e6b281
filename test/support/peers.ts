/**
 * Programs that nobody here wrote, as peers: found, run, waited for and ended. All of it needs the real clock (`it.live`).
 */
import { describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { randomInt } from "node:crypto"
import { accessSync, constants, statSync } from "node:fs"
import * as Net from "node:net"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Kept } from "./peers/keeper.ts"
import { Heard } from "./tcp.ts"

// The client programs of PostgreSQL themselves, and not the script before them that Debian has on the path.
const folders = ["/usr/lib/postgresql/15/bin", ...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Where a program lies, if it is there. */
export const tool = (name: string): string | undefined =>
  folders.filter((folder) => folder !== "").map((folder) => join(folder, name)).find(isProgram)

/** Whether what is missing is a failure, as it is in CI. */
const required = process.env.REQUIRE_PEERS === "1"

/** Tests that cannot run here: they show as skipped with the reason, or fail where all peers are required. */
export const missing = (name: string, reason: string): void => {
  if (required) {
    it(name, () => {
      throw new Error(`${reason}, and REQUIRE_PEERS=1 wants it`)
    })
  } else {
    describe.skip(`${name} (skipped: ${reason})`, () => {
      it("has its peers", () => {})
    })
  }
}

/** `describe`, for tests that need these programs. */
export const describeWith = (tools: ReadonlyArray<string>, name: string, body: () => void): void => {
  const absent = tools.filter((name) => tool(name) === undefined)
  if (absent.length === 0) describe(name, body)
  else missing(name, `no ${absent.join(", no ")} on this machine`)
}

/** A program could not be run, or not to its end. `ended` is a server that has ended before it was ready. */
export class PeerError extends Data.TaggedError("PeerError")<{
  readonly message: string
  readonly ended?: boolean
}> {}

/** What came of a run: its exit status, or the signal that ended it, and what it wrote. */
export interface Ran {
  readonly status: number | NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** What it reads; nothing, unless said. */
  readonly input?: string | undefined
  /** Variables besides those of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  readonly user?: User | undefined
  /** Default: 10 seconds. */
  readonly timeout?: Duration.Input | undefined
}

/** A user and a group of this machine, by their numbers. */
export interface User {
  readonly uid: number
  readonly gid: number
}

const pathOf = (command: string): Effect.Effect<string, PeerError> => {
  const path = command.includes("/") ? command : tool(command)
  return path === undefined
    ? Effect.fail(new PeerError({ message: `no ${command} on this machine` }))
    : Effect.succeed(path)
}

// No colours, messages as they are documented, and no settings of whoever runs the tests.
const environment = (env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => {
  const own = Object.entries(process.env).filter(([name]) => !/^PG|^SSL|^LC_|^LANG/.test(name))
  return { ...Object.fromEntries(own), LC_ALL: "C", NO_COLOR: "1", PSQLRC: "/dev/null", ...env }
}

/** What a process writes, and how it ends. */
interface Heeded {
  readonly stdout: Heard
  readonly stderr: Heard
  readonly exit: () => number | NodeJS.Signals | undefined
}

const heed = (child: ChildProcess, onExit: (exit: number | NodeJS.Signals) => void): Heeded => {
  let exit: number | NodeJS.Signals | undefined
  const stdout = new Heard(() => exit !== undefined)
  const stderr = new Heard(() => exit !== undefined)
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk))
  // `close` and not `exit`: then there is no more output to come.
  child.on("close", (code, signal) => {
    exit = code ?? signal ?? 1
    stdout.changed()
    stderr.changed()
    onExit(exit)
  })
  return { stdout, stderr, exit: () => exit }
}

/**
 * Runs a program to its end. A status other than 0 is no failure: what came of it is for the test to judge. It is killed
 * when it takes too long, which is a failure, and when the run is interrupted.
 */
export const run = Effect.fnUntraced(function*(
  command: string,
  args: ReadonlyArray<string>,
  options: RunOptions = {}
): Effect.fn.Return<Ran, PeerError> {
  const path = yield* pathOf(command)
  const timeout = options.timeout ?? "10 seconds"
  let soFar = () => ""
  return yield* Effect.callback<Ran, PeerError>((resume) => {
    const child = spawn(path, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: environment(options.env),
      cwd: options.cwd,
      ...options.user
    })
    const heeded = heed(
      child,
      (status) => resume(Effect.succeed({ status, stdout: heeded.stdout.text, stderr: heeded.stderr.text }))
    )
    soFar = () => heeded.stdout.text + heeded.stderr.text
    child.on("error", (error) => resume(Effect.fail(new PeerError({ message: error.message }))))
    // A program that ends without having read all of it is no error.
    child.stdin.on("error", () => {})
    child.stdin.end(options.input ?? "")
    return Effect.callback<void>((done) => {
      if (child.pid === undefined || heeded.exit() !== undefined) return done(Effect.void)
      child.on("close", () => done(Effect.void))
      child.kill("SIGKILL")
    })
  }).pipe(
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () =>
        Effect.fail(
          new PeerError({
            message: `${command} did not end within ${Duration.format(Duration.fromInputUnsafe(timeout))}: ${soFar()}`
          })
        )
    })
  )
})

/** A server of somebody else's. */
export interface Running {
  /** The process that keeps it; the server is its child. */
  readonly keeper: number
  readonly stdout: Heard
  readonly stderr: Heard
  readonly exit: () => number | NodeJS.Signals | undefined
}

const keeper = fileURLToPath(new URL("peers/keeper.ts", import.meta.url))

/** Starts a server, which ends with the scope, and with this process however that ends. */
export const start = Effect.fnUntraced(function*(
  command: string,
  args: ReadonlyArray<string>,
  options: Omit<RunOptions, "input" | "timeout"> & {
    /** How it is asked to stop; default `SIGTERM`. */
    readonly signal?: NodeJS.Signals | undefined
    /** The folders that are removed behind it. */
    readonly remove?: ReadonlyArray<string> | undefined
  } = {}
): Effect.fn.Return<Running, PeerError, Scope.Scope> {
  const kept: Kept = {
    command: yield* pathOf(command),
    args,
    cwd: options.cwd,
    user: options.user,
    signal: options.signal ?? "SIGTERM",
    remove: options.remove ?? []
  }
  const [running] = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [keeper, JSON.stringify(kept)], {
        stdio: ["pipe", "pipe", "pipe"],
        env: environment(options.env)
      })
      child.stdin.on("error", () => {})
      const heeded = heed(child, () => {})
      return [{ keeper: child.pid!, ...heeded }, child] as const
    }),
    ([running, child]) =>
      Effect.callback<void>((resume) => {
        if (running.exit() !== undefined) return resume(Effect.void)
        child.on("close", () => resume(Effect.void))
        child.stdin.end()
      })
  )
  return running
})

const canListen = (port: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen({ host: "127.0.0.1", port }, () => server.close(() => resume(Effect.succeed(true))))
  })

const firstPort = 10_240
const ports = 22_528
const processes = 32

/**
 * Which port is given next, counted from the first. Each of the test runner's processes has its own ones, and gives all of
 * them before one comes again: two peers on the same port are not always told so, since haproxy binds in a way that lets
 * two listen there.
 */
let next = randomInt(ports / processes) * processes + Number(process.env.VITEST_POOL_ID ?? 0) % processes

/**
 * A free port for a server that does not choose one itself. It is below those that systems give to whoever asks for any:
 * one of them may be somebody else's before the server has begun, who then answers in its place.
 */
export const freePort: Effect.Effect<number> = Effect.suspend(() => {
  const port = firstPort + next
  next = (next + processes) % ports
  return Effect.flatMap(canListen(port), (can) => can ? Effect.succeed(port) : freePort)
})

/** Whether somebody listens there. */
const answers = (port: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = Net.connect({ host: "127.0.0.1", port })
    const done = (answer: boolean) => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket.once("connect", () => done(true))
    socket.once("error", () => done(false))
    return Effect.sync(() => socket.destroy())
  })

/** Tries until it succeeds; fails where the server has ended, or is not ready after ten seconds. */
export const untilReady = <A, E, R>(
  running: Running,
  what: string,
  attempt: Effect.Effect<A, E, R>
): Effect.Effect<A, PeerError, R> => {
  const wrong = (how: string, ended: boolean) =>
    Effect.fail(new PeerError({ message: `${what} ${how}: ${running.stdout.text}${running.stderr.text}`, ended }))
  const again: Effect.Effect<A, PeerError, R> = Effect.catch(
    attempt,
    () =>
      running.exit() === undefined
        ? Effect.andThen(Effect.sleep("10 millis"), again)
        : wrong(`ended with ${running.exit()}`, true)
  )
  return Effect.timeoutOrElse(again, { duration: "10 seconds", orElse: () => wrong("is not ready", false) })
}

/**
 * Tries once more where a server ends at once: between the choice of a free port and its use somebody else may take it.
 */
export const onAnotherPort = <A, R>(self: Effect.Effect<A, PeerError, R>): Effect.Effect<A, PeerError, R> =>
  Effect.retry(self, { times: 2, while: ({ ended }) => ended === true })

/** Starts a server on a free port of 127.0.0.1 and waits until it answers. */
export const serverOn = (
  command: string,
  argsFor: (port: number) => ReadonlyArray<string>,
  options: Parameters<typeof start>[2] = {}
): Effect.Effect<Running & { readonly port: number }, PeerError, Scope.Scope> =>
  Effect.gen(function*() {
    const port = yield* freePort
    const running = yield* start(command, argsFor(port), options)
    yield* untilReady(
      running,
      command,
      Effect.flatMap(answers(port), (yes) => yes ? Effect.void : Effect.fail("nobody listens" as const))
    )
    return { ...running, port }
  }).pipe(onAnotherPort)

/** `nghttpd` on a free port: HTTP/2, in clear unless there is a certificate, answering from a folder. */
export const nghttpd = (options: {
  readonly root: string
  readonly certificate?: { readonly certFile: string; readonly keyFile: string } | undefined
  readonly args?: ReadonlyArray<string> | undefined
}): Effect.Effect<Running & { readonly port: number }, PeerError, Scope.Scope> =>
  serverOn("nghttpd", (port) => [
    ...(options.certificate === undefined ? ["--no-tls"] : []),
    "--address=127.0.0.1",
    `--htdocs=${options.root}`,
    ...(options.args ?? []),
    String(port),
    ...(options.certificate === undefined ? [] : [options.certificate.keyFile, options.certificate.certFile])
  ])

/** `openssl s_server` on a free port. It sends each line back in reverse, unless `args` say otherwise. */
export const opensslServer = (options: {
  readonly certificate: { readonly certFile: string; readonly keyFile: string }
  readonly args?: ReadonlyArray<string> | undefined
}): Effect.Effect<Running & { readonly port: number }, PeerError, Scope.Scope> =>
  serverOn("openssl", (port) => [
    "s_server",
    "-accept",
    `127.0.0.1:${port}`,
    "-cert",
    options.certificate.certFile,
    "-cert_chain",
    options.certificate.certFile,
    "-key",
    options.certificate.keyFile,
    ...(options.args ?? ["-rev"])
  ])
